/** What the server and the other tabs say, taken to whom it concerns. */

import type { Account } from "./account.js";
import type { Connection } from "./connection.js";
import type { Documents } from "./documents.js";
import type { Timers } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import type { Emitter } from "./events.js";
import type { ServerFrame } from "./frames.js";
import type { Identity } from "./identity.js";
import type { Reachability } from "./reachability.js";
import type { Requests } from "./requests.js";
import type { SiblingMessage, Siblings } from "./siblings.js";
import type { Tabs } from "./tabs.js";

/** How long another tab's entry may wait for that tab to send it; usually it has been acknowledged by then. */
const SIBLING_DELAY_MS = 250;
/** The same for a document that is not open here: that tab may be gone. */
const ERRAND_DELAY_MS = 3000;

export interface InboxOptions {
  readonly account: Account;
  readonly connection: Connection;
  readonly docs: Documents;
  readonly emitter: Emitter;
  readonly reachability: Reachability;
  readonly requests: Requests;
  readonly siblings: Siblings;
  readonly tabs: Tabs;
  readonly identity: Identity;
  readonly timers: Timers;
  readonly newId: () => string;
  readonly restart: () => void;
}

export class Inbox {
  #siblingTimer: unknown = null;
  #errandTimer: unknown = null;

  constructor(private readonly to: InboxOptions) {}

  frame(frame: ServerFrame): void {
    const { account, docs, requests } = this.to;
    switch (frame.type) {
      case "welcome": return this.#welcome(frame);
      case "subscribed": return docs.opened(frame.documents);
      case "ping":
        for (const doc of docs.all) {
          const head = doc.id === null ? undefined : frame.heads[doc.id];
          if (head) doc.head(...head);
        }
        return;
      case "session_changed": case "session_expiring": case "session_ended": case "handoff_changed": return account.frame(frame);
      case "maintenance": return this.to.emitter.emit("maintenanceChanged", { maintenance: frame.maintenance });
      case "error": return this.#failed(frame);
      case "answer": return requests.answered(frame.request_id, frame.value);
      case "goaway": case "part": return; // the connection's business
      case "checkpoint_saved": requests.answered(frame.request_id, frame.checkpoint); break;
      case "session_restored": case "restore_preview": requests.answered(frame.request_id, frame); break;
    }
    docs.byId(frame.document_id)?.frame(frame).catch(reportError);
  }

  /** Asks for what is not open yet. */
  subscribe(name: string): void {
    const doc = this.to.docs.get(name);
    if (this.to.tabs.role === "follower") this.to.tabs.here();
    else if (doc) this.to.connection.send({ type: "subscribe", request_id: this.to.newId(), documents: [doc.wanted] });
  }

  /** What another tab says. */
  heard(message: SiblingMessage): void {
    switch (message.kind) {
      case "session": return this.to.tabs.role === "follower" ? undefined : this.to.restart();
      case "session_changed":
        return this.to.tabs.role === "follower" || this.to.connection.isOpen ? undefined : void this.to.account.refresh().catch(reportError);
      case "connected": return this.to.connection.hurry();
      case "identity":
      case "verdicts":
      case "outbox": return message.owner === this.to.identity.owner ? this.#heardOfOutbox(message) : undefined;
      default: return this.to.tabs.heard(message);
    }
  }

  #heardOfOutbox(message: Extract<SiblingMessage, { kind: "identity" | "verdicts" | "outbox" }>): void {
    if (message.kind === "identity") return void this.to.identity.renewed().catch(reportError);
    const doc = this.to.docs.get(message.name);
    if (message.kind === "verdicts") return doc?.heard(message.device_id, message.verdicts);
    doc?.refresh(false).catch(reportError);
    const { docs, tabs, timers } = this.to;
    if (tabs.role === "follower") return;
    if (tabs.role === "leader") return doc ? doc.pump() : this.#errands(); // nobody else sends it
    this.#siblingTimer ??= timers.set(() => {
      this.#siblingTimer = null;
      for (const open of docs.all) open.pump();
    }, SIBLING_DELAY_MS);
    if (doc) return;
    this.#errandTimer ??= timers.set(() => {
      this.#errandTimer = null;
      this.#errands();
    }, ERRAND_DELAY_MS);
  }

  /** Sends what is left of documents that are open nowhere. */
  #errands(): void {
    const { docs, identity } = this.to;
    if (identity.owner !== null) docs.loadErrands(identity.owner).catch(reportError);
  }

  close(): void {
    this.to.timers.clear(this.#siblingTimer);
    this.to.timers.clear(this.#errandTimer);
  }

  #welcome(frame: Extract<ServerFrame, { type: "welcome" }>): void {
    const { account, connection, docs, reachability, siblings, tabs } = this.to;
    account.set(frame.session);
    reachability.hasTried = true;
    connection.welcomed();
    this.#errands(); // a tab may have come and gone while this one hung
    if (tabs.role === "solo") siblings.tell({ kind: "connected" });
    docs.opened(frame.documents);
    // Documents that were opened here between hello and welcome.
    for (const doc of docs.all) if (!frame.documents.some(({ name }) => name === doc.name)) this.subscribe(doc.name);
  }

  #failed(frame: Extract<ServerFrame, { type: "error" }>): void {
    const { docs, emitter, requests, tabs } = this.to;
    const error = new SessileError(frame.code, frame.message, frame.retryable);
    if (requests.refused(frame.ref, error) || tabs.hasPassed(frame.ref)) return;
    const doc = docs.byId(frame.ref);
    doc?.failed(error);
    if (frame.ref !== undefined && !doc && tabs.role === "follower") return; // the answer to another tab
    emitter.emit("serverError", { code: frame.code, message: frame.message, retryable: frame.retryable, ref: frame.ref ?? null });
  }
}
