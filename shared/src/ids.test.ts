import { describe, expect, it } from 'vitest';
import { createId, randomLetters, RecordingId, StreamId } from './ids.ts';
import { Value } from 'typebox/value';

describe('createId', () => {
  it('makes ids that match the schema of their kind and no other', () => {
    const id = createId('recording');
    expect(Value.Check(RecordingId, id)).toBe(true);
    expect(Value.Check(StreamId, id)).toBe(false);
  });

  it('makes ids that are safe as file names', () => {
    for (let i = 0; i < 200; i++) expect(createId('stream')).toMatch(/^[a-z0-9_]+$/);
  });

  it('takes its randomness from what it is given', () => {
    const zeros = (bytes: Uint8Array<ArrayBuffer>) => bytes.fill(0);
    expect(createId('device', zeros)).toBe(`dev_${'0'.repeat(20)}`);
  });
});

describe('randomLetters', () => {
  it('uses every letter of the alphabet and none that people confuse', () => {
    const seen = new Set(randomLetters(20_000));
    expect(seen.size).toBe(32);
    for (const confusing of 'iloO') expect(seen.has(confusing)).toBe(false);
  });
});

describe('id schemas', () => {
  it.each([
    '',
    'rec_',
    'rec_../../etc/passwd0000',
    `rec_${'a'.repeat(21)}`,
    `REC_${'a'.repeat(20)}`,
    `rec_${'a'.repeat(19)}/`,
  ])('refuse %j', (text) => expect(Value.Check(RecordingId, text)).toBe(false));
});
