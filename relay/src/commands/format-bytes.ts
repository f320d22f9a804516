/** For people: `812 bytes`, `3.4 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 'bytes'];
  for (const next of units) {
    if (value < 1000) break;
    [value, unit] = [value / 1000, next];
  }
  return unit === 'bytes' ? `${bytes} bytes` : `${value.toFixed(1)} ${unit}`;
}
