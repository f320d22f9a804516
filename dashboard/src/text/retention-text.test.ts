import { describe, expect, it } from 'vitest';
import { draftOf, policyOf } from '../composables/use-retention.ts';
import { deletionText, policyFault, policyText, previewText } from './retention-text.ts';

describe('a policy', () => {
  it.each([
    [null, 0, 'Never deleted by itself'],
    [1, 0, 'Deleted after 1 day'],
    [30, 7, 'Deleted after 30 days, kept for at least 7 days'],
    [null, 1, 'Never deleted by itself, kept for at least 1 day'],
  ])('of %s and %d days reads "%s"', (deleteAfterDays, keepAtLeastDays, text) => {
    expect(policyText({ deleteAfterDays, keepAtLeastDays })).toBe(text);
  });

  it.each([
    [30, 30, true],
    [null, 36_500, true],
    [29, 30, false],
    [0, 0, false],
    [1.5, 0, false],
    [36_501, 0, false],
    [10, -1, false],
    [Number.NaN, 0, false],
  ])('of %s and %d days may be saved: %s', (deleteAfterDays, keepAtLeastDays, isPossible) => {
    expect(policyFault({ deleteAfterDays, keepAtLeastDays }) === '').toBe(isPossible);
  });

  it('comes out of the form as it went in', () => {
    for (const policy of [
      { deleteAfterDays: null, keepAtLeastDays: 4 },
      { deleteAfterDays: 12, keepAtLeastDays: 0 },
    ]) {
      expect(policyOf(draftOf(policy))).toEqual(policy);
    }
  });
});

it('a preview says how many recordings go, and how much that is', () => {
  const policy = { deleteAfterDays: 1, keepAtLeastDays: 0 };
  const preview = { policy, recordingCount: 12, sizeBytes: 4_100_000, recordings: [] };
  expect(previewText(preview)).toContain('12 recordings would be deleted within the next hour, 4.1 MB');
  expect(previewText({ ...preview, recordingCount: 1 })).toContain('1 recording would');
  expect(previewText({ ...preview, recordingCount: 0 })).toContain('no recording');
});

it('a deletion says by whom and why', () => {
  const policy = { deleteAfterDays: 30, keepAtLeastDays: 7 };
  expect(deletionText({ deletedBy: { kind: 'retention' }, policy })).toEqual({
    who: 'By itself',
    why: 'Policy: deleted after 30 days, kept for at least 7 days',
  });
  const byHand = deletionText({ deletedBy: { kind: 'user', userId: 'usr_1', name: 'Ann' }, policy });
  expect(byHand.who).toBe('By Ann');
  expect(byHand.why).toContain('By hand');
});
