/**
 * Requests with answers, and notifications, over any connection that carries text frames. Pure: text comes in through
 * `receive`, goes out through `send`. Wire forms, one JSON object a frame:
 *
 *   { "id": 7, "method": "publish", "params": … }      request; ids count up from 1 on each side
 *   { "id": 7, "result": … }                            answer
 *   { "id": 7, "error": { "code", "message" } }         refusal
 *   { "notification": "producerAdded", "params": … }    notification
 */
import { Type, type Static, type TSchema } from 'typebox';
import type { Catalogue } from './catalogue.ts';
import { CodedError, fromErrorBody, toCodedError } from './errors.ts';
import { parseJson, parseWith } from './schema.ts';

export interface RequestShape {
  readonly params: TSchema;
  readonly result: TSchema;
}
export type RequestCatalogue = Readonly<Record<string, RequestShape>>;

export type ParamsOf<C extends RequestCatalogue, M extends keyof C> = Static<C[M]['params']>;
export type ResultOf<C extends RequestCatalogue, M extends keyof C> = Static<C[M]['result']>;

export type RequestHandlers<C extends RequestCatalogue> = {
  readonly [M in keyof C]: (params: ParamsOf<C, M>) => Promise<ResultOf<C, M>> | ResultOf<C, M>;
};
export type NotificationHandlers<C extends Catalogue> = {
  readonly [N in keyof C]: (params: Static<C[N]>) => void;
};

/** Calls `callback` once after `delayMs` milliseconds, unless the function that it returns is called before. */
export type Schedule = (callback: () => void, delayMs: number) => () => void;

const scheduleByTimer: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

const Frame = Type.Union([
  Type.Object({ id: Type.Integer({ minimum: 1 }), method: Type.String(), params: Type.Unknown() }),
  Type.Object({ id: Type.Integer({ minimum: 1 }), result: Type.Unknown() }),
  Type.Object({
    id: Type.Integer({ minimum: 1 }),
    error: Type.Object({ code: Type.String(), message: Type.String() }),
  }),
  Type.Object({ notification: Type.String(), params: Type.Unknown() }),
]);

/** The side that asks: sends requests of `requests`, hears notifications of `notifications`. */
export class RpcClient<R extends RequestCatalogue, N extends Catalogue> {
  readonly #options: {
    requests: R;
    notifications: N;
    send: (text: string) => void;
    onNotification: NotificationHandlers<N>;
    timeoutMs: number;
    schedule: Schedule;
  };
  readonly #pending = new Map<
    number,
    {
      cancelTimeout: () => void;
      resolve: (result: unknown) => void;
      reject: (error: unknown) => void;
    }
  >();
  #nextId = 1;
  #closedBy: CodedError | undefined;

  constructor(options: {
    requests: R;
    notifications: N;
    send: (text: string) => void;
    onNotification: NotificationHandlers<N>;
    timeoutMs: number;
    schedule?: Schedule;
  }) {
    this.#options = { ...options, schedule: options.schedule ?? scheduleByTimer };
  }

  /** Rejects with the coded error of the other side, with `TIMEOUT`, or with what `close` was given. */
  request<M extends keyof R & string>(method: M, params: ParamsOf<R, M>): Promise<ResultOf<R, M>> {
    if (this.#closedBy) return Promise.reject(this.#closedBy);
    const { requests, schedule, timeoutMs, send } = this.#options;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const cancelTimeout = schedule(() => {
        this.#pending.delete(id);
        reject(new CodedError('TIMEOUT', `No answer to ${method} within ${timeoutMs} ms.`));
      }, timeoutMs);
      const shape = requests[method] as RequestShape;
      this.#pending.set(id, {
        cancelTimeout,
        resolve: (result) => {
          try {
            resolve(parseWith(shape.result, result, `the answer to ${method}`) as ResultOf<R, M>);
          } catch (error) {
            reject(error);
          }
        },
        reject,
      });
      send(JSON.stringify({ id, method, params }));
    });
  }

  /** Takes one text frame; throws `MESSAGE_INVALID` when the other side breaks the protocol. */
  receive(text: string): void {
    const frame = parseWith(Frame, parseJson(text, 'the frame'), 'the frame');
    if ('notification' in frame) return this.#notify(frame.notification, frame.params);
    if ('method' in frame)
      throw new CodedError('MESSAGE_INVALID', `Cannot accept request ${frame.method} here.`);
    const pending = this.#pending.get(frame.id);
    if (!pending) return; // An answer that comes after its time-out is of no use to anybody.
    this.#pending.delete(frame.id);
    pending.cancelTimeout();
    if ('error' in frame) pending.reject(fromErrorBody(frame.error));
    else pending.resolve(frame.result);
  }

  /** Rejects what is pending and all later requests with `error`. Idempotent. */
  close(error: CodedError): void {
    if (this.#closedBy) return;
    this.#closedBy = error;
    for (const { cancelTimeout, reject } of this.#pending.values()) {
      cancelTimeout();
      reject(error);
    }
    this.#pending.clear();
  }

  #notify(name: string, params: unknown): void {
    const { notifications, onNotification } = this.#options;
    // A newer service may announce what this client does not know yet.
    if (!Object.hasOwn(notifications, name)) return;
    const schema = notifications[name] as TSchema;
    const handler = onNotification[name] as (params: unknown) => void;
    handler(parseWith(schema, params, `notification ${name}`));
  }
}

/** The side that answers. */
export class RpcServer<R extends RequestCatalogue, N extends Catalogue> {
  readonly #options: {
    requests: R;
    notifications: N;
    send: (text: string) => void;
    handlers: RequestHandlers<R>;
    onFailure: (method: string, error: unknown) => void;
  };

  constructor(options: {
    requests: R;
    notifications: N;
    send: (text: string) => void;
    handlers: RequestHandlers<R>;
    /** Hears errors that are not coded, which are defects: log them. */
    onFailure: (method: string, error: unknown) => void;
  }) {
    this.#options = options;
  }

  /**
   * Takes one text frame and answers it. Resolves when the answer is sent; what a handler throws becomes the answer.
   * Throws `MESSAGE_INVALID` when the frame is no request, so that nobody could be answered.
   */
  async receive(text: string): Promise<void> {
    const frame = parseWith(Frame, parseJson(text, 'the frame'), 'the frame');
    if (!('method' in frame))
      throw new CodedError('MESSAGE_INVALID', 'Cannot accept the frame: it is no request.');
    try {
      const result = await this.#handle(frame.method, frame.params);
      this.#options.send(JSON.stringify({ id: frame.id, result }));
    } catch (error) {
      if (!(error instanceof CodedError)) this.#options.onFailure(frame.method, error);
      this.#options.send(JSON.stringify({ id: frame.id, error: toCodedError(error).toBody() }));
    }
  }

  notify<K extends keyof N & string>(name: K, params: Static<N[K]>): void {
    this.#options.send(JSON.stringify({ notification: name, params }));
  }

  async #handle(method: string, params: unknown): Promise<unknown> {
    const { requests, handlers } = this.#options;
    if (!Object.hasOwn(requests, method)) {
      throw new CodedError(
        'MESSAGE_INVALID',
        `Cannot answer the request: method ${JSON.stringify(method)} is unknown.`,
      );
    }
    const shape = requests[method] as RequestShape;
    const handler = handlers[method] as (params: unknown) => unknown;
    return handler(parseWith(shape.params, params, `the parameters of ${method}`));
  }
}
