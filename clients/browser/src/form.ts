/** Binds a form to a document: every named control is restored from, and saved under, `/<name>`. */

import type { Doc } from "./document.js";
import type { Timers } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import { boundControl, type Control, groupsOf, isText, read, write } from "./fields.js";
import { formatPointer } from "./pointer.js";
import { type Json, sameValue } from "./values.js";

export interface FormOptions {
  readonly timers: Timers;
  /** The window whose `pagehide` is the last moment to save. */
  readonly window: EventTarget | undefined;
  /** Whether to ask before the page is left in mid-word: what is typed in the pause before a save is not stored anywhere. */
  readonly leaveGuard: boolean;
}

const TYPING_PAUSE_MS = 150;

/** Binds until the returned function is called. */
export function bindForm(form: HTMLFormElement, doc: Doc, options: FormOptions): () => void {
  const binding = new FormBinding(form, doc, options);
  return () => binding.close();
}

class FormBinding {
  /** Names whose control says something that is not a change yet. */
  readonly #edited = new Set<string>();
  /** Names that the state had when it was last shown: one that goes away empties its control. */
  #shown = new Set<string>();
  #timer: unknown = null;
  readonly #off: (() => void)[] = [];

  constructor(private readonly form: HTMLFormElement, private readonly doc: Doc, private readonly options: FormOptions) {
    const root = form.ownerDocument;
    // On the document, since a control with a `form` attribute stands outside its form.
    this.#listen(root, "input", (event) => this.#input(event));
    this.#listen(root, "change", (event) => this.#input(event, true));
    this.#listen(root, "focusout", (event) => this.#left(event));
    this.#listen(root, "visibilitychange", () => this.flush());
    this.#listen(options.window, "pagehide", () => this.flush());
    // Capturing: a page's own listener that reads the state sees it saved.
    this.#listen(root, "submit", (event) => event.target === form && this.flush(), true);
    this.#listen(form, "reset", () => options.timers.set(() => this.#reset(), 0)); // the event comes before the reset
    this.#off.push(doc.subscribe(() => this.#show()));
    this.#show();
  }

  /** Makes changes of everything typed so far. */
  flush(): void {
    this.options.timers.clear(this.#timer);
    this.#timer = null;
    this.options.window?.removeEventListener("beforeunload", this.#leaving);
    if (this.#edited.size === 0) return;
    const groups = groupsOf(this.form);
    for (const name of [...this.#edited]) this.#save(name, groups.get(name));
  }

  close(): void {
    this.flush();
    for (const off of this.#off) off();
  }

  #listen(target: EventTarget | undefined, type: string, listener: (event: Event) => void, capture = false): void {
    target?.addEventListener(type, listener, capture);
    this.#off.push(() => target?.removeEventListener(type, listener, capture));
  }

  #input(event: Event, isDone = false): void {
    const control = boundControl(this.form, event.target);
    if (!control) return;
    if (isDone && isText(control) && !this.#edited.has(control.name)) return; // saved already while it was typed
    this.#edited.add(control.name);
    if (isDone || !isText(control)) return this.flush();
    // Only meanwhile: a listener that is always there would keep pages out of the back-forward cache.
    this.options.window?.addEventListener("beforeunload", this.#leaving);
    this.options.timers.clear(this.#timer);
    this.#timer = this.options.timers.set(() => this.flush(), TYPING_PAUSE_MS);
  }

  /** At `pagehide` it would be too late: storing takes a moment, and a page that is gone has none. */
  readonly #leaving = (event: Event): void => {
    this.flush();
    if (this.options.leaveGuard) event.preventDefault();
  };

  #left(event: Event): void {
    const control = boundControl(this.form, event.target);
    if (!control) return;
    this.flush();
    // What others wrote while the person was in the control. Not before the focus has moved on.
    this.options.timers.set(() => this.#show(), 0);
  }

  #reset(): void {
    for (const name of groupsOf(this.form).keys()) this.#edited.add(name);
    this.flush();
  }

  #save(name: string, group: readonly Control[] | undefined): void {
    const value = group && read(group);
    if (value === undefined) {
      if (!group) this.#edited.delete(name); // the control is gone
      return;
    }
    this.#edited.delete(name);
    const current = this.#valueOf(name);
    if (sameValue(current, value) || (value === null && current === undefined)) return;
    const path = formatPointer([name]);
    try {
      const { local } = value === null ? this.doc.remove(path) : this.doc.set(path, value);
      local.catch(() => undefined); // the client says by event and in the status that storage failed
    } catch (error) {
      if (!(error instanceof SessileError)) throw error;
      this.#edited.add(name); // too long, for example: it stays in the control, and the status says why
      reportError(error);
    }
  }

  #valueOf(name: string): Json | undefined {
    const { state } = this.doc;
    return Object.hasOwn(state, name) ? state[name] : undefined;
  }

  #show(): void {
    const shown = new Set<string>();
    for (const [name, group] of groupsOf(this.form)) {
      const value = this.#valueOf(name);
      if (value !== undefined) shown.add(name);
      if (this.#isBusy(name, group)) {
        if (this.#shown.has(name)) shown.add(name);
        continue;
      }
      // Without a value in the state the page's own default stays, unless the value was taken away meanwhile.
      if (value !== undefined || this.#shown.has(name)) write(group, value);
    }
    this.#shown = shown;
  }

  /** The person is at it: what others wrote must not appear under the fingers. */
  #isBusy(name: string, group: readonly Control[]): boolean {
    if (this.#edited.has(name)) return true;
    return group.some((control) => isText(control) && control.type !== "range" && (control.getRootNode() as Document | ShadowRoot).activeElement === control);
  }
}
