/** How a page reaches the bare SFU that its measurements are compared with; see pages/bare-client.ts. */
import type { Page } from 'playwright-core';
import type { BareSfuCalls } from '../../sfu/testing/bare-sfu.ts';

/** Name of the function through which a page calls the bare SFU: method and parameters. */
export const ASK_BARE_SFU = 'askBareSfu';

export interface BareSending {
  /** In the two layers of the desktop app, or in one like its large one. */
  readonly isLayered: boolean;
  /** With the start bitrate of the desktop app, and keeping the size of the picture as it does. */
  readonly isTuned: boolean;
}

/** To be called once for each page that is to reach the bare SFU. */
export async function connectToBareSfu(page: Page, calls: BareSfuCalls): Promise<void> {
  const call = (method: keyof BareSfuCalls, params: never) => calls[method](params);
  await page.exposeFunction(ASK_BARE_SFU, call);
}
