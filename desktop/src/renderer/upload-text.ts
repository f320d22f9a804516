/** What the state of an earlier recording's upload is called, and how it looks. */
import type { UploadItem } from '../ipc.ts';
import type { PathText } from './path-text.ts';
import { sizeText } from './size-text.ts';

export function uploadText({ state, backlogBytes }: UploadItem): PathText {
  const left = sizeText(backlogBytes);
  switch (state.kind) {
    case 'pending':
      return { mark: 'idle', title: 'Pending', detail: `${left} wait for their turn.` };
    case 'uploading':
      return { mark: 'busy', title: `Uploading ${state.percent} %`, detail: `${left} left.` };
    case 'processing':
      return { mark: 'busy', title: 'Processing', detail: 'All of it is on the server, which finishes it.' };
    case 'done':
      return { mark: 'done', title: 'Done', detail: 'Safe on the server.' };
    case 'waiting':
      return { mark: 'warning', title: 'Waiting', detail: `${state.reason.message} ${left} left.` };
    case 'interrupted':
      return { mark: 'warning', title: 'Interrupted', detail: 'All there is of it is safe on the server.' };
    case 'refused':
      return { mark: 'error', title: 'Refused', detail: `${state.reason.message} ${left} are kept here.` };
  }
}
