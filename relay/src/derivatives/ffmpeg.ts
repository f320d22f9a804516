/**
 * The only place that runs ffmpeg, through fluent-ffmpeg. Arguments go as arrays, input formats are forced, protocols
 * are whitelisted, time, memory and output are limited (SIGTERM, then SIGKILL), and the tail of what it said is kept
 * for the log. It runs in a folder of its own and knows its files by bare names. That it says it succeeded proves nothing.
 */
import type { ChildProcess } from 'node:child_process';
import createCommand, { type FfmpegCommand } from 'fluent-ffmpeg';
import { CodedError } from '@proofcast/shared';
import { limitProcess } from './process-limits.ts';

const STDERR_TAIL_LINES = 20;
/** Live streams go first (nice(1)). */
const NICENESS = 10;
/** Threads of each decoder, filter and encoder; the rest of a large machine is for live streams. */
const THREADS = '2';
/** No single allocation of ffmpeg may be larger; frames of 16k screens are below it. */
const MAX_ALLOCATION_BYTES = 1024 * 1024 * 1024;
const PROGRESS_PERIOD_SECONDS = '0.5';

export interface FfmpegLimits {
  readonly ffmpegTimeoutMs: number;
  readonly ffmpegKillDelayMs: number;
  readonly ffmpegMaxMemoryBytes: number;
}

/** Files are named relative to `folder`; a webm is one that we have written, never bytes as a publisher sent them. */
export interface FfmpegRun {
  /** What it is to do, for messages: `make the poster`. */
  readonly what: string;
  readonly folder: string;
  readonly inputs: readonly FfmpegInput[];
  readonly output: { readonly name: string; readonly options: readonly string[] };
  /** On top of the time that every run has; one that gets it is ended also when it says nothing for that time. */
  readonly extraTimeMs?: number;
  /** How far it is on the time line of the output. */
  readonly onProgress?: (timeMs: number) => void;
}

export interface FfmpegInput {
  readonly name: string;
  readonly format: 'webm' | 'ffmetadata' | 'concat' | 'image2';
  readonly options?: readonly string[];
}

/** What bounds a run from outside. */
export interface FfmpegBounds {
  /** Its reason stands in the message of the failure. */
  readonly signal: AbortSignal;
  readonly maxOutputBytes: number;
}

/** What a failed run leaves for the log; paths in it are not for users. */
export class FfmpegError extends CodedError {
  readonly stderrTail: string;

  constructor(
    message: string,
    {
      stderrTail,
      code = 'DERIVATIVE_FAILED',
    }: { stderrTail: string; code?: 'DERIVATIVE_FAILED' | 'STORAGE_FULL' },
  ) {
    super(code, message);
    this.stderrTail = stderrTail;
  }
}

export class Ffmpeg {
  readonly #path: string;
  readonly #limits: FfmpegLimits;

  constructor(options: { ffmpegPath: string; limits: FfmpegLimits }) {
    this.#path = options.ffmpegPath;
    this.#limits = options.limits;
  }

  /** Throws `FfmpegError`: `STORAGE_FULL` when there was no room for the output, else `DERIVATIVE_FAILED`. */
  async run(run: FfmpegRun, bounds: FfmpegBounds): Promise<void> {
    bounds.signal.throwIfAborted();
    const tail: string[] = [];
    const command = this.#commandOf(run).on('stderr', (line) => {
      if (isProgress(line)) return;
      tail.push(line);
      if (tail.length > STDERR_TAIL_LINES) tail.shift();
    });
    const outcome = await this.#outcomeOf(command, run, bounds);
    const stderrTail = tail.join('\n');
    // When only the end of a file finds no room, ffmpeg says so and succeeds all the same.
    const isFull = isDiskFull(`${outcome}\n${stderrTail}`);
    const reason = isFull ? 'there was no room for the file' : outcome;
    if (reason === null) return;
    const code = isFull ? 'STORAGE_FULL' : 'DERIVATIVE_FAILED';
    throw new FfmpegError(`ffmpeg could not ${run.what}: ${reason}.`, { stderrTail, code });
  }

  #commandOf({ folder, inputs, output }: FfmpegRun): FfmpegCommand {
    const command = createCommand({ cwd: folder }).setFfmpegPath(this.#path).renice(NICENESS);
    for (const [index, { name, format, options = [] }] of inputs.entries()) {
      command.input(name).inputOptions(...(index === 0 ? GLOBAL_OPTIONS : []), '-protocol_whitelist', 'file');
      if (format !== 'ffmetadata') command.inputOptions('-threads', THREADS);
      if (DECODED_FORMATS.has(format)) command.inputOptions('-codec_whitelist', DECODERS);
      command.inputOptions('-f', format, ...options);
    }
    return command.outputOptions('-threads', THREADS, ...output.options).output(output.name);
  }

  /** Null when ffmpeg says that it succeeded, else why not. */
  async #outcomeOf(command: FfmpegCommand, run: FfmpegRun, bounds: FfmpegBounds): Promise<string | null> {
    const { ffmpegTimeoutMs, ffmpegKillDelayMs, ffmpegMaxMemoryBytes } = this.#limits;
    const { signal, maxOutputBytes } = bounds;
    const timeoutMs = ffmpegTimeoutMs + (run.extraTimeMs ?? 0);
    let whyKilled: string | null = null;
    let child: ChildProcess | null = null;
    let killTimer: NodeJS.Timeout | undefined;
    const outcome = Promise.withResolvers<string | null>();
    const kill = (why: string): void => {
      whyKilled ??= why;
      // Not begun yet: fluent-ffmpeg asks ffmpeg what it can, and waits for the answer without a limit.
      if (child === null) return outcome.resolve(why);
      const running = child;
      signalChild(running, 'SIGTERM');
      killTimer ??= setTimeout(() => signalChild(running, 'SIGKILL'), ffmpegKillDelayMs);
    };
    const onAbort = (): void => kill(reasonOf(signal));
    const timeout = setTimeout(() => kill(`it took more than ${timeoutMs} ms`), timeoutMs);
    const silence = setTimeout(() => kill(`it did nothing for ${ffmpegTimeoutMs} ms`), ffmpegTimeoutMs);
    if (run.extraTimeMs === undefined) clearTimeout(silence);
    else command.on('stderr', () => silence.refresh());
    signal.addEventListener('abort', onAbort);
    try {
      command
        .on('start', () => {
          child = childOf(command);
          // fluent-ffmpeg 2.1.3 throws in its own handler of this event, where nobody could catch it.
          child.removeAllListeners('error');
          child.on('error', (error) => outcome.resolve(error.message));
          child.on('close', (code, killedBy) => outcome.resolve(howItEnded(code, killedBy)));
          if (whyKilled !== null) return signalChild(child, 'SIGKILL');
          watchProgress(command, run.onProgress);
          if (child.pid === undefined) return;
          void limitProcess(child.pid, {
            addressSpaceBytes: ffmpegMaxMemoryBytes,
            fileBytes: maxOutputBytes,
            cpuSeconds: Math.ceil((timeoutMs * Number(THREADS)) / 1000),
          });
        })
        // Only before the start; a run that began is over when its process is.
        .on('error', (error) => {
          if (child === null) outcome.resolve(error.message);
        })
        .run();
      const because = await outcome.promise;
      return whyKilled ?? because;
    } finally {
      clearTimeout(timeout);
      clearTimeout(silence);
      clearTimeout(killTimer);
      signal.removeEventListener('abort', onAbort);
    }
  }
}

/** What recorders of browsers make. The tracks of a webm are as its publisher wrote them, and could name any other. */
export const DECODERS =
  'vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,h264,opus,libopus,vorbis,pcm_f32le';
const DECODED_FORMATS: ReadonlySet<FfmpegInput['format']> = new Set(['webm', 'concat']);
const FILTER_THREADS = ['-filter_threads', THREADS, '-filter_complex_threads', THREADS];
const MAX_ALLOCATION = ['-max_alloc', String(MAX_ALLOCATION_BYTES)];
const PROGRESS_PERIOD = ['-stats_period', PROGRESS_PERIOD_SECONDS];
const GLOBAL_OPTIONS = ['-hide_banner', '-nostdin', ...MAX_ALLOCATION, ...PROGRESS_PERIOD, ...FILTER_THREADS];

/**
 * A child that could not be started is none: in the tick of the attempt Node would signal whatever process the memory
 * names that was never filled, this one and its whole group among them.
 */
function signalChild(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid !== undefined) child.kill(name);
}

/** Whom to tell why it ends, in words that fit into a sentence. */
function reasonOf(signal: AbortSignal): string {
  const reason: unknown = signal.reason;
  return reason instanceof CodedError ? reason.message.replace(/\.$/, '') : 'it was told to stop';
}

function watchProgress(command: FfmpegCommand, onProgress: ((timeMs: number) => void) | undefined): void {
  if (onProgress === undefined) return;
  // With its own listener for new ones, fluent-ffmpeg would start an ffprobe of the input, without any of our limits.
  command.removeAllListeners('newListener');
  command.on('progress', ({ timemark }) => {
    const timeMs = parseTimemark(timemark);
    if (timeMs !== null) onProgress(timeMs);
  });
}

/** `00:01:02.34`; null for what ffmpeg says before the first frame (`N/A`, negative numbers). */
function parseTimemark(timemark: string): number | null {
  const match = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/.exec(timemark);
  if (match === null) return null;
  const [, hours, minutes, seconds] = match.map(Number) as [number, number, number, number];
  return Math.round(((hours * 60 + minutes) * 60 + seconds) * 1000);
}

function isProgress(line: string): boolean {
  return /^(frame|size)=/.test(line);
}

function isDiskFull(text: string): boolean {
  return /SIGXFSZ|No space left on device|File too large|Disk quota exceeded/.test(text);
}

function childOf(command: FfmpegCommand): ChildProcess {
  return (command as FfmpegCommand & { ffmpegProc: ChildProcess }).ffmpegProc;
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string | null {
  if (code === 0) return null;
  return signal === null ? `it exited with code ${code}` : `it was killed with ${signal}`;
}
