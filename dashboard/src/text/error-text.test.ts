import { CodedError } from '@proofcast/shared';
import { expect, it } from 'vitest';
import { errorText } from './error-text.ts';

it('tells the reader what to do, not what the server thought', () => {
  expect(errorText(new CodedError('CREDENTIALS_WRONG', 'x'))).toContain('not right');
  expect(errorText(new CodedError('UNAVAILABLE', 'x'))).toContain('cannot be reached');
});

it('says for how long to wait', () => {
  const after = (retryAfterS: number) =>
    errorText(new CodedError('TOO_MANY_REQUESTS', 'x', { details: { retryAfterS } }));
  expect(after(42)).toContain('42 seconds');
  expect(after(600)).toContain('10 minutes');
  expect(errorText(new CodedError('TOO_MANY_REQUESTS', 'x'))).toContain('Wait a minute');
});

it('lets a code without words of its own speak with its message', () => {
  expect(errorText(new CodedError('STORAGE_FULL', 'The disk has 3 MB left.'))).toBe(
    'The disk has 3 MB left.',
  );
});

it('shows nothing of an error that was not meant for people', () => {
  expect(errorText(new TypeError('undefined is not a function'))).not.toContain('undefined');
});

it('says until when the policy keeps a recording', () => {
  const details = { keepUntilMs: Date.UTC(2027, 0, 31, 12) };
  const text = errorText(new CodedError('RETENTION_KEEPS', 'x', { details }));
  expect(text).toContain('2027');
  expect(text).toContain('nobody can delete it');
  expect(errorText(new CodedError('RETENTION_KEEPS', 'Kept for 7 days.'))).toBe('Kept for 7 days.');
});
