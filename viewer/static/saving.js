// What the page hands to the browser as a download: the picture on the screen, and itself as a file.

import { formatState } from "./state.js";

/** Name of the first file without its suffix. */
export function stemOf(view) {
  return (view.facts.files[0]?.name ?? "view").replace(/\.[^.]*$/, "");
}

export function savePicture(view) {
  view.composePicture().toBlob((blob) => download(blob, `${stemOf(view)}.png`), "image/png");
}

/** Save the page with the scene that is shown; tell what had to be left out. */
export async function savePage(view) {
  const { notices, source, store } = view;
  notices.tell("saving", "Saving \u2026");
  try {
    const { page, leftOut } = await source.page(view.scene(), formatState(store.state));
    download(page, `${stemOf(view)}.html`);
    notices.tell("saving", leftOut && `Saved without what could not be read:\n${leftOut}`);
  } catch (error) {
    notices.tell("saving", `The page could not be saved: ${error.message}`);
  }
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
