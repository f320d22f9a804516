/** A token for viewing as the relay makes it; the signature is the SFU's business. */
export function sfuToken(
  nowMs: number,
  { lifeMs = 300_000, id = 'token-no-1' }: { lifeMs?: number; id?: string } = {},
): string {
  const claims = {
    iss: 'proofcast-relay',
    aud: 'proofcast-sfu',
    purpose: 'sfu:view',
    sub: 'usr_00000000000000000001',
    company: 'cmp_00000000000000000001',
    role: 'admin',
    jti: id,
    // Of a relay whose clock is an hour behind.
    iat: Math.floor(nowMs / 1000) - 3600,
    exp: Math.floor((nowMs + lifeMs) / 1000) - 3600,
  };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return [part({ alg: 'EdDSA' }), part(claims), 'signature'].join('.');
}
