// A film of one turn of the images that are shown, drawn frame by frame while the page goes on answering.

import { GifFilm } from "./gif.js";
import { painted, sheetOf } from "./sheet.js";

/**
 * Draw a turn about the y axis from the azimuth that is shown; returns the film as a blob, null where `cancelled()` says
 * so. `told(n)` is called before each frame.
 */
export async function filmOf(view, options, { frames, fps, pixels, told, cancelled }) {
  const { ground, patch } = options;
  const start = view.store.state.azimuth;
  const fixed = { ...view.store.state, ...patch }; // what is changed meanwhile does not come into the film
  let film = null;
  let context = null;
  for (let n = 0; n < frames; n += 1) {
    if (cancelled()) return null;
    told(n);
    const azimuth = ((((start + (360 * n) / frames + 180) % 360) + 360) % 360) - 180;
    painted(view, { ...fixed, azimuth }, ground, () => {
      const sheet = sheetOf(view, options);
      const density = pixels / sheet.width;
      if (!film) {
        const canvas = Object.assign(document.createElement("canvas"), { width: pixels, height: Math.round(sheet.height * density) });
        context = canvas.getContext("2d", { willReadFrequently: true });
        film = new GifFilm(canvas.width, canvas.height, fps);
      }
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = "#ffffff";
      context.fillRect(0, 0, film.width, film.height); // a film has no clear ground
      context.setTransform(density, 0, 0, density, 0, 0);
      sheet.paint(context, density);
    });
    film.add(context.getImageData(0, 0, film.width, film.height).data);
    await new Promise((resume) => setTimeout(resume, 0));
  }
  return film.blob();
}
