// Runs in a page: the stamped screen with something like a film in a window, more than a narrow network carries.
import './stamped-screen.ts';

const PICTURES_PER_SECOND = 10;
const FILM = { left: 700, top: 250, width: 480, height: 160 } as const;
/** The film is made of patches, other ones each time: no picture of it helps with the next one. */
const PATCHES = { count: 32, width: 24, height: 12 } as const;

const context = document.querySelector('canvas')?.getContext('2d');
if (!context) throw new Error('The stamped screen has no canvas.');

setInterval(() => {
  for (let patch = 0; patch < PATCHES.count; patch += 1) {
    context.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
    const x = FILM.left + Math.random() * (FILM.width - PATCHES.width);
    const y = FILM.top + Math.random() * (FILM.height - PATCHES.height);
    context.fillRect(x, y, PATCHES.width, PATCHES.height);
  }
}, 1000 / PICTURES_PER_SECOND);
