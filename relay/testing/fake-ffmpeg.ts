/** Programs in place of ffmpeg that fail as ffmpeg can; what they do not spoil they leave to the real one. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FAILURES = {
  /** Does not end, and does not listen to SIGTERM. */
  hangs: `trap '' TERM; exec sleep 1000`,
  /** Takes a second before it does anything. */
  dawdles: 'sleep 1; exec ffmpeg "$@"',
  /** Says that all went well, and has made an empty file. */
  pretends: 'for last; do :; done; : > "$last"; exit 0',
  /** Finds no room on the disk for more than 4 KiB, as ffmpeg itself tells it. */
  starves: `trap '' XFSZ; ulimit -f 8; exec ffmpeg "$@"`,
  /** Reads no faster than was recorded. */
  ambles: 'exec ffmpeg -re "$@"',
  /** Does all its work, and ends only when there is a file beside it with the name `go`. */
  lingers: 'ffmpeg "$@"; code=$?; while [ ! -e "${0%/*}/go" ]; do sleep 0.05; done; exit $code',
  crashes: 'echo "something is wrong" >&2; exit 1',
  /** Says that all went well, but half is missing. */
  lies: 'ffmpeg "$@"; code=$?; for last; do :; done; ffmpeg -v error -y -t 2 -i "$last" -c copy -f "${last##*.}" "$last.short"; mv "$last.short" "$last"; exit $code',
  /** Says that all went well, but leaves out pictures here and there. */
  skips: `ffmpeg "$@"; for last; do :; done; ffmpeg -v error -y -i "$last" -c copy -bsf:v 'noise=amount=0:drop=not(mod(n\\,7))' -f "\${last##*.}" "$last.less"; mv "$last.less" "$last"; exit 0`,
} as const;

/**
 * Writes the program into `folder`, under a name beside which there is also an ffprobe, and returns its path.
 * It fails when one of its arguments is `onArgument`.
 */
export async function fakeFfmpeg(
  folder: string,
  failure: keyof typeof FAILURES,
  onArgument = '-i',
): Promise<string> {
  const path = join(folder, 'ffmpeg');
  const script = `#!/bin/sh\nfor each; do if [ "$each" = '${onArgument}' ]; then\n${FAILURES[failure]}\nfi; done\nexec ffmpeg "$@"\n`;
  await writeFile(path, script);
  await writeFile(join(folder, 'ffprobe'), '#!/bin/sh\nexec ffprobe "$@"\n');
  await Promise.all([chmod(path, 0o700), chmod(join(folder, 'ffprobe'), 0o700)]);
  return path;
}
