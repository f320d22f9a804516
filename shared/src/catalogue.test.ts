import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { encodeMessage, parseMessage } from './catalogue.ts';
import { INGEST_FROM_PUBLISHER, RECORDING_EVENTS, VIEW_FROM_VIEWER } from './relay-protocol.ts';

const catalogue = { greet: Type.Object({ name: Type.String({ maxLength: 5 }) }) } as const;

describe('parseMessage', () => {
  it('returns what encodeMessage wrote', () => {
    const message = { type: 'greet', data: { name: 'Ada' } } as const;
    expect(parseMessage(catalogue, encodeMessage(catalogue, message))).toEqual(message);
  });

  it.each([
    ['text that is not JSON', 'hello'],
    ['an array', '[]'],
    ['null', 'null'],
    ['no type', '{"data":{}}'],
    ['an unknown type', '{"type":"part","data":{}}'],
    ['a type that every object has', '{"type":"constructor","data":{}}'],
    ['no data', '{"type":"greet"}'],
    ['data of another shape', '{"type":"greet","data":{"name":7}}'],
    ['a value beyond its limit', '{"type":"greet","data":{"name":"Augusta"}}'],
  ])('refuses %s', (_, text) => {
    expect(() => parseMessage(catalogue, text)).toThrowError(
      expect.objectContaining({ code: 'MESSAGE_INVALID' }),
    );
  });

  it('names the place that is wrong', () => {
    expect(() => parseMessage(catalogue, '{"type":"greet","data":{"name":7}}')).toThrowError(
      /"greet".*\/name/,
    );
  });
});

describe('the catalogues of the relay', () => {
  it('[I2] refuse a hello whose recording id could be a path', () => {
    const hello = { protocol: 1, recordingId: '../../../etc/passwd', startedAtUs: 1, sentAtUs: 1 };
    expect(() =>
      parseMessage(INGEST_FROM_PUBLISHER, JSON.stringify({ type: 'hello', data: hello })),
    ).toThrowError(expect.objectContaining({ code: 'MESSAGE_INVALID' }));
  });

  it('[V3] refuse channel zero, which marks frames of publishers', () => {
    const watch = { type: 'watch', data: { channel: 0, streamId: `str_${'a'.repeat(20)}` } };
    expect(() => parseMessage(VIEW_FROM_VIEWER, JSON.stringify(watch))).toThrowError(/channel/);
  });

  it('[I7] refuse an epoch that is no webm', () => {
    const data = {
      mimeType: 'video/mp4',
      startedAtUs: 1,
      sourceName: '',
      widthPx: 1,
      heightPx: 1,
      hasAudio: false,
    };
    expect(() =>
      parseMessage(RECORDING_EVENTS, JSON.stringify({ type: 'epoch-started', data })),
    ).toThrowError(/mimeType/);
  });
});
