import type { SFU_NOTIFICATIONS } from '@proofcast/shared';
import type { Static } from 'typebox';

/** Why a stream is over for one connection; the codes that `streamClosed` carries. */
export type StreamEndCode = Static<typeof SFU_NOTIFICATIONS.streamClosed>['code'];
