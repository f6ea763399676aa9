// Files that change while they are looked at: their new facts and images come under the same view.

const WATCH_MS = 1000;

export class Following {
  constructor(view) {
    this.view = view;
  }

  /** Look once a second whether a file was written. */
  start() {
    setTimeout(() => this.look(), WATCH_MS);
  }

  async look() {
    const { view } = this;
    try {
      const versions = await view.source.versions();
      const shown = view.facts.files.map((file) => file.version);
      if (versions.some((version, n) => version !== shown[n])) await this.refresh();
      else await this.settleBack();
      view.notices.tell("server", "");
    } catch {
      view.notices.tell("server", "The viewer's server does not answer; what is shown may be old.");
    }
    this.start();
  }

  /** Every file is the one that is shown, also one that was gone meanwhile. */
  async settleBack() {
    const { view } = this;
    view.notices.tell("waiting", "");
    if (view.shownPanels().some((panel) => panel.loaded === "")) await view.load();
  }

  /** Take the new facts of files that changed; one that cannot be read just now keeps what is shown. */
  async refresh() {
    const { view } = this;
    const before = view.facts.files;
    const files = await Promise.all(before.map((_, n) => view.source.fileFacts(n)));
    const waits = (file, n) => file.problem && before[n].items.length;
    const next = files.map((file, n) => (waits(file, n) ? before[n] : file));
    const waiting = files.filter(waits).map((file) => `${file.name} is being written or is gone; its last whole version is shown.`);
    view.notices.tell("waiting", waiting.join("\n"));
    if (next.some((file, n) => file.version !== before[n].version)) {
      view.takeFacts({ ...view.facts, files: next });
      await view.load();
    }
  }
}
