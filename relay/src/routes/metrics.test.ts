import { networkInterfaces } from 'node:os';
import { encodeChunk, ERRORS, FRAME_HEAD_BYTES, type ErrorCode } from '@proofcast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import { openPublisher, publishClip } from '../../testing/publish-recording.ts';
import { rawRequest } from '../../testing/raw-request.ts';
import { TestDevice } from '../../testing/test-device.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';
import { TestViewer } from '../../testing/test-viewer.ts';
import { RELAY_METRICS, type RelayMetricName } from '../metrics/metric-definitions.ts';

const TOKEN = 'a-token-of-the-monitoring';
const FREE = { MIN_FREE_BYTES: '0', WARN_FREE_BYTES: '0' };

const opened: TestRelay[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((relay) => relay.close()));
});

async function start(env: Record<string, string> = {}): Promise<TestRelay> {
  const relay = await startTestRelay({ env: { ...FREE, ...env } });
  opened.push(relay);
  return relay;
}

interface Sample {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** The text format of Prometheus, strictly read. */
function parse(text: string): { types: Map<string, string>; samples: Sample[] } {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of text.split('\n').filter(Boolean)) {
    const [, typed, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line) ?? [];
    if (typed !== undefined && type !== undefined) {
      expect([...types.keys()]).not.toContain(typed);
      types.set(typed, type);
    }
    if (line.startsWith('#')) continue;
    const [, name = '', labelText = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    // The event loop's are not a number between two readings that follow at once.
    const isNumber = Number.isFinite(Number(value)) || name.startsWith('nodejs_eventloop_lag_');
    expect([line, isNumber]).toEqual([line, true]);
    const labels = Object.fromEntries(
      [...labelText.matchAll(/(\w+)="([^"]*)",?/g)].map(([, key, of]) => [key, of]),
    );
    samples.push({ name, labels, value: Number(value) });
  }
  return { types, samples };
}

async function scrape(relay: TestRelay): Promise<ReturnType<typeof parse>> {
  const response = await relay.client().get('/metrics');
  expect(response.status).toBe(200);
  return parse(await response.text());
}

/** The value of one series; a histogram's count. */
async function valueOf(relay: TestRelay, name: string, label?: string): Promise<number | undefined> {
  const { samples } = await scrape(relay);
  const found = samples.find(
    (one) => one.name === name && (label === undefined || Object.values(one.labels)[0] === label),
  );
  return found?.value;
}

/** The code with which `/metrics` refuses; null when it answers. */
async function refusalOf(relay: TestRelay, headers: Record<string, string>): Promise<string | null> {
  const response = await relay.client().get('/metrics', { headers });
  if (response.ok) return null;
  const { code } = (await response.json()) as { code: ErrorCode };
  expect(response.status).toBe(ERRORS[code].status);
  return code;
}

describe('access to the metrics', () => {
  it('[O1] needs the token that is configured, whoever else the caller is', async () => {
    const relay = await start({ METRICS_TOKEN: TOKEN });
    const { cookie } = await relay.signInAdmin();
    expect(await refusalOf(relay, { authorization: `Bearer ${TOKEN}` })).toBeNull();
    expect(
      await refusalOf(relay, { authorization: `bearer ${TOKEN}`, 'x-forwarded-for': '192.0.2.1' }),
    ).toBeNull();
    expect(await refusalOf(relay, {})).toBe('UNAUTHENTICATED');
    expect(await refusalOf(relay, { cookie })).toBe('UNAUTHENTICATED');
    expect(await refusalOf(relay, { authorization: `Basic ${TOKEN}` })).toBe('UNAUTHENTICATED');
    for (const wrong of [`${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase(), 'x'.repeat(10_000)]) {
      expect(await refusalOf(relay, { authorization: `Bearer ${wrong}` })).toBe('TOKEN_INVALID');
    }
  });

  it('[O1] lets nobody guess', async () => {
    const relay = await start({ METRICS_TOKEN: TOKEN });
    const codes = new Set<string | null>();
    for (let n = 0; n < 40; n++) codes.add(await refusalOf(relay, { authorization: `Bearer guess-${n}` }));
    expect([...codes]).toEqual(['TOKEN_INVALID', 'TOO_MANY_REQUESTS']);
  });

  it('[O1] [A3] is not opened by a token that is short or has spaces', async () => {
    for (const METRICS_TOKEN of ['short', 'long enough but with spaces']) {
      await expect(start({ METRICS_TOKEN })).rejects.toThrow('METRICS_TOKEN');
    }
  });

  it('[O2] needs, without a token, a direct connection from this machine', async () => {
    const relay = await start({ TRUST_PROXY: 'true' });
    expect(await refusalOf(relay, {})).toBeNull();
    const { host } = new URL(relay.relay.url);
    const { port } = new URL(relay.relay.url);
    const statusOf = async (headers: Record<string, string>) =>
      Number((await rawRequest(relay.relay.url, { path: '/metrics', headers })).split(' ', 2)[1]);
    for (const Host of [host, `localhost:${port}`, `[::1]:${port}`, '127.0.0.1'])
      expect(await statusOf({ Host })).toBe(200);
    for (const Host of [
      'relay.example.com',
      `127.0.0.1.example.com:${port}`,
      '192.0.2.1',
      'localhost.example.com',
      '',
    ]) {
      expect([Host, await statusOf({ Host })]).toEqual([Host, 401]);
    }
    for (const name of [
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-Proto',
      'X-Real-IP',
      'Forwarded',
      'Via',
    ]) {
      expect([name, await statusOf({ [name]: '127.0.0.1' })]).toEqual([name, 401]);
    }
  });

  it('[O2] is refused to other machines, which reach it at another address of this one', async ({ skip }) => {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
    if (address === undefined) return skip('this machine has no address but loopback ones');
    const relay = await start({ RELAY_HOST: '0.0.0.0' });
    const { port } = new URL(relay.relay.url);
    const url = `http://${address}:${port}`;
    const answer = await rawRequest(url, { path: '/metrics', headers: { Host: `localhost:${port}` } });
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
    expect(await rawRequest(url, { path: '/healthz' })).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('the metrics', () => {
  it('[O3] are those of the list, with its types and with no other label', async () => {
    const relay = await start();
    await exercise(relay, 1);
    const { types, samples } = await scrape(relay);
    const ours = [...types].filter(([name]) => name.startsWith('proofcast_'));
    expect(Object.fromEntries(ours)).toEqual(
      Object.fromEntries(Object.entries(RELAY_METRICS).map(([name, { type }]) => [name, type])),
    );
    for (const { name, labels } of samples.filter((one) => one.name.startsWith('proofcast_'))) {
      const definition = RELAY_METRICS[name.replace(/_(bucket|sum|count)$/, '') as RelayMetricName];
      const label = 'label' in definition ? definition.label : null;
      const given = Object.entries(labels).filter(([key]) => key !== 'le');
      expect([name, given.map(([key]) => key)]).toEqual([name, label === null ? [] : [label.name]]);
      for (const [, value] of given) expect(label?.values).toContain(value);
    }
    // Those of the process come from prom-client.
    const { value } = samples.find((one) => one.name === 'nodejs_eventloop_lag_p99_seconds') ?? {};
    expect(value).toBeGreaterThan(0);
    expect([...types.keys()]).toContain('process_resident_memory_bytes');
  });

  it('[O3] are as many series with many companies, streams and viewers as with none', async () => {
    const relay = await start();
    const seriesOf = ({ samples }: { samples: Sample[] }) =>
      samples
        .filter((one) => one.name.startsWith('proofcast_'))
        .map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`)
        .toSorted();
    const before = seriesOf(await scrape(relay));
    for (let company = 0; company < 3; company++) await exercise(relay, 4);
    expect(seriesOf(await scrape(relay))).toEqual(before);
    expect(new Set(before).size).toBe(before.length);
  });

  it('[O4] say what publishers have sent and what became of it', async () => {
    const relay = await start();
    const device = await TestDevice.enrol(await relay.signInAdmin());
    const publisher = await publishClip({ device, client: relay.client() });
    const { maker } = publisher;
    const frames = maker.chunks.map((_, n) => maker.frame(n));
    const count = frames.length;
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    expect(await valueOf(relay, 'proofcast_publishers')).toBe(1);
    expect(await valueOf(relay, 'proofcast_streams', 'live')).toBe(1);
    expect(await valueOf(relay, 'proofcast_received_chunks_total')).toBe(count);
    expect(await valueOf(relay, 'proofcast_received_bytes_total')).toBe(bytes);
    expect(await valueOf(relay, 'proofcast_ack_seconds_count')).toBe(count);
    expect(await valueOf(relay, 'proofcast_ack_seconds_sum')).toBeGreaterThan(0);
    const commits = (await valueOf(relay, 'proofcast_commit_seconds_count')) ?? 0;
    expect(commits).toBeGreaterThan(0);
    expect(await valueOf(relay, 'proofcast_datasync_seconds_count')).toBe(commits);
    expect(await valueOf(relay, 'proofcast_journal_lag_bytes')).toBe(0);
    expect(await valueOf(relay, 'proofcast_recordings', 'recording')).toBe(1);

    publisher.say({ type: 'status', data: { backlogBytes: 12_345, backlogChunks: 6 } });
    await expect.poll(() => valueOf(relay, 'proofcast_spool_backlog_bytes')).toBe(12_345);
    expect(await valueOf(relay, 'proofcast_spool_backlog_largest_bytes')).toBe(12_345);

    expect(await valueOf(relay, 'proofcast_refusals_total', 'CHUNK_HASH_MISMATCH')).toBe(0);
    const draft = maker.draft({ sha256: new Uint8Array(32) });
    publisher.sendFrame(encodeChunk(draft));
    expect(await publisher.next('refused')).toMatchObject({ code: 'CHUNK_HASH_MISMATCH' });
    expect(await valueOf(relay, 'proofcast_refusals_total', 'CHUNK_HASH_MISMATCH')).toBe(1);

    await publisher.stop();
    await publisher.closed;
    await relay.relay.media.whenSealed();
    expect(await valueOf(relay, 'proofcast_seals_total', 'sealed')).toBe(1);
    expect(await valueOf(relay, 'proofcast_seal_seconds_count')).toBe(1);
    expect(await valueOf(relay, 'proofcast_recordings', 'sealed')).toBe(1);
    expect(await valueOf(relay, 'proofcast_recordings', 'recording')).toBe(0);
    expect(await valueOf(relay, 'proofcast_publishers')).toBe(0);
    expect(await valueOf(relay, 'proofcast_spool_backlog_bytes')).toBe(0);
    await relay.relay.media.derivatives.whenIdle();
    expect(await valueOf(relay, 'proofcast_derivatives', 'done')).toBe(2);
    expect(await valueOf(relay, 'proofcast_derivatives', 'failed')).toBe(0);
  });

  it('[O4] say what viewers were sent, by what carries it', async () => {
    const relay = await start();
    const admin = await relay.signInAdmin();
    const device = await TestDevice.enrol(admin);
    const publisher = await publishClip({ device, client: relay.client() });
    const { streamId } = publisher.maker.start;
    const { ticket } = await admin.call('createViewTicket');
    const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
    viewer.watch(1, streamId);
    const frames = await viewer.framesUntil(publisher.maker.chunks.length - 1);
    const bytes = frames.reduce((sum, { payload }) => sum + FRAME_HEAD_BYTES + payload.length, 0);
    expect(await valueOf(relay, 'proofcast_viewers', 'websocket')).toBe(1);
    expect(await valueOf(relay, 'proofcast_viewers', 'http')).toBe(0);
    expect(await valueOf(relay, 'proofcast_sent_bytes_total', 'websocket')).toBe(bytes);
    expect(await valueOf(relay, 'proofcast_sent_bytes_total', 'http')).toBe(0);

    const response = await admin.fetch('streamLive', { params: { streamId } });
    expect(await valueOf(relay, 'proofcast_viewers', 'http')).toBe(1);
    await publisher.stop();
    const body = await response.arrayBuffer();
    expect(await valueOf(relay, 'proofcast_sent_bytes_total', 'http')).toBe(body.byteLength);
    await expect.poll(() => valueOf(relay, 'proofcast_viewers', 'http')).toBe(0);
    viewer.socket.terminate();
    await expect.poll(() => valueOf(relay, 'proofcast_viewers', 'websocket')).toBe(0);
  });

  it('[O4] say what was refused over HTTP, what was deleted and how the relay is', async () => {
    const relay = await start();
    const admin = await relay.signInAdmin();
    const device = await TestDevice.enrol(admin);
    const { recordingId } = await (async () => {
      const publisher = await publishClip({ device, client: relay.client() });
      return publisher.stop();
    })();
    await relay.relay.media.whenSealed();
    expect(await valueOf(relay, 'proofcast_ready')).toBe(1);
    expect(await valueOf(relay, 'proofcast_disk_state', 'ok')).toBe(1);
    expect(await valueOf(relay, 'proofcast_disk_state', 'low')).toBe(0);
    expect(await valueOf(relay, 'proofcast_disk_free_bytes')).toBeGreaterThan(0);
    await relay.client().get('/api/me');
    expect(await valueOf(relay, 'proofcast_refusals_total', 'UNAUTHENTICATED')).toBe(1);
    const { sizeBytes } = await admin.call('deleteRecording', { params: { recordingId } });
    expect(await valueOf(relay, 'proofcast_deleted_recordings_total', 'user')).toBe(1);
    expect(await valueOf(relay, 'proofcast_deleted_recordings_total', 'retention')).toBe(0);
    expect(await valueOf(relay, 'proofcast_deleted_bytes_total')).toBe(sizeBytes);
    expect(await valueOf(relay, 'proofcast_deletion_failures_total')).toBe(0);
    expect(await valueOf(relay, 'proofcast_recordings', 'sealed')).toBe(0);
  });

  it('[O5] say that the disk is short of space, as /readyz does', async () => {
    const relay = await start({ WARN_FREE_BYTES: String(2 ** 52) });
    expect(await valueOf(relay, 'proofcast_disk_state', 'low')).toBe(1);
    expect(await valueOf(relay, 'proofcast_disk_state', 'ok')).toBe(0);
    expect(await valueOf(relay, 'proofcast_ready')).toBe(0);
    const readyz = await relay.client().get('/readyz');
    expect(readyz.status).toBe(503);
    expect(await readyz.text()).toContain('bytes free');
  });

  it('answers many at once from one reading', async () => {
    const relay = await start();
    const answers = await Promise.all(Array.from({ length: 20 }, () => relay.client().get('/metrics')));
    for (const answer of answers) {
      expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
      expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    }
  });
});

/** A company with so many streams, viewers and refusals. */
async function exercise(relay: TestRelay, streams: number): Promise<void> {
  const admin = await relay.signInAs('admin', await relay.createCompany('Another'));
  const { ticket } = await admin.call('createViewTicket');
  const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
  for (let n = 0; n < streams; n++) {
    const device = await TestDevice.enrol(admin, `Desk ${n}`);
    const publisher = await publishClip({ device, client: relay.client() });
    viewer.watch(n + 1, publisher.maker.start.streamId);
    await viewer.framesUntil(publisher.maker.chunks.length - 1);
    publisher.sendFrame(Uint8Array.of(1, 2, 3));
    await publisher.next('refused');
  }
  const stranger = await openPublisher({ device: await TestDevice.enrol(admin), client: relay.client() });
  stranger.sendFrame(Uint8Array.of(0));
  await stranger.next('refused');
}
