/** What ffmpeg and ffprobe say about a media file. */
import { spawnSync } from 'node:child_process';

/** Throws with what it says when the program fails. */
export function runTool(command: string, args: string[]): { stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${command} failed with ${status}: ${stderr}`);
  return { stdout, stderr };
}

/** What a program says from warnings up. Addresses in memory, which differ from run to run, left out. */
export function complaints(command: string, args: string[]): string {
  return runTool(command, ['-v', 'warning', ...args]).stderr.replaceAll(/0x[0-9a-f]+/g, '');
}

/** The hash of each decoded frame, in order of the streams. */
export function frameHashes(path: string, stream = ''): string[] {
  const map = stream === '' ? [] : ['-map', `0:${stream}`];
  const args = ['-v', 'error', '-i', path, ...map, '-fps_mode', 'passthrough', '-f', 'framehash', '-'];
  const lines = runTool('ffmpeg', args).stdout.split('\n');
  const frames = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return frames
    .map((line) => `${line.split(',')[0]} ${line.split(',').at(-1)?.trim()}`)
    .toSorted((a, b) => Number(a.split(' ')[0]) - Number(b.split(' ')[0]));
}
