/** Files that are made of a recording for convenience, in words. */
import { fromErrorBody, type Derivative } from '@proofcast/shared';
import { errorText } from './error-text.ts';

/** How far it is; empty when it is there. */
export function derivativeStateText({ state, progress, failure }: Derivative): string {
  const reason =
    failure === null ? '' : errorText(fromErrorBody({ code: failure.code, message: failure.message }));
  switch (state) {
    case 'waiting':
      return reason === '' ? 'Waiting for its turn' : `It failed and is tried again by itself: ${reason}`;
    case 'running':
      return `${percentOf(progress)} made`;
    case 'failed':
      return `It could not be made: ${reason} The recording itself is not touched by this.`;
    case 'done':
      return '';
  }
}

function percentOf(progress: number): string {
  return `${Math.floor(progress * 100)} %`;
}
