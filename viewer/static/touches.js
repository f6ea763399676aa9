// Mouse and fingers on a canvas, told apart: a click, a drag, two fingers that pinch, the wheel with Ctrl.

const STILL = 4; // pixels that a click may stray

/** The wheel scrolls the page; with Ctrl, as browsers report a pinch on a touch pad, it zooms by a factor. */
export function wheelZoom(event, zoom) {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : Math.abs(event.deltaY) < 50 ? 0.01 : 0.0015)));
}

export class Touches {
  /**
   * Listen on a canvas. `start(event)`: a first finger or button is down; `click(event)`: it went up where it was;
   * `drag(event, dx, dy)`: it moved; `pinch(event, factor, dx, dy)`: two fingers spread by a factor and moved.
   */
  constructor(canvas, handlers) {
    Object.assign(this, { canvas, handlers, down: new Map(), strayed: 0, held: [0, 0] });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.end(event));
  }

  begin(event) {
    if (!this.down.size) {
      [this.strayed, this.held] = [0, [0, 0]];
      this.handlers.start?.(event);
    } else this.strayed = Infinity;
    this.down.set(event.pointerId, [event.clientX, event.clientY]);
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const last = this.down.get(event.pointerId);
    if (!last) return;
    if (!event.buttons) return this.end(event);
    const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
    const other = [...this.down].find(([id]) => id !== event.pointerId)?.[1];
    this.down.set(event.pointerId, [event.clientX, event.clientY]);
    this.strayed += Math.hypot(dx, dy);
    if (!other) {
      this.held = [this.held[0] + dx, this.held[1] + dy];
      if (this.strayed <= STILL) return; // it may become a click
      this.handlers.drag(event, ...this.held);
      this.held = [0, 0];
      return;
    }
    const spread = (point) => Math.max(8, Math.hypot(point[0] - other[0], point[1] - other[1]));
    this.handlers.pinch(event, spread([event.clientX, event.clientY]) / spread(last), dx / 2, dy / 2);
  }

  end(event) {
    if (!this.down.delete(event.pointerId)) return;
    if (event.type === "pointerup" && this.strayed <= STILL && event.button === 0) this.handlers.click?.(event);
  }
}
