// The kinds of controls: each is bound to one name of the state, and says what it does when the pointer rests on it.

import { element } from "./panels.js";

export class Widgets {
  constructor(store) {
    Object.assign(this, { store, updaters: [] });
  }

  update(state) {
    for (const updater of this.updaters) updater(state);
  }

  /** Parts under a title that are shown on some tabs only. */
  group(title, tabs, ...children) {
    return this.onTabs(tabs, element("section", { className: "group" }, element("h3", {}, title), ...children.filter(Boolean)));
  }

  /** What does nothing on a tab is not shown there. */
  onTabs(tabs, shown) {
    this.updaters.push(({ tab }) => (shown.hidden = !tabs.includes(tab)));
    return shown;
  }

  /**
   * A slider with a field to type into. `shown` turns the state into the number in the field, `disabled` says where the
   * control does nothing, `set` turns a new number into a change of the state.
   */
  slider(name, label, title, { min, max, step, unit = "", shown = (s) => s[name], disabled = () => false, set = (v) => ({ [name]: v }) }) {
    const change = (text) => {
      const value = text.trim() === "" ? NaN : Number(text);
      if (Number.isFinite(value)) this.store.set(set(Math.min(max, Math.max(min, value))));
    };
    const input = element("input", { type: "range", id: name, min, max, step, title });
    const typed = element("input", { type: "number", id: `${name}-typed`, className: "typed", min, max, step: "any", title, "aria-label": label });
    input.addEventListener("input", () => change(input.value));
    typed.addEventListener("change", () => (change(typed.value), (typed.value = rounded(shown(this.store.state)))));
    this.updaters.push((state) => {
      input.value = state[name];
      input.disabled = typed.disabled = disabled(state);
      if (document.activeElement !== typed || rounded(Number(typed.value)) !== rounded(shown(state))) typed.value = rounded(shown(state));
    });
    const field = element("span", { className: "field" }, typed, unit);
    return element("div", { className: "slider" }, element("label", { for: name, title }, label), field, input);
  }

  /** One number to type, or none: an empty field is `null`. */
  number(id, label, title, { value, set, step = "any" }) {
    const input = element("input", { type: "number", id, className: "typed", step, title, "aria-label": label });
    input.addEventListener("change", () => set(input.value.trim() === "" ? null : Number(input.value)));
    this.updaters.push(() => {
      if (document.activeElement !== input) input.value = value() ?? "";
    });
    return input;
  }

  buttons(name, options, label) {
    const made = options.map(([value, text, title]) => {
      const button = element("button", { type: "button", id: `${name}-${value}`, title, onclick: () => this.store.set({ [name]: value }) }, text);
      this.updaters.push((state) => button.setAttribute("aria-pressed", state[name] === value));
      return button;
    });
    return element("div", { className: "buttons", role: "group", "aria-label": label }, ...made);
  }

  choice(name, label, title, options) {
    const select = element("select", { id: name, title }, ...options.map(([value, text]) => element("option", { value }, text)));
    select.addEventListener("change", () => this.store.set({ [name]: typeof this.store.state[name] === "number" ? Number(select.value) : select.value }));
    this.updaters.push((state) => (select.value = state[name]));
    return element("div", { className: "row" }, element("label", { for: name, title }, label), select);
  }

  check(name, label, title) {
    const input = element("input", { type: "checkbox", id: name, title });
    input.addEventListener("change", () => this.store.set({ [name]: input.checked }));
    this.updaters.push((state) => (input.checked = state[name]));
    return element("label", { className: "check", title }, input, label);
  }

  action(text, title, run, id) {
    return element("button", { type: "button", id, title, onclick: run }, text);
  }
}

function rounded(value) {
  return Number(value.toPrecision(6));
}
