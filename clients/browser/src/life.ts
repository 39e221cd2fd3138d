/** A page's life, as far as the client has to do with it: seen, hidden, asleep, leaving. */

import type { ConnectionStatus } from "./connection.js";
import type { Doc } from "./document.js";
import type { PageLike } from "./environment.js";
import { farewells } from "./farewell.js";
import type { HiddenTimers } from "./hidden.js";
import { PageSignals } from "./page.js";
import type { PageHttp } from "./http.js";
import { Vigil } from "./vigil.js";

export interface LifeHost {
  readonly page: PageLike;
  readonly timers: HiddenTimers;
  readonly http: PageHttp;
  /** Has a socket, for itself or for others. */
  readonly isConnecting: boolean;
  readonly documents: readonly Doc[];
  readonly status: ConnectionStatus;
  /** Somebody has logged in. */
  restart(): void;
  /** The session is over. */
  ended(): void;
  awake(mayBeElsewhere: boolean): void;
  offline(): void;
  asleep(): void;
  /** Who looks has changed. */
  attended(): void;
}

export class Life {
  readonly #signals: PageSignals;
  readonly #vigil: Vigil;
  /** The page may be gone before anything else can be said. */
  #isLeaving = false;

  constructor(private readonly host: LifeHost) {
    const life = this;
    this.#vigil = new Vigil({
      timers: host.timers,
      get status() { return host.status; },
      get isOnDuty() { return host.isConnecting && life.isVisible; },
      ask: () => host.http.session(),
      found: ({ kind }) => {
        if (kind === "session" && host.status === "needs_auth") host.restart();
        else if (kind === "none" && host.status === "stopped") host.ended();
      },
    });
    this.#signals = new PageSignals(host.page, {
      awake: (mayBeElsewhere) => {
        this.#isLeaving = false;
        this.keepTime();
        host.awake(mayBeElsewhere);
      },
      offline: () => host.offline(),
      asleep: () => {
        this.#isLeaving = true;
        this.keepTime(); // a worker could keep the page out of the back-forward cache
        this.#sayFarewell(host.documents);
        host.asleep();
      },
      flush: () => host.documents.forEach((doc) => doc.flush()),
      visible: () => {
        this.keepTime();
        host.attended();
      },
    });
  }

  get isVisible(): boolean { return this.#signals.isVisible; }

  /** Of the tabs of a browser only those with a socket need timers that are exact while nobody looks. */
  keepTime(): void {
    this.host.timers.keepTime(this.host.isConnecting && !this.isVisible && !this.#isLeaving);
  }

  /** A change was stored: too late for the socket, if the page is leaving. */
  stored(name: string): void {
    if (this.#isLeaving) this.#sayFarewell(this.host.documents.filter((doc) => doc.name === name));
  }

  statusChanged(): void { this.#vigil.look(); }

  guard(isNeeded: boolean): void { this.#signals.guard(isNeeded); }

  close(): void {
    this.#signals.close();
    this.#vigil.end();
    this.host.timers.keepTime(false);
  }

  /** What is not answered yet goes out once more, in requests that outlive the page. */
  #sayFarewell(docs: readonly Doc[]): void {
    for (const { path, text } of farewells(docs)) this.host.http.leave(path, text);
  }
}
