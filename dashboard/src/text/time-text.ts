/** Times and durations as people read them. */

/** `0:07`, `12:40`, `1:02:03`. Negative and unknown values read as zero. */
export function formatDuration(durationMs: number): string {
  const seconds = Number.isFinite(durationMs) ? Math.max(0, Math.floor(durationMs / 1000)) : 0;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const clock = `${hours > 0 ? String(minutes).padStart(2, '0') : minutes}:${String(seconds % 60).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${clock}` : clock;
}

/** How long something has been so, coarse enough not to fidget: `8 s`, `12 min`, `3 h 05 min`, `4 d`. */
export function formatElapsed(elapsedMs: number): string {
  const seconds = Math.max(0, Math.floor(elapsedMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d`;
}

/** How late a picture is: `60 ms`, `0.8 s`, `12 s`, `3 min`. */
export function formatDelay(delayMs: number): string {
  const delay = Math.max(0, delayMs);
  if (delay < 995) return delay < 200 ? `${Math.round(delay / 5) * 5} ms` : `${(delay / 1000).toFixed(1)} s`;
  if (delay < 9_950) return `${(delay / 1000).toFixed(1)} s`;
  return formatElapsed(Math.round(delay / 1000) * 1000);
}

/** `14:03:07` in the reader's zone. */
export function formatClock(timeMs: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(
    timeMs,
  );
}

/** `14:03` in the reader's zone. */
export function formatTimeOfDay(timeMs: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' }).format(timeMs);
}

/** `22 Nov 2026`, in the order of the reader's locale. */
export function formatDate(timeMs: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', year: 'numeric' }).format(timeMs);
}

/** Heading of a day in a list: `Today`, `Yesterday`, else weekday and date. */
export function formatDay(timeMs: number, nowMs: number, locale?: string): string {
  const daysAgo = Math.round((startOfDay(nowMs) - startOfDay(timeMs)) / 86_400_000);
  if (daysAgo === 0) return 'Today';
  if (daysAgo === 1) return 'Yesterday';
  return new Intl.DateTimeFormat(locale, {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: 'numeric',
  }).format(timeMs);
}

/** `22 Nov 2026, 14:03:07 GMT+1`: complete, for tooltips and for evidence. */
export function formatExact(timeMs: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  }).format(timeMs);
}

function startOfDay(timeMs: number): number {
  return new Date(timeMs).setHours(0, 0, 0, 0);
}
