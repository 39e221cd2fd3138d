/** What the page tells: it is back, it goes, it is hidden; and the question before it is left with unsaved work. */

import type { PageLike } from "./environment.js";

export interface PageHandlers {
  /** The page is back; `mayBeElsewhere`: perhaps in another network. */
  readonly awake: (mayBeElsewhere: boolean) => void;
  /** The browser sees no network. */
  readonly offline: () => void;
  /** The page is frozen or put aside: a socket left open would be a dead one that nobody notices. */
  readonly asleep: () => void;
  /** A last moment in which something can still be written. */
  readonly flush: () => void;
  readonly visible: (isVisible: boolean) => void;
}

type Registration = [EventTarget | undefined, string, (event: Event) => void];

export class PageSignals {
  readonly #registrations: Registration[];
  #isGuarding = false;

  constructor(private readonly page: PageLike, handlers: PageHandlers) {
    const { window, document } = page;
    this.#registrations = [
      [window, "online", () => handlers.awake(true)],
      [window, "offline", handlers.offline],
      [window, "pageshow", () => handlers.awake(true)],
      [document, "resume", () => handlers.awake(true)],
      [document, "freeze", () => { handlers.flush(); handlers.asleep(); }],
      [window, "pagehide", () => { handlers.flush(); handlers.asleep(); }],
      [document, "visibilitychange", () => {
        handlers.visible(this.isVisible);
        if (this.isVisible) handlers.awake(false);
        else handlers.flush();
      }],
    ];
    for (const [target, name, listener] of this.#registrations) target?.addEventListener(name, listener);
  }

  get isVisible(): boolean {
    return this.page.document?.visibilityState !== "hidden";
  }

  /** Asks before leaving, or stops asking. A listener that is always there would keep pages out of the back-forward cache. */
  guard(isNeeded: boolean): void {
    if (isNeeded === this.#isGuarding) return;
    this.#isGuarding = isNeeded;
    const { window } = this.page;
    if (isNeeded) window?.addEventListener("beforeunload", ask);
    else window?.removeEventListener("beforeunload", ask);
  }

  close(): void {
    this.guard(false);
    for (const [target, name, listener] of this.#registrations) target?.removeEventListener(name, listener);
  }
}

/** What this device may say of itself. */
export function deviceFacts(): Record<string, string> {
  const { navigator, screen } = globalThis;
  const facts: Record<string, string | undefined> = {
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    language: navigator?.language,
    screen: screen ? `${screen.width}x${screen.height}` : undefined,
  };
  return Object.fromEntries(Object.entries(facts).filter((fact): fact is [string, string] => Boolean(fact[1])));
}

function ask(event: Event): void {
  event.preventDefault();
}
