/** A document as a page sees it: state, changes, conflicts. */

import { stateHash } from "./canonical.js";
import { DocumentCore, type Effect, type Pending } from "./core.js";
import { deferred } from "./deferred.js";
import { reportError, SessileError } from "./errors.js";
import { guarded, type SyncStatus } from "./events.js";
import type { Conflict, Device, Opened, SentVerdict, ServerFrame, Wanted } from "./frames.js";
import type { BaseHost, ChangeHandle, DocSnapshot, Refusal, Resolution, Verdict } from "./host.js";
import { uuid7 } from "./identifiers.js";
import { checkedOperations, type Item, type ItemId, type Operation } from "./operations.js";
import { Sender } from "./sender.js";
import type { Json, JsonObject } from "./values.js";

export interface Waiter {
  readonly handle: { seq: number | null };
  readonly resolve: (verdict: Verdict) => void;
  readonly reject: (error: Error) => void;
}

const KEEP_DELAY_MS = 200;
const RETRY_MS = 1000;

/** What every document is; `Doc` adds checkpoints, presence and the other tabs. */
export class BaseDoc {
  readonly name: string;
  devices: readonly Device[] = [];
  /** The latest change of this browser that was refused; null again after the next one that was not. */
  lastRefusal: Refusal | null = null;
  /** Why the server does not open the document, if it does not. */
  error: SessileError | null = null;
  /** True when the open connection has been asked for this document and has answered. */
  isSubscribed = false;

  protected core: DocumentCore;
  readonly #sender: Sender;
  protected readonly waiters = new Map<string, Waiter>();
  readonly #subscribers = new Set<() => void>();
  #acknowledged = 0;
  #snapshot: DocSnapshot | null = null;
  #syncStatus: SyncStatus;
  protected storing: Promise<unknown> = Promise.resolve();
  #unstored = 0;
  #keepTimer: unknown = null;
  readonly #ready = deferred<unknown>();
  #isReady = false;
  /** Started with the owner; everything that looks at stored changes waits for it. */
  #loaded: Promise<void> = Promise.resolve();

  constructor(protected readonly host: BaseHost, name: string, readonly initial: JsonObject | undefined) {
    this.name = name;
    this.core = new DocumentCore(initial);
    this.#syncStatus = this.#currentStatus();
    this.#ready.promise.catch(() => undefined); // whoever waits for it gets the error; nobody has to
    this.#sender = new Sender({
      timers: host.timers,
      read: async (after, limit) => {
        const { owner, deviceId } = host;
        return owner === null || deviceId === null ? [] : host.outbox.entriesAfter(owner, name, deviceId, after, limit);
      },
      generation: () => this.seenGeneration,
      send: (changes) => host.send({ type: "change", document_id: this.core.documentId, changes }),
      idle: () => host.acknowledged(this),
    });
  }

  get id(): string | null { return this.core.documentId; }
  get version(): number { return this.core.version; }
  /** This device's number among the document's devices; null until the document was open once. */
  get deviceNo(): number | null { return this.core.deviceNo; }
  /** The confirmed state with pending changes on top. To be treated as immutable. */
  get state(): JsonObject { return this.core.state; }
  /** What the server has committed, as far as it is known here; null before the first time. */
  get confirmed(): JsonObject | null { return this.core.confirmed; }
  get conflicts(): readonly Conflict[] { return this.core.conflicts; }
  /** Changes that the server has not answered yet. */
  get pendingCount(): number { return this.core.unanswered.length; }
  /** Changes that would be lost with this tab. */
  get unstoredCount(): number { return this.host.outbox.isDurable ? this.#unstored : this.pendingCount; }
  get syncStatus(): SyncStatus { return this.#syncStatus; }
  /** Why work is not saved, in words; null when nothing is wrong. */
  get problem(): string | null { return this.error?.message ?? this.lastRefusal?.message ?? null; }
  /** Settles when there is a state to show. Rejected when the server refuses to open the document. */
  get ready(): Promise<this> { return this.#ready.promise as Promise<this>; }

  /** Bound, so that it can be handed to `useSyncExternalStore` as it is. */
  readonly subscribe = (callback: () => void): (() => void) => {
    this.#subscribers.add(callback);
    return () => this.#subscribers.delete(callback);
  };

  /** The same object until something changes. */
  readonly getSnapshot = (): DocSnapshot => (this.#snapshot ??= {
    state: this.state,
    conflicts: this.conflicts,
    devices: this.devices,
    pendingCount: this.pendingCount,
    syncStatus: this.#syncStatus,
    version: this.version,
    isReady: this.#isReady,
    problem: this.problem,
  });

  // ------------------------------------------------------------------ changes

  set(path: string, value: Json): ChangeHandle { return this.change([{ op: "set", path, value }]); }
  remove(path: string): ChangeHandle { return this.change([{ op: "remove", path }]); }
  merge(path: string, value: JsonObject): ChangeHandle { return this.change([{ op: "merge", path, value }]); }
  increment(path: string, by = 1): ChangeHandle { return this.change([{ op: "increment", path, by }]); }
  append(path: string, item: Item): ChangeHandle { return this.change([{ op: "append", path, item }]); }
  insert(path: string, item: Item, after: ItemId | null = null): ChangeHandle { return this.change([{ op: "insert", path, item, after }]); }
  move(path: string, id: ItemId, after: ItemId | null = null): ChangeHandle { return this.change([{ op: "move", path, id, after }]); }
  removeItem(path: string, id: ItemId): ChangeHandle { return this.change([{ op: "remove_item", path, id }]); }

  /** Closes an open conflict. `mine` is the value that this device made. */
  resolve(conflictId: string, resolution: Resolution): ChangeHandle {
    const choice = "choice" in resolution ? { choice: resolution.choice } : { choice: "value" as const, value: resolution.value };
    return this.change([{ op: "resolve", conflict_id: conflictId, ...choice }]);
  }

  /** One atomic change. Throws `SessileError` with code `invalid_change` for what the protocol cannot carry. */
  change(operations: readonly Operation[]): ChangeHandle {
    const checked = this.#checked(operations);
    const nonce = uuid7(this.host.timers.now(), this.host.random);
    const handle = { seq: null as number | null };
    const durable = deferred<Verdict>();
    this.waiters.set(nonce, { handle, ...durable });
    const draft = this.core.draft(nonce, checked);
    this.#unstored++;
    // The owner of this moment: a change is never stored for whoever logs in later.
    const owner = this.host.owner;
    const local = this.storing.then(() => this.#store(draft, owner));
    this.storing = local.catch(() => undefined);
    durable.promise.catch(() => undefined); // a page that does not look at a promise must not get an unhandled rejection
    this.notify();
    return Object.assign(handle, { local, durable: durable.promise });
  }

  #checked(operations: readonly Operation[]): Operation[] {
    try {
      return checkedOperations(operations);
    } catch (error) {
      if (error instanceof SessileError) {
        this.lastRefusal = { seq: null, code: error.code, message: error.message };
        this.notify();
      }
      throw error;
    }
  }

  async #store(draft: Pending, knownOwner: string | null): Promise<void> {
    const owner = knownOwner ?? (await this.host.whenOwner());
    try {
      const { nonce, base_version, generation, operations } = draft;
      const entry = await this.host.outbox.add(owner, this.name, { nonce, base_version, generation, operations }, this.initial);
      const waiter = this.waiters.get(nonce);
      if (waiter) waiter.handle.seq = entry.seq;
      if (entry.owner === this.host.owner) this.run(this.core.stored(entry));
      else this.core.forget(nonce);
      this.host.stored(entry);
    } catch (error) {
      this.core.forget(draft.nonce);
      this.waiters.get(draft.nonce)?.reject(error as Error);
      this.waiters.delete(draft.nonce);
      throw error;
    } finally {
      this.#unstored--;
      this.notify();
    }
    this.#sender.pump();
    if (!this.host.outbox.isDurable) throw new SessileError("not_stored", "kept in memory only: the browser's storage cannot be used");
  }

  // ------------------------------------------------------------------ for the client

  /** Loads what this browser keeps of the document for `owner`. */
  load(owner: string): Promise<void> {
    this.#loaded = (async () => {
      const [kept, entries] = await Promise.all([this.host.outbox.kept(owner, this.name), this.host.outbox.entries(owner, this.name), this.prepare()]);
      if (owner !== this.host.owner) return;
      if (kept && !this.core.confirmed) {
        this.core.restore(kept);
        this.host.emit("stateRestored", { ...this.label(), state: this.state, version: this.version });
      }
      this.run(entries.flatMap((entry) => this.core.stored(entry)));
    })();
    return this.#loaded;
  }

  /** Another owner: nothing of the former one may stay in sight. */
  reset(): void {
    this.close(false);
    this.core = new DocumentCore(this.initial);
    this.devices = [];
    this.lastRefusal = null;
    this.notify();
  }

  get wanted(): Wanted {
    return { name: this.name, ...(this.initial && { default: this.initial }), ...this.core.position };
  }

  get unanswered(): readonly Pending[] { return this.core.unanswered; }
  get seenGeneration(): number | null { return this.core.confirmed ? this.core.generation : null; }

  /** Looks up what the server has to know of this device. Before it is asked: later another tab may have sent more. */
  async prepare(): Promise<void> {
    const { owner, deviceId, outbox } = this.host;
    this.#acknowledged = owner === null || deviceId === null ? 0 : await outbox.acknowledged(owner, this.name, deviceId);
  }

  async opened(frame: Opened): Promise<void> {
    const { owner, deviceId } = this.host;
    if (owner === null || deviceId === null) return;
    this.error = null;
    this.isSubscribed = true;
    const effects = this.core.opened(frame, deviceId, this.#acknowledged);
    this.run(effects);
    if (effects.length > 0) return; // the numbering begins anew on the next connection
    await this.host.outbox.continueAfter(owner, this.name, deviceId, frame.last_seq);
    if (deviceId === this.host.deviceId && this.host.isConnected) this.#sender.open(frame.last_seq);
  }

  /** Another tab sends from now on. */
  deposed(): void { this.#sender.close(); }

  refused(error: SessileError): void {
    this.error = error;
    this.isSubscribed = true;
    if (!error.retryable && !this.#isReady) this.#ready.reject(error);
    this.notify();
  }

  /** The server could not even read what was sent to it. Trying again helps only if it says so. */
  failed(error: SessileError): void {
    if (error.retryable) return this.#sender.rewind(0, RETRY_MS);
    this.#sender.close();
    this.refused(error);
  }

  disconnected(): void {
    this.isSubscribed = false;
    this.#sender.close();
    this.core.disconnected();
    this.notify();
  }

  /** The network does not answer: what is kept here will do. */
  offline(): void {
    if (this.core.confirmed) this.becomeReady();
  }

  /** Another tab stored a change, or the identity was renewed: look at the outbox again. */
  async refresh(isRenewed: boolean): Promise<void> {
    const owner = this.host.owner;
    if (owner === null) return;
    const entries = await this.host.outbox.entries(owner, this.name);
    if (owner !== this.host.owner) return;
    this.run(isRenewed ? this.core.replaceStored(entries) : entries.flatMap((entry) => this.core.stored(entry)));
    for (const entry of entries) {
      const waiter = this.waiters.get(entry.nonce);
      if (waiter) waiter.handle.seq = entry.seq;
    }
    this.notify();
  }

  pump(): void { this.#sender.pump(); }
  get isIdle(): boolean { return this.#sender.isIdle; }
  heard(deviceId: string, verdicts: readonly SentVerdict[]): void {
    this.run(this.core.heard(deviceId, verdicts));
  }

  async frame(frame: ServerFrame): Promise<void> {
    switch (frame.type) {
      case "initial_state": return this.run(this.core.snapshot(frame));
      case "state_update": return this.run(this.core.update(frame));
      case "ack":
        if (this.host.deviceId !== null) this.host.verdicts(this.name, this.host.deviceId, frame.verdicts);
        return this.run(this.core.ack(frame));
      case "nack": return this.run(this.core.nack(frame));
    }
  }

  head(epoch: string, version: number): void {
    this.run(this.core.head(epoch, version));
  }

  /** Asks the server for what may be missing. */
  requestSync(): void {
    this.run(this.core.requestSync("user"));
  }

  /** Writes the kept snapshot now, when one is due. */
  flush(): void {
    if (this.#keepTimer !== null) this.#keepNow();
  }

  /** Promises that are still open are rejected when `isFinal`; the changes themselves stay in the outbox. */
  close(isFinal: boolean): void {
    this.flush();
    this.#sender.close();
    if (!isFinal) return;
    for (const waiter of this.waiters.values()) waiter.reject(new SessileError("closed", "the client was closed; the change stays in the outbox"));
    this.waiters.clear();
  }

  // ------------------------------------------------------------------ inside

  protected label(): { document_id: string | null; name: string } {
    return { document_id: this.id, name: this.name };
  }

  protected run(effects: readonly Effect[]): void {
    for (const effect of effects) this.#perform(effect);
    this.notify();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "request_sync": {
        const { kind: _kind, ...body } = effect;
        return void this.host.send({ type: "request_sync", document_id: this.id, ...body });
      }
      case "verify":
        if (effect.hash) this.#verify(effect).catch(reportError);
        return;
      case "acknowledged":
        this.#sender.acknowledged(effect.through);
        this.#forgetAcknowledged(effect.device_id, effect.through).catch(reportError);
        return;
      case "settled": return this.#settle(effect.nonce, effect.verdict, effect.operations);
      case "rewind": return this.#sender.rewind(effect.after, effect.delay_ms);
      case "renew_identity":
        if (this.host.deviceId !== null) this.host.renewIdentity(this.name, this.host.deviceId);
        return;
      case "conflict": return this.host.emit("conflictDetected", { ...this.label(), conflict: effect.conflict });
      case "snapshot":
        this.host.emit("initialStateReceived", { ...this.label(), state: this.core.confirmed ?? {}, version: this.version });
        return this.#advanced();
      case "updated":
        this.host.emit("stateUpdateReceived", { ...this.label(), version: this.version, changes: effect.changes });
        return this.#advanced();
    }
  }

  async #forgetAcknowledged(deviceId: string, through: number): Promise<void> {
    if (this.host.owner === null) return;
    await this.host.outbox.acknowledge(this.host.owner, this.name, deviceId, through);
    this.host.acknowledged(this);
  }

  #advanced(): void {
    this.becomeReady();
    this.#sender.pump(); // changes made before the document was known have been waiting for its generation
    // Of all the tabs the one with the socket keeps it.
    if (!this.host.isFollowing) this.#keepTimer ??= this.host.timers.set(() => this.#keepNow(), KEEP_DELAY_MS);
  }

  #keepNow(): void {
    this.host.timers.clear(this.#keepTimer);
    this.#keepTimer = null;
    const kept = this.core.kept();
    if (kept && this.host.owner !== null) this.host.outbox.keep(this.host.owner, this.name, kept).catch(reportError);
  }

  async #verify(effect: Extract<Effect, { kind: "verify" }>): Promise<void> {
    const core = this.core;
    const hash = await stateHash(effect.state, this.host.subtle);
    this.host.hashChecked(hash === null ? "hashesSkipped" : hash === effect.hash ? "hashesMatched" : "hashesDiffered");
    if (hash !== null && core === this.core) this.run(core.verified(hash === effect.hash, effect.epoch, effect.version, effect.snapshot));
  }

  #settle(nonce: string, verdict: SentVerdict, operations: readonly Operation[]): void {
    const isRefused = verdict.verdict === "rejected" || verdict.verdict === "conflict";
    this.lastRefusal = null;
    if (isRefused) {
      const { seq, verdict: name, detail = null } = verdict;
      // What is kept as an open conflict is not lost: the conflict says so itself.
      const isKept = (verdict.conflicts?.length ?? 0) > 0;
      if (!isKept) this.lastRefusal = { seq, code: detail?.code ?? name, message: detail?.message ?? "the server refused the change" };
      this.host.emit("changeRejected", { ...this.label(), seq, verdict: name, detail, operations });
    }
    this.waiters.get(nonce)?.resolve(verdict);
    this.waiters.delete(nonce);
  }

  protected becomeReady(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#ready.resolve(this);
    this.notify();
  }

  #currentStatus(): SyncStatus {
    if (this.host.needsAuth) return "needs_auth";
    if (this.core.diverged) return "diverged";
    const { isConnected, isQuiet } = this.host;
    if (this.pendingCount > 0) return !isConnected && !isQuiet && this.unstoredCount === 0 ? "saved_locally" : "syncing";
    if (isConnected && this.core.isCurrent) return "synchronized";
    return isQuiet && (this.#syncStatus === "synchronized" || this.#syncStatus === "syncing") ? "synchronized" : "behind";
  }

  protected notify(): void {
    this.#snapshot = null;
    const [from, to] = [this.#syncStatus, this.#currentStatus()];
    this.#syncStatus = to;
    if (from !== to) this.host.emit("syncStatusChanged", { ...this.label(), from, to });
    this.host.touched();
    for (const callback of [...this.#subscribers]) guarded(callback);
  }

  /** The connection's state changed: statuses that depend on it are told. */
  statusMayHaveChanged(): void {
    if (this.#syncStatus !== this.#currentStatus()) this.notify();
  }
}
