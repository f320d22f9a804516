/**
 * Sound of an input device as one track that neither ends nor dries up while it is shared: a recorder waits for ever for
 * a track that yields nothing, and must begin anew when one comes or goes. While the device is away it is silent.
 */
import { CodedError } from '@proofcast/shared';
import type { SoundSource } from '../ipc.ts';
import { SOUND } from './config.ts';
import { listSoundSources } from './use-sound-sources.ts';

/** Chromium's option that TypeScript's DOM does not know (W3C Web Audio 1.1, 1.2): no loudspeaker is opened. */
interface SilentContextOptions extends AudioContextOptions {
  sinkId: { type: 'none' };
}

export interface SoundOptions {
  readonly source: SoundSource;
  /** Why there is only silence at the moment, and null when there is sound again. */
  readonly onFailure: (error: CodedError | null) => void;
}

export class Sound {
  /** Goes with the picture, to the recorder and to the live path. */
  readonly track: MediaStreamTrack;
  readonly #options: SoundOptions;
  readonly #context: AudioContext;
  readonly #meter: AnalyserNode;
  #device: MediaStreamTrack | undefined;
  #isConnecting = false;
  #isClosed = false;

  /** Silent at first. Throws a coded error when the system mixes no sound; what comes of the device hears `onFailure`. */
  static async open(options: SoundOptions): Promise<Sound> {
    const contextOptions: SilentContextOptions = { sinkId: { type: 'none' } };
    const context = new AudioContext(contextOptions);
    try {
      await startedWithin(context, SOUND.startTimeoutMs);
      const sound = new Sound(context, options);
      // The system may ask the person, and the picture does not wait for the answer.
      void sound.#connect();
      return sound;
    } catch (cause) {
      void context.close();
      if (cause instanceof CodedError) throw cause;
      throw new CodedError('MEDIA_UNSUPPORTED', 'This system mixes no sound.', { cause });
    }
  }

  private constructor(context: AudioContext, options: SoundOptions) {
    this.#options = options;
    this.#context = context;
    const output = context.createMediaStreamDestination();
    const [track] = output.stream.getAudioTracks();
    if (!track) throw new CodedError('MEDIA_UNSUPPORTED', 'This system mixes no sound.');
    this.track = track;
    this.#meter = context.createAnalyser();
    this.#meter.fftSize = SOUND.meterSamples;
    this.#meter.connect(output);
    const silence = context.createConstantSource();
    silence.offset.value = 0;
    silence.connect(output);
    silence.start();
    navigator.mediaDevices.addEventListener('devicechange', this.#onDevicesChanged);
  }

  /** How loud it is now: root mean square of the last few hundredths of a second, 0 to 1. */
  readLevel(): number {
    const samples = new Float32Array(SOUND.meterSamples);
    this.#meter.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return Math.min(1, Math.sqrt(power));
  }

  /** Releases the device. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    navigator.mediaDevices.removeEventListener('devicechange', this.#onDevicesChanged);
    this.#releaseDevice();
    this.track.stop();
    void this.#context.close();
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    if (this.#isConnecting || this.#device || this.#isClosed) return;
    this.#isConnecting = true;
    const { source, onFailure } = this.#options;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          deviceId: { exact: await findDevice(source) },
          // What is to be heard is what there is, not what a conversation needs of it.
          echoCancellation: false,
          noiseSuppression: false,
          autoGainControl: false,
        },
      });
      this.#take(stream);
      onFailure(null);
    } catch (cause) {
      onFailure(explain(cause, source));
    } finally {
      this.#isConnecting = false;
    }
  }

  #take(stream: MediaStream): void {
    const [device] = stream.getAudioTracks();
    if (this.#isClosed || !device) return device?.stop();
    this.#device = device;
    const input = this.#context.createMediaStreamSource(stream);
    input.connect(this.#meter);
    device.addEventListener('ended', () => {
      input.disconnect();
      if (this.#device !== device) return;
      this.#device = undefined;
      this.#options.onFailure(explain(null, this.#options.source));
    });
  }

  /** A device that was away may be back. */
  readonly #onDevicesChanged = (): void => void this.#connect();

  #releaseDevice(): void {
    const device = this.#device;
    this.#device = undefined;
    device?.stop();
  }
}

/** Ids change when the browser forgets what it kept of this app; the name is what the person has chosen. */
async function findDevice({ deviceId, name }: SoundSource): Promise<string> {
  const sources = await listSoundSources();
  const isThere = sources.some((source) => source.deviceId === deviceId);
  return isThere ? deviceId : (sources.find((source) => source.name === name)?.deviceId ?? deviceId);
}

/** A context that does not run yields nothing, not even silence. */
async function startedWithin(context: AudioContext, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = window.setTimeout(() => {
    late.reject(new CodedError('MEDIA_UNSUPPORTED', 'The sound of this system does not start.'));
  }, timeoutMs);
  try {
    await Promise.race([context.resume(), late.promise]);
  } finally {
    window.clearTimeout(timer);
  }
}

/** https://www.w3.org/TR/mediacapture-streams/#dom-mediadevices-getusermedia names the errors. */
function explain(cause: unknown, { name }: SoundSource): CodedError {
  if (cause instanceof DOMException && cause.name === 'NotAllowedError') {
    return new CodedError('FORBIDDEN', `The system did not allow this app to listen to “${name}”.`, {
      cause,
    });
  }
  return new CodedError('MEDIA_UNSUPPORTED', `No sound comes from “${name}”. It may have been unplugged.`, {
    cause,
  });
}
