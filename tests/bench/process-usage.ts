/** What a process costs, as Linux counts it (proc_pid_stat(5), proc_pid_status(5)). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Fields of /proc/pid/stat behind the name of the program, which may itself hold blanks and brackets. */
const USER_TICKS_FIELD = 11;
const SYSTEM_TICKS_FIELD = 12;

let ticksPerSecond: number | undefined;

/** User and system time of all threads so far, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return (Number(fields[USER_TICKS_FIELD]) + Number(fields[SYSTEM_TICKS_FIELD])) / ticksPerSecond;
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
