/** Controls with a `data-path`, bound to the document: what is typed becomes changes, what others change is written in. */

import { valueAt } from "./dom.js";

const PAUSE_MS = 120;
/** Somebody who types without a pause is saved this often. */
const LONGEST_MS = 400;

export class Fields {
  #controls = new Set();
  /** Controls that say something that is not a change yet. */
  #edited = new Set();
  #composing = null;
  #pause = null;
  #longest = null;

  constructor(doc) {
    this.doc = doc;
    document.addEventListener("input", (event) => this.#input(event.target));
    document.addEventListener("change", (event) => this.#changed(event.target));
    document.addEventListener("focusout", () => this.flush());
    document.addEventListener("compositionstart", (event) => (this.#composing = event.target));
    document.addEventListener("compositionend", (event) => {
      this.#composing = null;
      this.#input(event.target);
    });
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.flush());
    window.addEventListener("pagehide", () => this.flush());
    window.addEventListener("beforeunload", (event) => this.#leave(event));
    doc.subscribe(() => this.show());
  }

  /** Binds every control with a `data-path` under `root`. */
  bind(root) {
    for (const control of root.querySelectorAll("[data-path]")) this.#controls.add(control);
    this.show();
  }

  /** Binds one control to another path; what was typed for the former one is saved before. */
  rebind(control, path) {
    if (control.dataset.path === path) return;
    this.flush();
    control.dataset.path = path;
    this.#controls.add(control);
    this.show();
  }

  release(control) {
    this.flush();
    this.#controls.delete(control);
  }

  /** Makes changes of everything typed so far. */
  flush() {
    clearTimeout(this.#pause);
    clearTimeout(this.#longest);
    this.#pause = this.#longest = null;
    for (const control of [...this.#edited]) this.#save(control);
  }

  /** Writes the state into the controls. */
  show() {
    for (const control of this.#controls) {
      if (this.#edited.has(control) || control === this.#composing) continue;
      write(control, valueAt(this.doc.state, control.dataset.path));
    }
  }

  #input(control) {
    if (!this.#controls.has(control) || control === this.#composing) return;
    this.#edited.add(control);
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.flush(), PAUSE_MS);
    this.#longest ??= setTimeout(() => this.flush(), LONGEST_MS);
  }

  /** In mid-word: storing takes a moment, and a page that is gone has none. */
  #leave(event) {
    if (this.#edited.size === 0) return;
    this.flush();
    event.preventDefault();
  }

  #changed(control) {
    if (!this.#controls.has(control)) return;
    if (control.type === "radio" || control.tagName === "SELECT") this.#edited.add(control);
    this.flush();
  }

  #save(control) {
    const value = read(control);
    if (value === undefined) return; // half a number: it stays in the control until it is one
    this.#edited.delete(control);
    const { path } = control.dataset;
    const known = valueAt(this.doc.state, path);
    if (value === known || (value === "" && known === undefined)) return;
    try {
      const { local } = value === "" ? this.doc.remove(path) : this.doc.set(path, value);
      local.catch(() => undefined); // the status line says when storage failed
    } catch (error) {
      if (!(error instanceof sessile.SessileError)) throw error;
      this.#edited.add(control); // refused, too long for example: it stays where it is, and the status says why
    }
  }
}

function read(control) {
  if (control.type === "radio") return control.checked ? control.value : undefined;
  if (control.type !== "number" || control.value === "") return control.validity.badInput ? undefined : control.value;
  const number = Number(control.value);
  return Number.isFinite(number) ? number : undefined;
}

function write(control, value) {
  const text = value === undefined || value === null ? "" : String(value);
  if (control.type === "radio") control.checked = control.value === text;
  else if (control.value !== text && !(control.type === "number" && document.activeElement === control && Number(control.value) === value)) writeText(control, text);
}

/** Keeps the caret at the same words when somebody else's change comes in. */
function writeText(control, text) {
  const { value: old, selectionStart: start, selectionEnd: end, selectionDirection: direction } = control;
  control.value = text;
  if (document.activeElement !== control || start === null || start === undefined) return;
  let same = 0;
  while (same < Math.min(old.length, text.length) && old[same] === text[same]) same++;
  const moved = (caret) => Math.max(0, caret <= same ? caret : Math.max(same, caret + text.length - old.length));
  control.setSelectionRange(moved(start), moved(end), direction);
}
