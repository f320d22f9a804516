/** What each request of the renderer does. */
import { CodedError } from '@proofcast/shared';
import type { DesktopState, ScreenSource } from '../ipc.ts';
import type { DeviceIdentity } from './device-identity.ts';
import type { IpcHandlers } from './ipc-server.ts';
import type { Recordings } from './recordings.ts';
import type { SettingsFile } from './settings.ts';
import type { Sharing } from './sharing.ts';

export function createIpcHandlers(parts: {
  settings: SettingsFile;
  identity: DeviceIdentity;
  recordings: Recordings;
  sharing: Sharing;
  listSources: () => Promise<ScreenSource[]>;
  readState: () => DesktopState;
  /** Whatever page was there before is gone. */
  onPageReplaced: () => Promise<void>;
  /** Lets the page do once what otherwise needs a click. */
  lendGesture: () => Promise<void>;
  /** The page has captured something. */
  onPageProven: () => void;
}): IpcHandlers {
  const { settings, identity, recordings, sharing, listSources, readState } = parts;
  const { onPageReplaced, lendGesture, onPageProven } = parts;
  return {
    async openPage() {
      await onPageReplaced();
      return readState();
    },
    readState,
    async enrol({ serverUrl, code }) {
      await identity.enrol(serverUrl, code);
      return {};
    },
    async forgetEnrolment() {
      if (sharing.isActive)
        throw new CodedError('MESSAGE_UNEXPECTED', 'Stop sharing before you change the server.');
      await identity.forget();
      return {};
    },
    async listSources() {
      return { sources: await listSources() };
    },
    async beginSharing({ source, resumes }) {
      if (resumes !== undefined) {
        if (sharing.isActive)
          throw new CodedError('MESSAGE_UNEXPECTED', 'Something is being shared already.');
        await recordings.resume(resumes);
      }
      sharing.begin(source);
      await settings.update({ lastSourceId: source.sourceId });
      return {};
    },
    async continueSharing() {
      const source = sharing.continue();
      await lendGesture();
      return { source };
    },
    announceStop() {
      sharing.announceStop();
      return {};
    },
    async endSharing() {
      try {
        await recordings.endCurrent();
      } finally {
        sharing.end();
      }
      return {};
    },
    declineResumption() {
      recordings.declineResumption();
      return {};
    },
    async discardRecording({ recordingId }) {
      await recordings.discard(recordingId);
      return {};
    },
    async readSfuAccess({ isRefused }) {
      if (isRefused) identity.access.discard();
      const { tokens, renewInMs } = await identity.access.get();
      return { ...tokens.sfu, streamId: tokens.streamId, renewInMs };
    },
    async openRecording() {
      const { source } = sharing;
      return { recordingId: await recordings.openCurrent(await identity.readPublisher(), source) };
    },
    async beginEpoch({ recordingId, start }) {
      await recordings.beginEpoch(recordingId, start);
      return {};
    },
    async appendSlice({ recordingId, captureTimeUs, bytes }) {
      await recordings.appendMedia(recordingId, bytes, captureTimeUs);
      onPageProven();
      return {};
    },
    async endEpoch({ recordingId, reason }) {
      if (reason === 'source-ended') sharing.lose();
      await recordings.endEpoch(recordingId, reason);
      return {};
    },
    sendStill({ captureTimeUs, bytes }) {
      recordings.sendStill(bytes, captureTimeUs);
      return {};
    },
  };
}
