/** How long recordings are kept, and who deleted them, in words. */
import type { RetentionPolicy, RetentionPreview, Tombstone } from '@proofcast/shared';
import { formatBytes } from './size-text.ts';

export function daysText(days: number): string {
  return days === 1 ? '1 day' : `${days} days`;
}

/** `Deleted after 30 days, kept for at least 7 days`. */
export function policyText({ deleteAfterDays, keepAtLeastDays }: RetentionPolicy): string {
  const end =
    deleteAfterDays === null ? 'Never deleted by itself' : `Deleted after ${daysText(deleteAfterDays)}`;
  return keepAtLeastDays === 0 ? end : `${end}, kept for at least ${daysText(keepAtLeastDays)}`;
}

/** What a policy would delete at this moment. */
export function previewText({ recordingCount, sizeBytes }: RetentionPreview): string {
  if (recordingCount === 0) return 'At this moment no recording is old enough to be deleted.';
  const recordings = recordingCount === 1 ? '1 recording' : `${recordingCount} recordings`;
  return `${recordings} would be deleted within the next hour, ${formatBytes(sizeBytes)} altogether.`;
}

/** Why the numbers contradict one another; empty when they do not. Both may be what somebody typed. */
export function policyFault(policy: RetentionPolicy): string {
  const { deleteAfterDays, keepAtLeastDays } = policy;
  if (!isDays(keepAtLeastDays, 0)) return 'Days to keep: a whole number from 0 to 36500.';
  if (deleteAfterDays === null) return '';
  if (!isDays(deleteAfterDays, 1)) return 'Days until deletion: a whole number from 1 to 36500.';
  return deleteAfterDays < keepAtLeastDays
    ? `What is kept for at least ${daysText(keepAtLeastDays)} cannot be deleted after ${daysText(deleteAfterDays)}.`
    : '';
}

/** As the relay accepts them. */
const MAX_DAYS = 36_500;

function isDays(days: number, minimum: number): boolean {
  return Number.isInteger(days) && days >= minimum && days <= MAX_DAYS;
}

/** Who deleted it, and why it could be deleted. */
export function deletionText({ deletedBy, policy }: Pick<Tombstone, 'deletedBy' | 'policy'>): {
  readonly who: string;
  readonly why: string;
} {
  if (deletedBy.kind === 'retention') {
    return { who: 'By itself', why: `Policy: ${policyText(policy).toLowerCase()}` };
  }
  return { who: `By ${deletedBy.name}`, why: `By hand; policy then: ${policyText(policy).toLowerCase()}` };
}
