/** While there is no socket that would say so: does the session still live, or has somebody logged in? Asked with a GET, which prolongs nothing. */

import type { ConnectionStatus } from "./connection.js";
import type { Timers } from "./environment.js";
import { reportError } from "./errors.js";
import type { SessionAnswer } from "./session.js";

export const VIGIL_MS = 60_000;

export interface VigilHost {
  readonly timers: Timers;
  readonly status: ConnectionStatus;
  /** False for a page that nobody looks at, and for a tab whose leader asks. */
  readonly isOnDuty: boolean;
  ask(): Promise<SessionAnswer>;
  found(answer: SessionAnswer): void;
}

/** In all other states the connection asks before it tries. */
const WITHOUT: ReadonlySet<ConnectionStatus> = new Set(["stopped", "needs_auth"]);

export class Vigil {
  #timer: unknown = null;

  constructor(private readonly host: VigilHost) {}

  /** The status may have changed. */
  look(): void {
    const { timers, status } = this.host;
    if (!WITHOUT.has(status)) this.end();
    else this.#timer ??= timers.set(() => void this.#ask().catch(reportError), VIGIL_MS);
  }

  end(): void {
    this.host.timers.clear(this.#timer);
    this.#timer = null;
  }

  async #ask(): Promise<void> {
    const timer = this.#timer;
    const answer = this.host.isOnDuty ? await this.host.ask() : null;
    if (timer !== this.#timer) return; // the connection has moved on meanwhile
    this.#timer = null;
    if (answer) this.host.found(answer);
    this.look();
  }
}
