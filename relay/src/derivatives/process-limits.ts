/** Bounds on a child process that the kernel keeps, also when the relay is not there any more to keep them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface ProcessLimits {
  readonly addressSpaceBytes: number;
  /** Of each file that it writes; more ends it with SIGXFSZ. */
  readonly fileBytes: number;
  readonly cpuSeconds: number;
}

/**
 * Sets the limits of a running process (prlimit(1) of util-linux). Systems without that program go without, and a
 * process that has ended meanwhile needs none.
 */
export async function limitProcess(pid: number, limits: ProcessLimits): Promise<void> {
  const { addressSpaceBytes, fileBytes, cpuSeconds } = limits;
  const args = [`--as=${addressSpaceBytes}`, `--fsize=${fileBytes}`, `--cpu=${cpuSeconds}`, '--core=0'];
  await promisify(execFile)('prlimit', ['--pid', String(pid), ...args]).catch(() => undefined);
}
