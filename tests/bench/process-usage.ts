/** What a process costs, as Linux counts it (proc_pid_stat(5), proc_pid_status(5)). */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Fields of /proc/pid/stat behind the name of the program, which may itself hold blanks and brackets. */
const PARENT_FIELD = 1;
const USER_TICKS_FIELD = 11;
const SYSTEM_TICKS_FIELD = 12;
/** Of children that have ended and were waited for, and of theirs. */
const ENDED_USER_TICKS_FIELD = 13;
const ENDED_SYSTEM_TICKS_FIELD = 14;

let ticksPerSecond: number | undefined;

/** User and system time of all threads so far, in seconds. */
export function cpuSeconds(pid: number): number {
  const fields = readStat(pid);
  return toSeconds(Number(fields[USER_TICKS_FIELD]) + Number(fields[SYSTEM_TICKS_FIELD]));
}

/**
 * The same to the nanosecond, of the threads that run now (Linux: scheduler/sched-stats.rst): for a process that ends no
 * threads and does little in the time of a measurement.
 */
export function preciseCpuSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const spentNs = threads.map((id) => {
    const [spent] = readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'latin1').split(' ');
    return Number(spent);
  });
  return spentNs.reduce((sum, ns) => sum + ns, 0) / 1e9;
}

/** User and system time of the process and of all that come from it, those included that have ended. */
export function treeCpuSeconds(rootPid: number): number {
  const processes = readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) ? [{ pid, fields: readStatIfThere(pid) }] : [];
  });
  const ticksOf = (pid: number): number => {
    const fields = processes.find((one) => one.pid === pid)?.fields ?? [];
    const own = [USER_TICKS_FIELD, SYSTEM_TICKS_FIELD, ENDED_USER_TICKS_FIELD, ENDED_SYSTEM_TICKS_FIELD];
    const children = processes.filter((one) => Number(one.fields[PARENT_FIELD]) === pid);
    return [
      ...own.map((field) => Number(fields[field] ?? 0)),
      ...children.map((child) => ticksOf(child.pid)),
    ].reduce((sum, ticks) => sum + ticks, 0);
  };
  return toSeconds(ticksOf(rootPid));
}

function readStat(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Nothing of a process that has ended since it was listed: what it has used is counted with its parent. */
function readStatIfThere(pid: number): readonly string[] {
  try {
    return readStat(pid);
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

function toSeconds(ticks: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks / ticksPerSecond;
}

/** How long the main thread was ready to run and had no core, in seconds (Linux: scheduler/sched-stats.rst). */
export function starvedSeconds(pid: number): number {
  const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ');
  return Number(waitedNs) / 1e9;
}

/** Memory of the process that stands for no file: what it really takes. */
export function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const match = /^RssAnon:\s+(\d+) kB$/m.exec(status);
  if (match === null) throw new Error(`The status of process ${pid} does not tell its anonymous memory.`);
  return Number(match[1]) * 1024;
}
