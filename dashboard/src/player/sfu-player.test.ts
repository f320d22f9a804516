import { expect, it } from 'vitest';
import { toViewPreference } from './sfu-player.ts';

it.each([
  [
    'of a size that is not known yet is asked for whole',
    { isVisible: true, widthPx: 0, isFocus: false, isHeard: false },
    { maxSpatialLayer: null, priority: 1 },
  ],
  [
    'in a small tile is asked for in the small layer',
    { isVisible: true, widthPx: 640, isFocus: false, isHeard: false },
    { maxSpatialLayer: 0, priority: 1 },
  ],
  [
    'in a larger tile is asked for whole',
    { isVisible: true, widthPx: 641, isFocus: false, isHeard: false },
    { maxSpatialLayer: null, priority: 1 },
  ],
  [
    'that is shown alone is asked for whole and first, however small',
    { isVisible: true, widthPx: 320, isFocus: true, isHeard: false },
    { maxSpatialLayer: null, priority: 10 },
  ],
])('a picture %s', (_what, seen, wanted) => {
  expect(toViewPreference(seen)).toEqual({ isPaused: false, isHeard: false, ...wanted });
});

it('a picture that nobody sees is paused, still heard, and still in its layer when it comes back', () => {
  const unseen = { isVisible: false, widthPx: 320, isFocus: false, isHeard: true };
  const wanted = { isPaused: true, isHeard: true, maxSpatialLayer: 0, priority: 1 };
  expect(toViewPreference(unseen)).toEqual(wanted);
});
