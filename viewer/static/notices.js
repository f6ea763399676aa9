// The note above the images: lines of several concerns, each told and taken back by itself.

export class Notices {
  constructor(root) {
    Object.assign(this, { root, lines: new Map() });
  }

  /** Tell something of a concern in place of what it told before; an empty text takes that back. */
  tell(concern, text) {
    if (text) this.lines.set(concern, text);
    else this.lines.delete(concern);
    const told = [...this.lines.values()].join("\n");
    if (told !== this.root.textContent) this.root.textContent = told;
    this.root.hidden = !told;
  }
}
