/**
 * Turns the encoder of one sender on and off. An encoder that is off costs nothing and sends nothing, while the
 * connection stays up, so that the first viewer need not wait for one; turned on, it begins with a keyframe.
 */
export class EncoderSwitch {
  readonly #sender: RTCRtpSender;
  #isWanted = false;
  #isOn: boolean | undefined;
  #working: Promise<void> | undefined;

  constructor(sender: RTCRtpSender) {
    this.#sender = sender;
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
      // When the network is narrow, frames become fewer rather than blurred: text must stay readable.
      degradationPreference: 'maintain-resolution',
    });
  }
}
