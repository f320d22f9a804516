/** Reads what files really contain, by ffprobe: of ours before something is made of them, and of what was made. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Type, type Static, type TSchema } from 'typebox';
import { parseJson, parseWith } from '@proofcast/shared';
import { DECODERS, FfmpegError, type FfmpegLimits } from './ffmpeg.ts';
import { limitProcess } from './process-limits.ts';

const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

export interface ProbedFile {
  readonly folder: string;
  readonly name: string;
  readonly format: 'webm' | 'mp4' | 'jpeg_pipe';
}

export interface Probe {
  readonly durationMs: number;
  /** Null when there is no picture. */
  readonly video: { readonly widthPx: number; readonly heightPx: number; readonly packets: number } | null;
  readonly audioPackets: number;
  readonly chapters: number;
}

const Count = Type.Optional(Type.String({ pattern: '^\\d+$' }));
const ProbeOutput = Type.Object({
  streams: Type.Array(
    Type.Object({
      codec_type: Type.Optional(Type.String()),
      width: Type.Optional(Type.Integer()),
      height: Type.Optional(Type.Integer()),
      nb_read_packets: Count,
    }),
  ),
  chapters: Type.Array(Type.Object({})),
  format: Type.Object({ duration: Type.Optional(Type.String()) }),
});
const FramesOutput = Type.Object({ streams: Type.Array(Type.Object({ nb_read_frames: Count })) });
const PacketsOutput = Type.Object({
  packets: Type.Array(Type.Object({ pts_time: Type.Optional(Type.String()), flags: Type.String() })),
});

export class Ffprobe {
  readonly #path: string;
  readonly #limits: FfmpegLimits;

  /** ffprobe is taken from beside `ffmpegPath`. */
  constructor(options: { ffmpegPath: string; limits: FfmpegLimits }) {
    this.#path = options.ffmpegPath.replace(/ffmpeg(?=[^/\\]*$)/, 'ffprobe');
    this.#limits = options.limits;
  }

  /** Reads the file through without decoding it. Throws `DERIVATIVE_FAILED`. */
  async probe(file: ProbedFile, signal: AbortSignal): Promise<Probe> {
    const entries = 'stream=codec_type,width,height,nb_read_packets:format=duration:chapter=id';
    const args = ['-count_packets', '-show_entries', entries];
    const { streams, chapters, format } = await this.#read(ProbeOutput, { file, args, signal });
    const video = streams.find((stream) => stream.codec_type === 'video');
    const audio = streams.find((stream) => stream.codec_type === 'audio');
    return {
      durationMs: Math.round(Number(format.duration ?? 0) * 1000),
      video:
        video === undefined
          ? null
          : {
              widthPx: video.width ?? 0,
              heightPx: video.height ?? 0,
              packets: Number(video.nb_read_packets ?? 0),
            },
      audioPackets: Number(audio?.nb_read_packets ?? 0),
      chapters: chapters.length,
    };
  }

  /** Decodes all of the file and counts the pictures. Throws `DERIVATIVE_FAILED`. */
  async countPictures(file: ProbedFile, signal: AbortSignal): Promise<number> {
    const args = ['-select_streams', 'v:0', '-count_frames', '-show_entries', 'stream=nb_read_frames'];
    const { streams } = await this.#read(FramesOutput, { file, args, signal });
    return Number(streams[0]?.nb_read_frames ?? 0);
  }

  /**
   * Times of the key pictures that a player shows first when it seeks to each of `timesMs`, which ascend; the same one
   * only once. Seconds with six digits, as ffmpeg wrote them. Throws `DERIVATIVE_FAILED`.
   */
  async keyTimes(
    file: ProbedFile,
    timesMs: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const intervals = timesMs.map((timeMs) => `${(timeMs / 1000).toFixed(3)}%+#1`).join(',');
    const args = ['-select_streams', 'v:0', '-read_intervals', intervals];
    args.push('-show_entries', 'packet=pts_time,flags');
    const { packets } = await this.#read(PacketsOutput, { file, args, signal });
    const times = packets.flatMap(({ pts_time, flags }) =>
      flags.startsWith('K') && pts_time !== undefined ? [pts_time] : [],
    );
    return [...new Set(times)].toSorted((a, b) => Number(a) - Number(b));
  }

  async #read<S extends TSchema>(
    schema: S,
    { file, args, signal }: { file: ProbedFile; args: readonly string[]; signal: AbortSignal },
  ): Promise<Static<S>> {
    const { folder, name, format } = file;
    const input = ['-v', 'error', '-protocol_whitelist', 'file', '-f', format];
    if (format === 'webm') input.push('-codec_whitelist', DECODERS);
    try {
      const running = promisify(execFile)(this.#path, [...input, ...args, '-of', 'json', name], {
        cwd: folder,
        timeout: this.#limits.ffmpegTimeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        signal,
      });
      const { pid } = running.child;
      if (pid !== undefined) void limitProcess(pid, this.#processLimits());
      const { stdout } = await running;
      return parseWith(schema, parseJson(stdout, 'the output of ffprobe'), 'the output of ffprobe');
    } catch (error) {
      signal.throwIfAborted();
      const tail = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
      throw new FfmpegError(`ffprobe could not read ${name}.`, { stderrTail: tail.slice(-2000) });
    }
  }

  #processLimits() {
    const { ffmpegTimeoutMs, ffmpegMaxMemoryBytes } = this.#limits;
    return {
      addressSpaceBytes: ffmpegMaxMemoryBytes,
      fileBytes: MAX_OUTPUT_BYTES,
      cpuSeconds: Math.ceil(ffmpegTimeoutMs / 1000),
    };
  }
}
