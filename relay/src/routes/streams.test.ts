import { decodeJwt } from 'jose';
import { CodedError, parseTokenClaims, ROLES } from '@proofcast/shared';
import { MAX_SOCKET_FRAME_BYTES } from '../media-limits.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { closeOf, type TestClient } from '../../testing/test-client.ts';
import { TestDevice } from '../../testing/test-device.ts';
import { ADMIN, startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

const clock = new HeldClock();
let test: TestRelay;

beforeAll(async () => {
  test = await startTestRelay({ clock });
});
afterAll(() => test.close());

async function openView(client: TestClient) {
  const { ticket } = await client.call('createViewTicket');
  return client.open('view', { query: { ticket } });
}

describe('the view socket', () => {
  it('[V1] opens for a ticket once', async () => {
    const viewer = await test.signInAs('viewer');
    const { ticket, expiresAtMs } = await viewer.call('createViewTicket');
    expect(expiresAtMs).toBe(clock.nowMs() + 30_000);
    const socket = await viewer.open('view', { query: { ticket } });
    await expect(viewer.open('view', { query: { ticket } })).rejects.toMatchObject({
      code: 'TICKET_INVALID',
    });
    socket.close();
    await closeOf(socket);
  });

  it('[V1] does not open without a ticket, with an old one, or for a cookie', async () => {
    const viewer = await test.signInAs('viewer');
    const { ticket } = await viewer.call('createViewTicket');
    clock.advance(30_000);
    await expect(viewer.open('view', { query: { ticket } })).rejects.toMatchObject({
      code: 'TICKET_INVALID',
    });
    await expect(viewer.open('view', { headers: { cookie: viewer.cookie } })).rejects.toMatchObject({
      code: 'TICKET_INVALID',
    });
  });

  it('[V1] does not open for a ticket whose session has ended meanwhile', async () => {
    const viewer = await test.signInAs('viewer');
    const { ticket } = await viewer.call('createViewTicket');
    await viewer.call('signOut');
    await expect(viewer.open('view', { query: { ticket } })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
  });

  it('[V1] does not open when the role was taken away meanwhile', async () => {
    const viewer = await test.signInAs('viewer');
    const { ticket } = await viewer.call('createViewTicket');
    const { userId } = await viewer.call('me');
    await test.relay.database
      .updateTable('users')
      .set({ role: 'auditor' })
      .where('user_id', '=', userId)
      .execute();
    await expect(viewer.open('view', { query: { ticket } })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('[A4] does not open for a page of another origin, and does for a page of its own', async () => {
    const viewer = await test.signInAs('viewer');
    const { ticket } = await viewer.call('createViewTicket');
    const foreign = { query: { ticket }, headers: { origin: 'https://evil.test' } };
    await expect(viewer.open('view', foreign)).rejects.toMatchObject({ code: 'ORIGIN_REFUSED' });
    const socket = await viewer.open('view', { query: { ticket }, headers: { origin: test.relay.url } });
    socket.close();
    await closeOf(socket);
  });

  it('closes with 1009 when a frame is larger than anything the protocol has', async () => {
    const socket = await openView(await test.signInAs('viewer'));
    const closed = closeOf(socket);
    socket.send(Buffer.alloc(MAX_SOCKET_FRAME_BYTES + 1));
    expect(await closed).toMatchObject({ code: 1009 });
  });

  it('closes when its user signs out, and those of other sessions stay', async () => {
    const viewer = await test.signInAs('viewer');
    const other = await test.signInAs('viewer');
    const [socket, otherSocket] = [await openView(viewer), await openView(other)];
    const closed = closeOf(socket);
    await viewer.call('signOut');
    expect(await closed).toMatchObject({ code: 4401, reason: expect.stringMatching(/^UNAUTHENTICATED: /) });
    expect(otherSocket.readyState).toBe(otherSocket.OPEN);
    otherSocket.close();
    await closeOf(otherSocket);
  });

  it('closes when its session expires', async () => {
    const viewer = await test.signInAs('viewer');
    const socket = await openView(viewer);
    const closed = closeOf(socket);
    clock.advance(12 * 3_600_000);
    expect(await closed).toMatchObject({ code: 4401, reason: expect.stringContaining('expired') });
  });

  it('closes with SHUTTING_DOWN when the relay ends', async () => {
    const ending = await startTestRelay();
    const socket = await openView(await ending.signInAdmin());
    const closed = closeOf(socket);
    await ending.close();
    expect(await closed).toMatchObject({ code: 4503, reason: expect.stringMatching(/^SHUTTING_DOWN/) });
  });
});

describe('an SFU token', () => {
  it('lets a user watch its own company with its role, for 15 minutes', async () => {
    const viewer = await test.signInAs('viewer');
    const { userId } = await viewer.call('me');
    const { token, url, expiresAtMs } = await viewer.call('createSfuToken');
    expect(url).toBe('ws://127.0.0.1:8081/signaling');
    const claims = parseTokenClaims(decodeJwt(token));
    expect(claims).toMatchObject({
      purpose: 'sfu:view',
      aud: 'proofcast-sfu',
      sub: userId,
      company: test.companyId,
      role: 'viewer',
    });
    expect(claims.exp * 1000).toBe(expiresAtMs);
    expect(claims.exp - claims.iat).toBe(15 * 60);
  });

  it('comes with the address that is configured', async () => {
    const configured = await startTestRelay({ env: { SFU_URL: 'wss://sfu.example.test/media' } });
    try {
      const { url } = await (await configured.signInAdmin()).call('createSfuToken');
      expect(url).toBe('wss://sfu.example.test/media/signaling');
    } finally {
      await configured.close();
    }
  });
});

describe('a connection of which nobody can tell whether its session has ended', () => {
  const failOnce = (): void => {
    const { sessions } = test.relay.identity;
    const find = sessions.find.bind(sessions);
    let calls = 0;
    sessions.find = async (hash) => {
      calls += 1;
      // The first one lets it in.
      if (calls === 1) return find(hash);
      sessions.find = find;
      throw new CodedError('INTERNAL', 'the database is away');
    };
  };

  it('is closed so that its client comes again, and the others of the session stay', async () => {
    const viewer = await test.signInAs('viewer');
    const before = await openView(viewer);
    const { ticket } = await viewer.call('createViewTicket');
    failOnce();
    const socket = await viewer.open('view', { query: { ticket } });
    expect(await closeOf(socket)).toMatchObject({ code: 4500, reason: expect.stringMatching(/INTERNAL/) });
    const after = await openView(viewer);
    for (const open of [before, after]) {
      expect(open.readyState).toBe(open.OPEN);
      open.close();
      await closeOf(open);
    }
  });
});

describe('the list of streams', () => {
  it('[A2] holds the streams of the own company and of no other, for those who may watch', async () => {
    const device = await TestDevice.enrol(await test.signInAdmin(), 'Desk 9');
    const { streamId } = await device.publishTokens(test.client(), { nowMs: clock.nowMs() });
    const beta = await test.createCompany('Beta');
    for (const role of ROLES) {
      const [own, foreign] = [await test.signInAs(role), await test.signInAs(role, beta)];
      if (role === 'admin' || role === 'viewer') {
        const { streams } = await own.call('streams');
        expect(streams).toContainEqual({
          streamId,
          deviceName: 'Desk 9',
          sourceName: '',
          hasSound: false,
          state: { kind: 'offline', sinceMs: null },
          recordingId: null,
          viewerCount: 0,
        });
        expect(await foreign.call('streams')).toEqual({ streams: [] });
      } else {
        expect(await own.refusal('streams')).toMatchObject({ code: 'FORBIDDEN' });
      }
    }
  });

  it('loses the streams of a device that was revoked', async () => {
    const admin = await test.signInAdmin();
    const device = await TestDevice.enrol(admin);
    const { streamId } = await device.publishTokens(test.client(), { nowMs: clock.nowMs() });
    await admin.call('revokeDevice', { params: { deviceId: device.deviceId } });
    const { streams } = await admin.call('streams');
    expect(streams.map((stream) => stream.streamId)).not.toContain(streamId);
  });
});

it('tickets of a restarted relay are worth nothing', async () => {
  const restarted = await startTestRelay();
  try {
    const admin = restarted.client();
    await admin.call('signIn', { body: ADMIN });
    const { ticket } = await admin.call('createViewTicket');
    await restarted.restart();
    await expect(restarted.client().open('view', { query: { ticket } })).rejects.toMatchObject({
      code: 'TICKET_INVALID',
    });
  } finally {
    await restarted.close();
  }
});
