/** The documents of one tab: those that its page has opened, and those that it looks after without the page's knowing. */

import type { BaseDoc } from "./base-document.js";
import type { Doc } from "./document.js";
import { reportError, SessileError } from "./errors.js";
import type { NotOpened, Opened } from "./frames.js";
import type { BaseHost } from "./host.js";
import type { Entry, Outbox } from "./outbox.js";
import type { JsonObject } from "./values.js";

/** As many as a hello may name. */
export const DOCUMENTS_MAX = 50;

export interface DocumentsHost<D extends BaseDoc> {
  readonly host: BaseHost;
  make(name: string, initial: JsonObject | undefined): D;
  readonly outbox: Outbox;
  /** True when another tab has the document open. */
  wants(name: string): boolean;
  /** What is kept of it here has been read. */
  loaded(doc: D): void;
  unsubscribe(documentId: string): void;
}

export class Documents<D extends BaseDoc = Doc> {
  readonly #docs = new Map<string, D>();
  /** Not opened by the page: they have something to send from an earlier visit, or another tab has them open. */
  readonly #errands = new Set<string>();

  constructor(private readonly client: DocumentsHost<D>) {}

  get all(): readonly D[] { return [...this.#docs.values()]; }
  /** Without those that only other tabs have open. */
  get shown(): readonly D[] { return this.all.filter(({ name }) => !this.isLent(name)); }
  get(name: string): D | undefined { return this.#docs.get(name); }
  byId(documentId: string | undefined): D | undefined { return this.all.find(({ id }) => id === documentId); }
  isLent(name: string): boolean { return this.#errands.has(name) && this.client.wants(name); }

  /** For the page. */
  open(name: string, initial: JsonObject | undefined): D {
    this.#errands.delete(name);
    return this.#docs.get(name) ?? this.#add(name, initial);
  }

  lend(name: string, initial: JsonObject | undefined): D {
    const known = this.#docs.get(name);
    if (known) return known;
    this.#errands.add(name);
    return this.#add(name, initial);
  }

  /** Asks the server for something that it answers at once; false when no document is open. */
  probe(): boolean {
    const doc = this.all.find(({ isSubscribed, id }) => isSubscribed && id !== null);
    doc?.requestSync();
    return doc !== undefined;
  }

  async load(owner: string): Promise<void> {
    await Promise.all(this.all.map((doc) => doc.load(owner)));
  }

  /** Opens what has something to send. */
  async loadErrands(owner: string): Promise<void> {
    for (const { name, default: initial } of await this.client.outbox.waiting(owner)) {
      if (this.#docs.has(name)) continue;
      this.#errands.add(name);
      await this.#add(name, initial).load(owner);
    }
  }

  /** What would be lost with the outbox. */
  unanswered(owner: string): Entry[] {
    return this.all.flatMap((doc) => doc.unanswered
      .filter((change) => change.seq !== null && change.device_id !== null)
      .map((change) => ({ ...change, owner, name: doc.name }) as Entry));
  }

  /** Closes what nobody has open any more, once it is sent. */
  drop(doc: BaseDoc): void {
    if (!this.#errands.has(doc.name) || doc.pendingCount > 0 || !doc.isIdle || doc.id === null || this.client.wants(doc.name)) return;
    this.#errands.delete(doc.name);
    this.#docs.delete(doc.name);
    this.client.unsubscribe(doc.id);
    doc.close(true);
  }

  /** Another tab sends from now on, and looks after the rest. */
  deposed(): void {
    for (const doc of this.all) {
      doc.deposed();
      if (this.#errands.delete(doc.name)) this.#docs.delete(doc.name);
    }
  }

  /** What the server says of documents that it was asked for. */
  opened(answers: readonly (Opened | NotOpened)[]): void {
    for (const answer of answers) {
      const doc = answer.name === undefined ? this.byId(answer.document_id) : this.#docs.get(answer.name);
      if (!doc) continue;
      if ("error" in answer) doc.refused(new SessileError(answer.error.code, answer.error.message, answer.error.retryable));
      else doc.opened(answer).catch(reportError);
    }
  }

  #add(name: string, initial: JsonObject | undefined): D {
    const { host } = this.client;
    const doc = this.client.make(name, initial);
    this.#docs.set(name, doc);
    if (host.owner !== null) doc.load(host.owner).then(() => this.client.loaded(doc), reportError);
    return doc;
  }
}
