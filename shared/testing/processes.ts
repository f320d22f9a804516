/** Signals to processes by their id, for tests. Zero and negative ids, which mean whole groups of processes, are refused. */

/** Sends the signal. Throws when there is no such process, or no id. */
export function signalProcess(pid: number | undefined, signal: NodeJS.Signals): void {
  process.kill(checkedPid(pid), signal);
}

/** Throws when there is no such process, or no id. */
export function killProcess(pid: number | undefined): void {
  signalProcess(pid, 'SIGKILL');
}

export function isProcessAlive(pid: number | undefined): boolean {
  try {
    return process.kill(checkedPid(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

function checkedPid(pid: number | undefined): number {
  if (pid === undefined || !Number.isSafeInteger(pid) || pid <= 1)
    throw new Error(`${pid} is no process to signal`);
  return pid;
}
