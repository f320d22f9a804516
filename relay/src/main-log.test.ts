import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId, ERRORS, isErrorCode } from '@proofcast/shared';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { publishClip } from '../testing/publish-recording.ts';
import { RelayProcesses } from '../testing/relay-process.ts';
import { TestClient } from '../testing/test-client.ts';
import { createDeviceKey, enrolmentBody, TestDevice } from '../testing/test-device.ts';
import { TestViewer } from '../testing/test-viewer.ts';

const CREDENTIALS = { email: 'admin@proofcast.local', password: 'the password of the admin' };
const METRICS_TOKEN = 'a-token-of-the-monitoring';

vi.setConfig({ testTimeout: 90_000 });

let dataDir: string;
const processes = new RelayProcesses();

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-log-'));
});
afterEach(async () => {
  processes.killAll();
  await rm(dataDir, { recursive: true, force: true });
});

it('[O8] holds no secret of a whole day’s work, whether it succeeds or fails, and one line with its code for each refusal', async () => {
  const relay = processes.start(dataDir, {
    LOG_LEVEL: 'trace',
    ADMIN_PASSWORD: CREDENTIALS.password,
    METRICS_TOKEN,
    MIN_FREE_BYTES: '0',
    WARN_FREE_BYTES: '0',
  });
  const url = await relay.url;
  const secrets = new Map([
    ['the password', CREDENTIALS.password],
    ['the token of the metrics', METRICS_TOKEN],
  ]);
  const admin = new TestClient(url);
  await admin.call('signIn', { body: CREDENTIALS });
  secrets.set('the cookie', admin.cookie.split('=')[1] ?? '');
  const nobody = new TestClient(url);

  // Wrong passwords are mostly right ones of something else.
  const wrong = { ...CREDENTIALS, password: 'the password of another service' };
  secrets.set('a wrong password', wrong.password);
  await nobody.refusal('signIn', { body: wrong });
  await nobody.refusal('signIn', { body: `{"password":"${wrong.password}"` });
  await nobody.refusal('signIn', { body: { password: wrong.password } });
  const user = {
    email: 'sam@proofcast.local',
    name: 'Sam',
    role: 'viewer',
    password: 'the password of Sam',
  } as const;
  secrets.set('the password of a user', user.password);
  await admin.call('createUser', { body: user });
  await admin.refusal('createUser', { body: user });
  await admin.refusal('createUser', { body: { ...user, password: 'too short' } });

  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 1' } });
  secrets.set('an enrolment code', code);
  const { publicKey } = await createDeviceKey();
  await nobody.call('enrol', { body: enrolmentBody(code, publicKey) });
  await nobody.refusal('enrol', { body: enrolmentBody(code, publicKey) });
  const device = await TestDevice.enrol(admin);
  const assertion = await device.assertion();
  secrets.set('an assertion', assertion);
  const tokens = await nobody.call('createPublishTokens', { body: { assertion, slot: 0 } });
  secrets.set('a token for the SFU', tokens.sfu.token).set('a token for ingest', tokens.ingest.token);
  await nobody.refusal('createPublishTokens', { body: { assertion, slot: 0 } });

  const publisher = await publishClip({ device, client: nobody });
  publisher.sendFrame(Uint8Array.of(1, 2, 3));
  await publisher.next('refused');
  const { ticket } = await admin.call('createViewTicket');
  const { token } = await admin.call('createSfuToken');
  secrets.set('a ticket', ticket).set('a token for viewing', token);
  const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
  viewer.watch(1, publisher.maker.start.streamId);
  await viewer.framesUntil(publisher.maker.chunks.length - 1);
  viewer.watch(2, createId('stream'));
  await viewer.next('refused');
  await expect(admin.open('view', { query: { ticket } })).rejects.toMatchObject({ code: 'TICKET_INVALID' });
  for (const bearer of [token, `${tokens.ingest.token}x`]) {
    const headers = { authorization: `Bearer ${bearer}` };
    await expect(nobody.open('ingest', { headers })).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    expect((await nobody.get('/metrics', { headers })).status).toBe(401);
  }
  const withToken = { headers: { authorization: `Bearer ${METRICS_TOKEN}` } };
  expect((await nobody.get('/metrics', withToken)).status).toBe(200);
  for (const path of [
    `/api/nothing?ticket=${ticket}`,
    `/nothing?token=${token}`,
    `/api/me?cookie=${admin.cookie}`,
  ]) {
    await nobody.get(path);
  }
  await nobody.get('/api/me', { headers: { cookie: 'proofcast_session=a-cookie-that-somebody-made-up' } });
  secrets.set('a wrong cookie', 'a-cookie-that-somebody-made-up');

  const { recordingId } = await publisher.stop();
  const missing = createId('recording');
  await admin.refusal('deleteRecording', { params: { recordingId: missing } });
  const state = async () => (await admin.call('recording', { params: { recordingId } })).state;
  await expect.poll(state, { timeout: 20_000 }).toBe('sealed');
  await admin.call('deleteRecording', { params: { recordingId } });
  await admin.call('signOut');
  relay.child.kill('SIGTERM');
  expect(await relay.exit).toEqual([0, null]);

  const output = relay.output();
  for (const [what, secret] of secrets) {
    expect(secret.length, what).toBeGreaterThan(7);
    expect(output.includes(secret), what).toBe(false);
    // Nor in a part that would be enough: the signature of a token, say.
    expect(output.includes(secret.split('.').at(-1)!), what).toBe(false);
  }
  const lines = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
  const refused = lines.filter(({ msg, status = 0 }) => msg === 'answered' && status >= 400);
  for (const { code: logged = '', status } of refused) {
    expect(isErrorCode(logged) && ERRORS[logged].status).toBe(status);
  }
  expect(refused.filter(({ path }) => path === '/api/sign-in').map((line) => line.code)).toEqual([
    'CREDENTIALS_WRONG',
    'MESSAGE_INVALID',
    'MESSAGE_INVALID',
  ]);
  expect(refused.filter(({ path }) => path === `/api/recordings/${missing}`)).toHaveLength(1);
  const deleted = lines.filter(({ msg }) => msg === 'deleted a recording');
  expect(deleted).toMatchObject([{ recordingId, deletedBy: expect.stringMatching(/^usr_/) as string }]);
  // Nor is media: it would make long lines.
  for (const line of output.split('\n')) expect(line.length).toBeLessThan(4_000);
  // Whatever concerns a recording names it.
  const sealed = lines.filter(({ msg }) => msg === 'sealed a recording');
  expect(sealed).toMatchObject([{ recordingId }]);
});

interface Line {
  readonly msg: string;
  readonly status?: number;
  readonly code?: string;
  readonly path?: string;
}
