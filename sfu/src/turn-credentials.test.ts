import { createHmac } from 'node:crypto';
import { createId } from '@proofcast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import { TurnCredentials } from './turn-credentials.ts';

const SETTINGS = {
  urls: ['turn:turn.example:3478?transport=udp', 'turns:turn.example:443?transport=tcp'],
  secret: 'north remembers, south forgets',
  ttlS: 600,
};
const user = {
  kind: 'user',
  companyId: createId('company'),
  userId: createId('user'),
  role: 'viewer',
} as const;

describe('[S16] credentials for TURN', () => {
  it('name when they expire and who they are for, and prove it as coturn checks it', () => {
    const [server, ...others] = new TurnCredentials(SETTINGS, () => 1_000_000_999).iceServersFor(user);
    expect(others).toEqual([]);
    expect(server?.urls).toEqual(SETTINGS.urls);
    expect(server?.username).toBe(`1000600:${user.userId}`);
    const proof = createHmac('sha1', SETTINGS.secret).update(server?.username ?? '');
    expect(server?.credential).toBe(proof.digest('base64'));
  });

  it('are none without servers', () => {
    expect(new TurnCredentials({ ...SETTINGS, urls: [] }).iceServersFor(user)).toEqual([]);
  });
});

describe('[S16] authenticate', () => {
  let running: RunningSfu;
  afterEach(() => running.stop());

  it('answers with them, for devices as well as for users, and never with the secret', async () => {
    running = await runSfu({ turn: SETTINGS });
    const deviceId = createId('device');
    for (const [token, subject] of [
      [await running.issuer.viewer({ userId: user.userId }), user.userId],
      [await running.issuer.publisher(createId('stream'), { deviceId }), deviceId],
    ] as const) {
      const client = await running.connect();
      const answer = await client.request('authenticate', { token });
      expect(answer.iceServers).toHaveLength(1);
      expect(answer.iceServers[0]?.username.split(':')[1]).toBe(subject);
      expect(JSON.stringify(answer)).not.toContain(SETTINGS.secret);
    }
  });

  it('gives nothing to a client whose token is refused', async () => {
    running = await runSfu({ turn: SETTINGS });
    const client = await running.connect();
    const answer = await client.sendRaw(
      JSON.stringify({ id: 7, method: 'authenticate', params: { token: 'x'.repeat(40) } }),
    );
    expect(answer).toContain('TOKEN_INVALID');
    expect(answer).not.toContain('turn');
  });
});
