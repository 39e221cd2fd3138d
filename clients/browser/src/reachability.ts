/** What the changes of the connection mean for documents, requests and the page. */

import type { StatusChange } from "./connection.js";
import type { Documents } from "./documents.js";
import type { Timers } from "./environment.js";
import { SessileError } from "./errors.js";
import type { Emitter } from "./events.js";
import type { Requests } from "./requests.js";

export class Reachability {
  /** True when a try to connect has come to an end, good or bad. */
  hasTried = false;
  latest: StatusChange = { from: "idle", to: "idle", reason: "new", attempt: 0, retry_in_ms: null };
  #lostAt_ms: number | null = null;

  constructor(
    private readonly timers: Timers,
    private readonly docs: Documents,
    private readonly requests: Requests,
    private readonly emitter: Emitter,
  ) {}

  changed(change: StatusChange): void {
    this.latest = change;
    const { from, to, reason, attempt } = change;
    const { emitter } = this;
    const now = this.timers.now();
    const docs = this.docs.all;
    if (from === "connected" && to !== "connected") {
      this.#lostAt_ms = now;
      this.requests.rejectAll(new SessileError("connection_lost", "the connection was lost before the answer came", true));
      for (const doc of docs) doc.disconnected();
      emitter.emit("disconnectionDetected", { at_ms: now, reason });
    }
    if (change.retry_in_ms !== null || to === "stopped") {
      this.hasTried = true;
      for (const doc of docs) doc.offline();
    }
    if (to === "connected" && this.#lostAt_ms !== null) {
      emitter.emit("reconnectionDetected", { at_ms: now, away_ms: now - this.#lostAt_ms, attempts: attempt });
      this.#lostAt_ms = null;
    }
    if (reason === "attempts_exhausted") emitter.emit("maxReconnectAttemptsReached", { attempts: attempt - 1 });
    if (from !== to) emitter.emit("connectionStatusChanged", change);
    for (const doc of docs) doc.statusMayHaveChanged();
  }
}
