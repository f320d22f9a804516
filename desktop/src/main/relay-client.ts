/** Calls of the relay's HTTP API, as the shared route table describes it. */
import {
  CodedError,
  fromErrorBody,
  parseJson,
  parseWith,
  Refusal,
  RELAY_ROUTES,
  type RouteBody,
  type RouteResponse,
} from '@proofcast/shared';

/** What this app asks of the relay over HTTP. */
type CalledRoute = 'enrol' | 'createPublishTokens';

/** Answers are a few kilobytes; a server that sends more is not a relay. */
const MAX_ANSWER_BYTES = 256 * 1024;

/**
 * Throws the coded error of the relay, or `UNAVAILABLE` when there is no answer.
 * `serverUrl` is an origin, as `parseServerUrl` returns it.
 */
export async function callRelay<N extends CalledRoute>(
  name: N,
  { serverUrl, body, timeoutMs }: { serverUrl: string; body: RouteBody<N>; timeoutMs: number },
): Promise<RouteResponse<N>> {
  const { method, path, response: schema } = RELAY_ROUTES[name];
  const response = await fetch(new URL(path, serverUrl), {
    method,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(body),
    // A redirect would carry the code or the assertion to somebody else.
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((cause: unknown) => {
    throw unreachable(serverUrl, cause);
  });
  const text = await readText(response, serverUrl);
  if (!response.ok) throw refusalIn(text, `${serverUrl} answered with status ${response.status}`);
  return parseWith(
    schema,
    parseJson(text, 'the answer of the server'),
    'the answer of the server',
  ) as RouteResponse<N>;
}

/** The coded error in an HTTP body, or `UNAVAILABLE` when the body has none, as that of a proxy in between. */
export function refusalIn(text: string, otherwise: string): CodedError {
  try {
    return fromErrorBody(parseWith(Refusal, JSON.parse(text), 'the refusal'));
  } catch (cause) {
    return new CodedError('UNAVAILABLE', `${otherwise}, and not as a relay does.`, { cause });
  }
}

async function readText(response: Response, serverUrl: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > MAX_ANSWER_BYTES) break;
    }
  } catch (cause) {
    throw unreachable(serverUrl, cause);
  }
  if (text.length <= MAX_ANSWER_BYTES) return text;
  throw new CodedError(
    'MESSAGE_TOO_LARGE',
    `${serverUrl} answered with more than ${MAX_ANSWER_BYTES} bytes.`,
  );
}

function unreachable(serverUrl: string, cause: unknown): CodedError {
  return new CodedError('UNAVAILABLE', `Cannot reach ${serverUrl}. Check the address and the network.`, {
    cause,
  });
}
