/** A duration as a clock shows it: `0:07`, `12:30`, `1:02:03`. */
export function clockText(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const tail = pad(seconds % 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${tail}` : `${minutes}:${tail}`;
}

/** A moment as this person's clock shows it: `14:07`. */
export function momentText(timeMs: number): string {
  return new Date(timeMs).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

/** A moment that may be days ago, with its date. */
export function dateText(timeMs: number): string {
  return new Date(timeMs).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
