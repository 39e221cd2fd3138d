/** What the server says, taken to whom it concerns. */

import type { Account } from "./account.js";
import type { Connection } from "./connection.js";
import type { Documents } from "./documents.js";
import { reportError, SessileError } from "./errors.js";
import type { Emitter } from "./events.js";
import type { ServerFrame } from "./frames.js";
import type { Reachability } from "./reachability.js";
import type { Requests } from "./requests.js";
import type { Siblings } from "./siblings.js";
import type { Tabs } from "./tabs.js";

export interface InboxOptions {
  readonly account: Account;
  readonly connection: Connection;
  readonly docs: Documents;
  readonly emitter: Emitter;
  readonly reachability: Reachability;
  readonly requests: Requests;
  readonly siblings: Siblings;
  readonly tabs: Tabs;
  readonly newId: () => string;
}

export class Inbox {
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

  #welcome(frame: Extract<ServerFrame, { type: "welcome" }>): void {
    const { account, connection, docs, reachability, siblings, tabs } = this.to;
    account.set(frame.session);
    reachability.hasTried = true;
    connection.welcomed();
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
