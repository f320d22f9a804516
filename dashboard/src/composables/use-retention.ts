/** The policy of the company: what holds, what somebody typed, and what that would delete. Nothing is saved unseen. */
import type { RetentionPolicy, RetentionPreview } from '@proofcast/shared';
import { computed, reactive, ref, shallowRef, watch, type ComputedRef, type Ref, type ShallowRef } from 'vue';
import { policyFault } from '../text/retention-text.ts';
import { useLoaded, type Loaded } from './use-loaded.ts';
import { useRelay } from './use-services.ts';

/** What is in the form. Fields that somebody has emptied are not numbers. */
export interface RetentionDraft {
  isDeleting: boolean;
  deleteAfterDays: number;
  keepAtLeastDays: number;
}

export interface RetentionForm {
  readonly current: Loaded<RetentionPolicy>;
  readonly draft: RetentionDraft;
  /** Why the draft cannot be a policy; empty when it can. */
  readonly fault: ComputedRef<string>;
  readonly isChanged: ComputedRef<boolean>;
  /** What the draft would delete, as it is now; null until somebody has asked. */
  readonly preview: Readonly<ShallowRef<RetentionPreview | null>>;
  readonly error: Readonly<ShallowRef<unknown>>;
  readonly isBusy: Readonly<Ref<boolean>>;
  look(): Promise<void>;
  /** Throws what the server says. */
  save(): Promise<void>;
}

const SUGGESTED_DAYS = 90;

export function useRetention(): RetentionForm {
  const relay = useRelay();
  const draft = reactive<RetentionDraft>({
    isDeleting: false,
    deleteAfterDays: SUGGESTED_DAYS,
    keepAtLeastDays: 0,
  });
  const preview = shallowRef<RetentionPreview | null>(null);
  const error = shallowRef<unknown>(null);
  const isBusy = ref(false);
  const current = useLoaded(() => relay.call('retentionPolicy'));
  const policy = computed(() => policyOf(draft));
  const fault = computed(() => policyFault(policy.value));

  watch(current.value, (loaded) => {
    if (loaded !== null) Object.assign(draft, draftOf(loaded));
  });
  watch(policy, () => {
    preview.value = null;
    error.value = null;
  });

  return {
    current,
    draft,
    fault,
    preview,
    error,
    isBusy,
    isChanged: computed(() => {
      const saved = current.value.value;
      return (
        saved !== null &&
        (saved.deleteAfterDays !== policy.value.deleteAfterDays ||
          saved.keepAtLeastDays !== policy.value.keepAtLeastDays)
      );
    }),
    look: async () => {
      const asked = policy.value;
      isBusy.value = true;
      error.value = null;
      try {
        const answer = asked.deleteAfterDays === null ? nothingOf(asked) : await askFor(asked);
        if (asked === policy.value) preview.value = answer;
      } catch (failure) {
        if (asked === policy.value) error.value = failure;
      } finally {
        isBusy.value = false;
      }
    },
    save: async () => {
      await relay.call('setRetentionPolicy', { body: policy.value });
      preview.value = null;
      await current.load();
    },
  };

  function askFor({ deleteAfterDays, keepAtLeastDays }: RetentionPolicy): Promise<RetentionPreview> {
    return relay.call('retentionPreview', {
      query: { keepAtLeastDays, ...(deleteAfterDays === null ? {} : { deleteAfterDays }) },
    });
  }
}

export function policyOf({ isDeleting, deleteAfterDays, keepAtLeastDays }: RetentionDraft): RetentionPolicy {
  return { deleteAfterDays: isDeleting ? deleteAfterDays : null, keepAtLeastDays };
}

export function draftOf({ deleteAfterDays, keepAtLeastDays }: RetentionPolicy): RetentionDraft {
  return {
    isDeleting: deleteAfterDays !== null,
    deleteAfterDays: deleteAfterDays ?? SUGGESTED_DAYS,
    keepAtLeastDays,
  };
}

/** A policy that deletes nothing; the server is asked only for those that do. */
function nothingOf(policy: RetentionPolicy): RetentionPreview {
  return { policy, recordingCount: 0, sizeBytes: 0, recordings: [] };
}
