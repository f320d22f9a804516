/** What each request of the renderer does. */
import { CodedError } from '@proofcast/shared';
import type { Logger } from 'pino';
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
  log: Logger;
  /** Whatever page was there before is gone. */
  onPageReplaced: () => Promise<void>;
  /** Lets the page do once what otherwise needs a click. */
  lendGesture: () => Promise<void>;
  /** The page has captured something. */
  onPageProven: () => void;
}): IpcHandlers {
  const { settings, identity, recordings, sharing, listSources, readState } = parts;
  const { onPageReplaced, lendGesture, onPageProven, log } = parts;
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
    async forgetEnrolment({ isBacklogGivenUp }) {
      if (sharing.isActive)
        throw new CodedError('MESSAGE_UNEXPECTED', 'Stop sharing before you change the server.');
      const { backlogBytes } = recordings;
      if (backlogBytes > 0 && !isBacklogGivenUp) {
        throw new CodedError(
          'MESSAGE_UNEXPECTED',
          `Recordings wait on this machine: ${backlogBytes} bytes of them could never be delivered any more.`,
          { details: { backlogBytes } },
        );
      }
      if (backlogBytes > 0)
        log.warn({ backlogBytes }, 'the enrolment is forgotten with recordings that wait');
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
      // What is only a convenience for the next time keeps nobody from sharing, however slow or full the disk is.
      settings.update({ lastSourceId: source.sourceId }).catch((error: unknown) => {
        log.error({ err: error }, 'the source cannot be remembered');
      });
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
      const recordingId = await recordings.openCurrent(await identity.readPublisher(), source);
      if (sharing.isActive) return { recordingId };
      // The disk was slow, and the share is over: nobody would end this recording.
      await recordings.endCurrent();
      throw new CodedError('MESSAGE_UNEXPECTED', 'The share has ended.');
    },
    async beginEpoch({ recordingId, start }) {
      return { epoch: await recordings.beginEpoch(recordingId, start) };
    },
    async appendSlice({ recordingId, ...slice }) {
      const isNearlyFull = await recordings.appendMedia(recordingId, slice);
      onPageProven();
      return { isNearlyFull };
    },
    async endEpoch({ recordingId, sourceId, ...end }) {
      if (end.reason === 'source-ended') sharing.lose(sourceId);
      await recordings.endEpoch(recordingId, end);
      return {};
    },
    sendStill({ captureTimeUs, bytes }) {
      recordings.sendStill(bytes, captureTimeUs);
      return {};
    },
  };
}
