/** The state of the app for the views: what the main process says, and the session of this page. */
import { toCodedError, type CodedError } from '@proofcast/shared';
import { onUnmounted, shallowRef, type Ref } from 'vue';
import type { DesktopState, Resumable, SharedSource } from '../ipc.ts';
import { ask, onEvent } from './main-process.ts';
import { PublishSession, type SessionState } from './publish-session.ts';

export interface SharingModel {
  /** Null until the main process has answered. */
  readonly desktop: Readonly<Ref<DesktopState | null>>;
  readonly session: Readonly<Ref<SessionState>>;
  /** Why the main process does not answer at all. */
  readonly error: Readonly<Ref<CodedError | null>>;
  start(source: SharedSource): Promise<void>;
  /** Goes on with the share that the end of the app has interrupted. */
  resume(resumable: Resumable): Promise<void>;
  changeSource(source: SharedSource): Promise<void>;
  stop(): Promise<void>;
}

/** To be called once, by the shell. */
export function useSharing(): SharingModel {
  const desktop = shallowRef<DesktopState | null>(null);
  const error = shallowRef<CodedError | null>(null);
  const sessionState = shallowRef<SessionState>({ kind: 'idle', error: null });
  const session = new PublishSession((state) => {
    sessionState.value = state;
  });
  const accept = (state: DesktopState) => {
    const hadRoom = desktop.value?.isSpoolFull === false;
    desktop.value = state;
    session.setWatched(state.relayViewerCount > 0);
    session.setStills(state.stillsIntervalMs);
    if (!hadRoom && !state.isSpoolFull) session.recordNow();
    // The SFU hears of a revocation only when the token expires; the person is not to be watched until then.
    const { recording } = state;
    if (recording.kind === 'failed' && recording.reason.code === 'DEVICE_REVOKED') void session.stop();
  };
  const subscriptions = [
    onEvent('stateChanged', accept),
    onEvent('suspended', () => session.suspend()),
    onEvent('resumed', () => session.recordNow()),
    onEvent('stopRequested', () => void stopForGood()),
  ];
  onUnmounted(() => subscriptions.forEach((unsubscribe) => unsubscribe()));

  const stopForGood = async () => {
    await session.stop();
    // Also when nothing was shared yet: the main process waits for this answer.
    await ask('endSharing', {});
  };
  const open = async () => {
    try {
      const state = await ask('openPage', {});
      accept(state);
      const { share } = state;
      if (share.kind === 'interrupted' || share.kind === 'lost') await session.continue(share);
    } catch (cause) {
      error.value = toCodedError(cause);
    }
  };
  void open();
  return {
    desktop,
    session: sessionState,
    error,
    start: (source) => session.start(source),
    resume: ({ recordingId, source }) => session.start(source, recordingId),
    changeSource: (source) => session.changeSource(source),
    stop: () => session.stop(),
  };
}
