import { describe, expect, it } from 'vitest';
import { CodedError, ERRORS, fromErrorBody, isErrorCode, toCloseReason, toCodedError } from './errors.ts';

describe('the error registry', () => {
  it('gives every code a client or server status and a close code of the application range', () => {
    for (const definition of Object.values(ERRORS)) {
      expect(definition.status).toBeGreaterThanOrEqual(400);
      expect(definition.status).toBeLessThan(600);
      expect(definition.closeCode).toBeGreaterThanOrEqual(4000);
      expect(definition.closeCode).toBeLessThan(5000);
      expect(definition.meaning).toMatch(/\.$/);
    }
  });

  it('knows its own codes and no others, not even names that every object has', () => {
    expect(isErrorCode('NOT_FOUND')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
    expect(isErrorCode(404)).toBe(false);
  });
});

describe('CodedError', () => {
  it('[A5] crosses a border as code, message and details, and comes back the same', () => {
    const error = new CodedError('CHUNK_SEQUENCE_GAP', 'Cannot append chunk 41: expected 40.', {
      details: { expected: 40 },
    });
    const restored = fromErrorBody(JSON.parse(JSON.stringify(error.toBody())));
    expect(restored).toMatchObject({
      code: 'CHUNK_SEQUENCE_GAP',
      message: error.message,
      details: { expected: 40 },
    });
    expect(restored.isRetryable).toBe(true);
  });

  it('hides what an unforeseen error says', () => {
    const coded = toCodedError(new Error('password=secret'));
    expect(coded.code).toBe('INTERNAL');
    expect(JSON.stringify(coded.toBody())).not.toContain('secret');
    expect(coded.cause).toBeInstanceOf(Error);
  });

  it('keeps the text of a code that only a newer peer knows', () => {
    expect(fromErrorBody({ code: 'FROM_THE_FUTURE', message: 'x' })).toMatchObject({
      code: 'INTERNAL',
      message: 'FROM_THE_FUTURE: x',
    });
  });

  it('makes a close reason that fits a control frame, whatever the message', () => {
    const reason = toCloseReason(new CodedError('MESSAGE_INVALID', 'ü'.repeat(500)));
    expect(new TextEncoder().encode(reason).length).toBeLessThanOrEqual(123);
    expect(reason.startsWith('MESSAGE_INVALID: ü')).toBe(true);
  });
});
