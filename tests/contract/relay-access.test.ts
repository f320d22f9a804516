/**
 * Walks every route of the relay with every kind of caller. What a route answers follows from the access that the
 * table gives it, so a new route is covered the moment it stands in the table.
 */
import {
  createId,
  ERRORS,
  hasPermission,
  PERMISSIONS,
  RELAY_ROUTES,
  ROLES,
  type Permission,
  type RelayRouteName,
  type Role,
  type RouteAccess,
} from '@proofcast/shared';
import { SignJWT, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { startTestRelay, type TestRelay } from '../../relay/testing/test-relay.ts';
import type { TestClient, TestRequest } from '../../relay/testing/test-client.ts';

type CallerName = 'nobody' | Role | 'foreign admin' | 'device' | 'revoked device';
const CALLERS: readonly CallerName[] = ['nobody', ...ROLES, 'foreign admin', 'device', 'revoked device'];
const ROUTE_NAMES = Object.keys(RELAY_ROUTES) as RelayRouteName[];

/** Of routes that look at the body before they look for what the path names. */
const BODIES: Partial<Record<RelayRouteName, unknown>> = { createExport: { kind: 'mp4' } };

let relay: TestRelay;
let clients: Record<'nobody' | Role | 'foreign admin', TestClient>;
let device: TestDevice;
let ingestTokens: Record<'device' | 'revoked device', string>;
/** A device of the company that is there to be asked for. */
let listedDeviceId: string;

beforeAll(async () => {
  relay = await startTestRelay({ env: { METRICS_TOKEN: 'a-token-of-the-monitoring' } });
  const admin = await relay.signInAdmin();
  const foreignCompany = await relay.createCompany('Elsewhere');
  clients = {
    nobody: relay.client(),
    admin,
    viewer: await relay.signInAs('viewer'),
    auditor: await relay.signInAs('auditor'),
    ops: await relay.signInAs('ops'),
    'foreign admin': await relay.signInAs('admin', foreignCompany),
  };
  device = await TestDevice.enrol(admin, 'Desk 1');
  listedDeviceId = (await TestDevice.enrol(admin, 'Desk 2')).deviceId;
  const revoked = await TestDevice.enrol(admin, 'Desk 3');
  ingestTokens = {
    device: (await device.publishTokens(relay.client())).ingest.token,
    'revoked device': (await revoked.publishTokens(relay.client())).ingest.token,
  };
  await admin.call('revokeDevice', { params: { deviceId: revoked.deviceId } });
});
afterAll(() => relay.close());

/** A request that would be granted to who may make it, as far as one fits all. */
function requestOf(name: RelayRouteName): TestRequest {
  const params = {
    recordingId: createId('recording'),
    streamId: createId('stream'),
    deviceId: listedDeviceId,
    kind: 'poster',
  };
  const hasBody = RELAY_ROUTES[name].method === 'POST' || RELAY_ROUTES[name].method === 'PUT';
  return { params, ...(hasBody ? { body: BODIES[name] ?? {} } : {}) };
}

async function answerTo(
  caller: CallerName,
  name: RelayRouteName,
): Promise<{ status: number; code: string | null }> {
  const request = requestOf(name);
  const isDevice = caller === 'device' || caller === 'revoked device';
  const client = isDevice ? clients.nobody : clients[caller];
  const headers = isDevice ? { authorization: `Bearer ${ingestTokens[caller]}` } : {};
  if (RELAY_ROUTES[name].kind === 'websocket') {
    try {
      const socket = await client.open(name as 'view' | 'ingest', {
        ...request,
        headers: { cookie: client.cookie, ...headers },
      });
      socket.close();
      return { status: 101, code: null };
    } catch (error) {
      const { code } = error as { code: keyof typeof ERRORS };
      return { status: ERRORS[code].status, code };
    }
  }
  const response = await client.fetch(name, { ...request, headers });
  const isJson = response.headers.get('content-type')?.includes('json');
  const body = isJson ? ((await response.json()) as { code?: string }) : {};
  return { status: response.status, code: response.ok ? null : (body.code ?? null) };
}

/** Codes that mean "you may not", as opposed to "there is no such thing" or "that is not how to ask". */
const ACCESS_CODES = ['UNAUTHENTICATED', 'FORBIDDEN', 'TOKEN_INVALID', 'TICKET_INVALID', 'DEVICE_REVOKED'];

function expectedRefusal(access: RouteAccess, caller: CallerName): string | null {
  const isDevice = caller === 'device' || caller === 'revoked device';
  switch (access) {
    case 'public':
      return null;
    case 'device-assertion':
      // Nobody here sends one; what they get is a refusal of the body, which the matrix below asks for by itself.
      return null;
    case 'view-ticket':
      return 'TICKET_INVALID';
    case 'device-token':
      if (caller === 'device') return null;
      return caller === 'revoked device' ? 'DEVICE_REVOKED' : 'UNAUTHENTICATED';
    case 'metrics':
      // The one that is configured; a device's token is one of another kind.
      return isDevice ? 'TOKEN_INVALID' : 'UNAUTHENTICATED';
    case 'session':
      return caller === 'nobody' || isDevice ? 'UNAUTHENTICATED' : null;
    case 'live:watch':
    case 'recordings:read':
    case 'devices:manage':
    case 'users:manage':
    case 'retention:manage': {
      if (caller === 'nobody' || isDevice) return 'UNAUTHENTICATED';
      const role = caller === 'foreign admin' ? 'admin' : caller;
      return hasPermission(role, access) ? null : 'FORBIDDEN';
    }
  }
}

describe.each(ROUTE_NAMES)('route %s', (name) => {
  const { access } = RELAY_ROUTES[name];

  // Signing out would end the session that the others need; it has a test of its own.
  it.each(name === 'signOut' ? (['nobody', 'device'] as const) : CALLERS)(
    '[A1] answers %s as its access says',
    async (caller) => {
      const { status, code } = await answerTo(caller, name);
      const refusal = expectedRefusal(access, caller);
      if (refusal !== null) expect(code).toBe(refusal);
      else expect(ACCESS_CODES).not.toContain(code);
      if (code !== null) expect(status).toBe(ERRORS[code as keyof typeof ERRORS].status);
      expect(status).toBeLessThan(500);
    },
  );
});

describe('the company border', () => {
  const foreignNames = ROUTE_NAMES.filter((name) => RELAY_ROUTES[name].path.includes('/:'));

  it.each(foreignNames)('[A2] %s answers a foreign admin as if nothing were there', async (name) => {
    const { status, code } = await answerTo('foreign admin', name);
    expect(status).toBe(404);
    expect(code).toMatch(/NOT_FOUND$/);
  });

  it('[A2] lists show a foreign admin nothing of the company', async () => {
    const foreign = clients['foreign admin'];
    expect((await foreign.call('devices')).devices).toEqual([]);
    expect((await foreign.call('streams')).streams).toEqual([]);
    expect((await foreign.call('recordings')).recordings).toEqual([]);
    expect((await foreign.call('users')).users).toHaveLength(1);
    expect((await foreign.call('tombstones')).tombstones).toEqual([]);
    expect((await clients.admin.call('devices')).devices.length).toBeGreaterThan(1);
  });
});

describe('permissions', () => {
  it('[A1] are each used by a route, so that none is there for nothing', () => {
    const used = new Set(Object.values(RELAY_ROUTES).map((route) => route.access as string));
    expect((Object.keys(PERMISSIONS) as Permission[]).filter((permission) => !used.has(permission))).toEqual(
      [],
    );
  });
});

describe('tokens for ingest', () => {
  it.each(['sfu:publish', 'sfu:view'])('[I1] are not replaced by a token for %s', async (purpose) => {
    const { sfu } = await device.publishTokens(relay.client());
    const view = await clients.admin.call('createSfuToken');
    const token = purpose === 'sfu:publish' ? sfu.token : view.token;
    const opening = clients.nobody.open('ingest', { headers: { authorization: `Bearer ${token}` } });
    await expect(opening).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
  });

  it('[I1] are not accepted when somebody else signed them', async () => {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    const [, payload] = ingestTokens.device.split('.');
    const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as Record<string, unknown>;
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).sign(privateKey);
    const opening = clients.nobody.open('ingest', { headers: { authorization: `Bearer ${forged}` } });
    await expect(opening).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
  });
});

describe('paths that are in no table', () => {
  it.each(['/api', '/api/nothing', '/api/users/../admin', '/api/recordings/x/y/z'])(
    '[A1] %s is NOT_FOUND',
    async (path) => {
      const response = await clients.admin.get(path, { headers: { accept: 'application/json' } });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: 'NOT_FOUND' });
    },
  );
});
