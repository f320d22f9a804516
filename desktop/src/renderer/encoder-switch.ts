/**
 * Turns the encoder of one sender on and off. An encoder that is off costs nothing and sends nothing, while the
 * connection stays up, so that the first viewer need not wait for one; turned on, it begins with a keyframe. The sender
 * is off at first.
 */
export class EncoderSwitch {
  readonly #sender: RTCRtpSender;
  readonly #degradation: RTCDegradationPreference | undefined;
  #isWanted = false;
  #isOn = false;
  #working: Promise<void> | undefined;

  /** `degradation`: what is given up of a picture when the network is narrow. */
  constructor(sender: RTCRtpSender, degradation?: RTCDegradationPreference) {
    this.#sender = sender;
    this.#degradation = degradation;
  }

  /** Resolves when the sender does what was wanted last. Rejects when the browser refuses. */
  set(isOn: boolean): Promise<void> {
    this.#isWanted = isOn;
    if (this.#isOn === isOn && !this.#working) return Promise.resolve();
    this.#working ??= this.#work();
    return this.#working;
  }

  /** Parameters that are set while others are being set are refused: one after the other. */
  async #work(): Promise<void> {
    try {
      while (this.#isOn !== this.#isWanted) {
        const isOn = this.#isWanted;
        await this.#turn(isOn);
        this.#isOn = isOn;
      }
    } finally {
      this.#working = undefined;
    }
  }

  #turn(isOn: boolean): Promise<void> {
    const { encodings, ...parameters } = this.#sender.getParameters();
    return this.#sender.setParameters({
      ...parameters,
      encodings: encodings.map((encoding) => ({ ...encoding, active: isOn })),
      ...(this.#degradation ? { degradationPreference: this.#degradation } : {}),
    });
  }
}
