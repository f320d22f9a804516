// Runs in a page: the stamped screen with something like a film in a window, more than a narrow network carries.
import './stamped-screen.ts';
import { drawRestlessly } from './draw-restlessly.ts';

const PICTURES_PER_SECOND = 10;
const FILM = { left: 700, top: 250, width: 480, height: 160 } as const;

const context = document.querySelector('canvas')?.getContext('2d');
if (!context) throw new Error('The stamped screen has no canvas.');

setInterval(() => drawRestlessly(context, FILM), 1000 / PICTURES_PER_SECOND);
