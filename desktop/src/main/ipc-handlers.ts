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
}): IpcHandlers {
  const { settings, identity, recordings, sharing, listSources, readState } = parts;
  return {
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
    async beginSharing({ sourceId }) {
      if (sharing.isActive) throw new CodedError('MESSAGE_UNEXPECTED', 'Something is being shared already.');
      sharing.begin(sourceId);
      await settings.update({ lastSourceId: sourceId });
      return {};
    },
    async endSharing() {
      // A renderer that was reloaded in the middle knows of no recording; what it left open ends here.
      try {
        await recordings.endCurrent();
      } finally {
        sharing.end();
      }
      return {};
    },
    async readSfuAccess({ isRefused }) {
      if (isRefused) identity.access.discard();
      const { tokens, renewInMs } = await identity.access.get();
      return { ...tokens.sfu, streamId: tokens.streamId, renewInMs };
    },
    async beginRecording() {
      if (!sharing.isActive) throw new CodedError('MESSAGE_UNEXPECTED', 'Nothing is being shared.');
      return { recordingId: await recordings.begin(await identity.readPublisher()) };
    },
    async beginEpoch({ recordingId, start }) {
      await recordings.beginEpoch(recordingId, start);
      return {};
    },
    async appendSlice({ recordingId, captureTimeUs, bytes }) {
      await recordings.appendMedia(recordingId, bytes, captureTimeUs);
      return {};
    },
    async endRecording({ recordingId }) {
      return { chunkCount: await recordings.end(recordingId) };
    },
  };
}
