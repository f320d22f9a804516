/** What a whole browser costs, its renderers and all else that it has started included. */
import type { Browser } from 'playwright-core';

/** User and system time of all processes of the browser so far, in seconds. */
export async function browserCpuSeconds(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  try {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  } finally {
    await session.detach();
  }
}
