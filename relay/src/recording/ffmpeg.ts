/**
 * The only place that runs ffmpeg and ffprobe. Arguments go as arrays, the input format is forced, protocols are
 * whitelisted, time is limited (SIGTERM, then SIGKILL), and the tail of what they said is kept for the log.
 */
import { execFile, type ChildProcess } from 'node:child_process';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import createCommand, { type FfmpegCommand } from 'fluent-ffmpeg';
import { Type } from 'typebox';
import { CodedError, parseJson, parseWith } from '@proofcast/shared';

const STDERR_TAIL_LINES = 20;
/** Live streams go first (nice(1)). */
const NICENESS = 10;
/** No single allocation of ffmpeg may be larger; frames of 16k screens are below it. */
const MAX_ALLOCATION_BYTES = 1024 * 1024 * 1024;
const MAX_PROBE_OUTPUT_BYTES = 1024 * 1024;

export interface FfmpegLimits {
  readonly ffmpegTimeoutMs: number;
  readonly ffmpegKillDelayMs: number;
}

export interface Probe {
  readonly durationMs: number;
  readonly videoPackets: number;
}

/** What a failed run leaves for the log; paths in it are not for users. */
export class FfmpegError extends CodedError {
  readonly stderrTail: string;

  constructor(message: string, stderrTail: string) {
    super('DERIVATIVE_FAILED', message);
    this.stderrTail = stderrTail;
  }
}

const ProbeOutput = Type.Object({
  streams: Type.Array(
    Type.Object({ codec_type: Type.Optional(Type.String()), nb_read_packets: Type.Optional(Type.String()) }),
  ),
  format: Type.Object({ duration: Type.Optional(Type.String()) }),
});

export class Ffmpeg {
  readonly #ffmpegPath: string;
  readonly #ffprobePath: string;
  readonly #limits: FfmpegLimits;

  /** ffprobe is taken from beside `ffmpegPath`. */
  constructor(options: { ffmpegPath: string; limits: FfmpegLimits }) {
    this.#ffmpegPath = options.ffmpegPath;
    this.#ffprobePath = options.ffmpegPath.replace(/ffmpeg(?=[^/\\]*$)/, 'ffprobe');
    this.#limits = options.limits;
  }

  /** Copies the streams of one webm, given as bytes, into a file with known sizes and its index in front. */
  async remux(input: AsyncIterable<Uint8Array>, outputPath: string, signal: AbortSignal): Promise<void> {
    const source = Readable.from(input, { objectMode: false });
    let inputError: Error | null = null;
    source.on('error', (error) => (inputError = error));
    const command = createCommand({ source })
      .inputOptions('-protocol_whitelist', 'pipe,file', '-f', 'webm')
      .outputOptions('-copyts', ...COPY_TO_WEBM);
    try {
      await this.#run(command, { what: 'remux the recording', outputPath, signal });
    } catch (error) {
      // What ffmpeg says when its input ends too early is no news.
      throw inputError ?? error;
    } finally {
      source.destroy();
    }
  }

  /** Joins the files that a list of the concat demuxer names, which lie in the folder of the list. */
  join(listPath: string, outputPath: string, signal: AbortSignal): Promise<void> {
    const command = createCommand({ source: listPath })
      .inputOptions('-protocol_whitelist', 'file', '-f', 'concat')
      .outputOptions('-copyts', ...COPY_TO_WEBM);
    return this.#run(command, { what: 'join the parts of the recording', outputPath, signal });
  }

  /** Decodes one frame of a webm file into a JPEG. A time behind the last frame makes no file. */
  grabFrame(
    frame: { inputPath: string; atSeconds: number; widthPx: number; outputPath: string },
    signal: AbortSignal,
  ): Promise<void> {
    const command = createCommand({ source: frame.inputPath })
      .inputOptions('-protocol_whitelist', 'file', '-f', 'webm', '-ss', frame.atSeconds.toFixed(3))
      .outputOptions('-map', '0:v:0', '-frames:v', '1', '-vf', `scale=${frame.widthPx}:-2`)
      .outputOptions('-q:v', '5', '-f', 'mjpeg');
    return this.#run(command, { what: 'make a thumbnail', outputPath: frame.outputPath, signal });
  }

  /** Reads a webm file through, without decoding it. */
  async probe(path: string, signal: AbortSignal): Promise<Probe> {
    const entries = 'stream=codec_type,nb_read_packets:format=duration';
    const args = ['-v', 'error', '-protocol_whitelist', 'file', '-f', 'webm', '-count_packets'];
    try {
      const { stdout } = await promisify(execFile)(
        this.#ffprobePath,
        [...args, '-show_entries', entries, '-of', 'json', path],
        {
          timeout: this.#limits.ffmpegTimeoutMs,
          killSignal: 'SIGKILL',
          maxBuffer: MAX_PROBE_OUTPUT_BYTES,
          signal,
        },
      );
      const output = parseWith(
        ProbeOutput,
        parseJson(stdout, 'the output of ffprobe'),
        'the output of ffprobe',
      );
      const video = output.streams.find((stream) => stream.codec_type === 'video');
      return {
        durationMs: Math.round(Number(output.format.duration ?? 0) * 1000),
        videoPackets: Number(video?.nb_read_packets ?? 0),
      };
    } catch (error) {
      const tail = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
      throw new FfmpegError('ffprobe could not read the file that was made.', tail.slice(-2000));
    }
  }

  async #run(
    command: FfmpegCommand,
    { what, outputPath, signal }: { what: string; outputPath: string; signal: AbortSignal },
  ): Promise<void> {
    signal.throwIfAborted();
    const { ffmpegTimeoutMs, ffmpegKillDelayMs } = this.#limits;
    const tail: string[] = [];
    let whyKilled: string | null = null;
    let child: ChildProcess | null = null;
    let killTimer: NodeJS.Timeout | undefined;
    const outcome = Promise.withResolvers<string | null>();
    const kill = (why: string): void => {
      whyKilled ??= why;
      // Not begun yet: fluent-ffmpeg asks ffmpeg what it can, and waits for the answer without a limit.
      if (child === null) return outcome.resolve(why);
      child.kill('SIGTERM');
      killTimer ??= setTimeout(() => child?.kill('SIGKILL'), ffmpegKillDelayMs);
    };
    const onAbort = (): void => kill('the relay is shutting down');
    const timeout = setTimeout(() => kill(`it took more than ${ffmpegTimeoutMs} ms`), ffmpegTimeoutMs);
    signal.addEventListener('abort', onAbort);
    try {
      command
        .setFfmpegPath(this.#ffmpegPath)
        .renice(NICENESS)
        .inputOptions('-nostdin', '-max_alloc', String(MAX_ALLOCATION_BYTES))
        .on('stderr', (line) => {
          tail.push(line);
          if (tail.length > STDERR_TAIL_LINES) tail.shift();
        })
        .on('start', () => {
          child = childOf(command);
          // fluent-ffmpeg 2.1.3 throws in its own handler of this event, where nobody could catch it.
          child.removeAllListeners('error');
          child.on('error', (error) => outcome.resolve(error.message));
          child.on('close', (code, killedBy) => outcome.resolve(howItEnded(code, killedBy)));
          if (whyKilled !== null) child.kill('SIGKILL');
        })
        // Only before the start; a run that began is over when its process is.
        .on('error', (error) => {
          if (child === null) outcome.resolve(error.message);
        })
        .output(outputPath)
        .run();
      const because = await outcome.promise;
      const reason = whyKilled ?? because;
      if (reason !== null) throw new FfmpegError(`ffmpeg could not ${what}: ${reason}.`, tail.join('\n'));
    } finally {
      clearTimeout(timeout);
      clearTimeout(killTimer);
      signal.removeEventListener('abort', onAbort);
    }
  }
}

/** Every frame is taken over as it is, also those that could not be decoded from the beginning. */
const COPY_TO_WEBM = ['-map', '0', '-c', 'copy', '-copyinkf', '-cues_to_front', '1', '-f', 'webm'];

function childOf(command: FfmpegCommand): ChildProcess {
  return (command as FfmpegCommand & { ffmpegProc: ChildProcess }).ffmpegProc;
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string | null {
  if (code === 0) return null;
  return signal === null ? `it exited with code ${code}` : `it was killed with ${signal}`;
}
