/** What the changes of the connection mean for documents, requests and the page. A connection that is back at once is nobody's business. */

import { type ConnectionStatus, isUp, type StatusChange } from "./connection.js";
import type { Documents } from "./documents.js";
import type { Timers } from "./environment.js";
import { SessileError } from "./errors.js";
import type { Emitter } from "./events.js";
import type { Requests } from "./requests.js";

/** So long a loss is kept from the page: the first two tries to connect have been made by then. */
export const QUIET_MS = 1000;

interface Loss {
  readonly at_ms: number;
  /** As it came. */
  readonly change: StatusChange;
  isTold: boolean;
}

export interface ReachabilityOptions {
  readonly timers: Timers;
  readonly docs: Documents;
  readonly requests: Requests;
  readonly emitter: Emitter;
  readonly quiet_ms: number;
  /** What the page is shown has changed. */
  readonly told: () => void;
}

export class Reachability {
  /** True when a try to connect has come to an end, good or bad. */
  hasTried = false;
  latest: StatusChange = { from: "idle", to: "idle", reason: "new", attempt: 0, retry_in_ms: null };
  /** What the page has been told. */
  shown: ConnectionStatus = "idle";
  #loss: Loss | null = null;
  #timer: unknown = null;

  constructor(private readonly options: ReachabilityOptions) {}

  /** True for the moment in which a loss may still turn out to be none. */
  get isQuiet(): boolean {
    return this.#timer !== null;
  }

  changed(change: StatusChange): void {
    this.latest = change;
    const { from, to, attempt } = change;
    const { timers, docs, requests, emitter, quiet_ms } = this.options;
    const now_ms = timers.now();
    if (isUp(from) && !isUp(to)) {
      this.#loss = { at_ms: now_ms, change, isTold: false };
      requests.rejectAll(new SessileError("connection_lost", "the connection was lost before the answer came", true));
      if (to === "reconnecting" && quiet_ms > 0 && isUp(this.shown)) this.#timer ??= timers.set(() => this.speak(), quiet_ms);
      for (const doc of docs.all) doc.disconnected();
    }
    if (this.isQuiet && to === "reconnecting") return;
    if (this.#loss && isUp(to)) {
      // A page whose timers slept is told later than it should have been, but it is told.
      if (!this.#loss.isTold && now_ms - this.#loss.at_ms >= quiet_ms) this.#tell(this.#loss.change);
      if (this.#loss.isTold) emitter.emit("reconnectionDetected", { at_ms: now_ms, away_ms: now_ms - this.#loss.at_ms, attempts: attempt });
      this.#loss = null;
    }
    if (!isUp(to)) this.#hush();
    this.#tell(change);
  }

  /** Says what was held back. */
  speak(): void {
    if (!this.isQuiet) return;
    this.#hush();
    const { docs } = this.options;
    if (isUp(this.latest.to)) for (const doc of docs.all) doc.statusMayHaveChanged();
    else this.#tell(this.latest);
  }

  close(): void {
    this.#hush();
  }

  #hush(): void {
    this.options.timers.clear(this.#timer);
    this.#timer = null;
  }

  #tell(change: StatusChange): void {
    const { docs, emitter } = this.options;
    const { to, reason, attempt, retry_in_ms } = change;
    const from = this.shown;
    this.shown = to;
    if (this.#loss && !this.#loss.isTold && !isUp(to)) {
      this.#loss.isTold = true;
      for (const doc of docs.all) doc.left();
      emitter.emit("disconnectionDetected", { at_ms: this.#loss.at_ms, reason: this.#loss.change.reason });
    }
    if (retry_in_ms !== null || to === "stopped") {
      this.hasTried = true;
      for (const doc of docs.all) doc.offline();
    }
    if (reason === "attempts_exhausted") emitter.emit("maxReconnectAttemptsReached", { attempts: attempt - 1 });
    if (from !== to) emitter.emit("connectionStatusChanged", { ...change, from });
    for (const doc of docs.all) doc.statusMayHaveChanged();
    this.options.told();
  }
}
