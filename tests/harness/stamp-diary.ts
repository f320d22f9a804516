/**
 * The stamps of all that a tile shows, written down in the page as pictures are composed, whichever video element they
 * are in: reading them costs no round trip, so that many pages can be watched at a time.
 */
import type { Locator } from 'playwright-core';
import { decodeCells, STAMP_COLUMNS, STAMP_HEIGHT_FRACTION, STAMP_ROWS } from './stamp.ts';
import type { SeenStamp } from './stamp-readers.ts';

/** Enough to date a loss and a return; a page has more to do than to be read. */
const INTERVAL_MS = 100;

interface SeenCells {
  readonly seenAtMs: number;
  /** One character for each cell, `1` is white. */
  readonly cells: string;
}

declare global {
  interface Element {
    /** Put there by `StampDiary`. */
    stampDiary?: SeenCells[];
  }
}

export class StampDiary {
  readonly #tile: Locator;

  private constructor(tile: Locator) {
    this.#tile = tile;
  }

  static async open(tile: Locator): Promise<StampDiary> {
    await tile.evaluate(keepDiary, {
      columns: STAMP_COLUMNS,
      rows: STAMP_ROWS,
      fraction: STAMP_HEIGHT_FRACTION,
      intervalMs: INTERVAL_MS,
    });
    return new StampDiary(tile);
  }

  /** In the order in which they were seen; a picture that shows no intact stamp is left out. */
  async read(): Promise<SeenStamp[]> {
    const diary = await this.#tile.evaluate(({ stampDiary }) => stampDiary);
    if (!diary) throw new Error('The tile whose stamps were written down is no longer in the page.');
    return diary.flatMap(({ seenAtMs, cells }) => {
      const stampMs = decodeCells(Array.from(cells, (cell) => cell === '1'));
      return stampMs === null ? [] : [{ stampMs, seenAtMs }];
    });
  }
}

/** Runs in the page. */
function keepDiary(
  tile: Element,
  settings: { columns: number; rows: number; fraction: number; intervalMs: number },
): void {
  const { columns, rows, fraction, intervalMs } = settings;
  const diary: SeenCells[] = [];
  // Ten by ten pixels a cell, of which the one in the middle counts.
  const [width, height] = [columns * 10, rows * 10];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  let shown: HTMLVideoElement | null = null;
  let readAtMs = 0;

  const read = (video: HTMLVideoElement): void => {
    const seenAtMs = Date.now();
    if (video.videoWidth === 0 || seenAtMs - readAtMs < intervalMs) return;
    readAtMs = seenAtMs;
    context.drawImage(video, 0, 0, video.videoWidth, video.videoHeight * fraction, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    let cells = '';
    for (let y = 5; y < height; y += 10) {
      for (let x = 5; x < width; x += 10) cells += data[(y * width + x) * 4 + 1]! > 127 ? '1' : '0';
    }
    diary.push({ seenAtMs, cells });
  };
  const follow = (video: HTMLVideoElement): void => {
    video.requestVideoFrameCallback(() => {
      if (video !== shown) return;
      read(video);
      follow(video);
    });
  };
  const look = (): void => {
    const video = tile.querySelector<HTMLVideoElement>('[data-testid="video"]');
    if (video === shown) return;
    shown = video;
    if (video) follow(video);
  };
  look();
  new MutationObserver(look).observe(tile, {
    subtree: true,
    childList: true,
    attributeFilter: ['data-testid'],
  });
  tile.stampDiary = diary;
}
