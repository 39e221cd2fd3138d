/** The client: one socket, the outbox, the documents, and who is here. */

import { Account } from "./account.js";
import { CLOSE, AUTH_CODES, Connection, type ConnectionStatus, type Prepared, type StatusChange } from "./connection.js";
import { deferred } from "./deferred.js";
import { Doc } from "./document.js";
import { browserEnvironment, type Environment } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import { Emitter, type Events, guarded } from "./events.js";
import type { FormOptions } from "./form.js";
import type { NotOpened, Opened, OwnSession, Platform, SentVerdict, ServerFrame, Session } from "./frames.js";
import type { Handoffs } from "./handoff.js";
import type { Host } from "./host.js";
import { uuid7 } from "./identifiers.js";
import type { ConnectOptions, DocumentOptions, Stats } from "./options.js";
import { type Entry, type LastOwner, Outbox } from "./outbox.js";
import { deviceFacts, PageSignals } from "./page.js";
import { Requests } from "./requests.js";
import { anonymousOwner, baseOf, Http, ownerOf } from "./session.js";
import { type SiblingMessage, Siblings } from "./siblings.js";
import { IndexedDbBackend } from "./storage.js";
import type { JsonObject } from "./values.js";

/** How long another tab's entry may wait for that tab to send it; usually it has been acknowledged by then. */
const SIBLING_DELAY_MS = 250;

/** Connects to the server of this page. Returns at once; the connection comes and goes by itself. */
export const connect = (options: ConnectOptions = {}): Client => new Client(options);

export class Client {
  readonly tabId: string;

  readonly #environment: Environment;
  readonly #emitter: Emitter;
  readonly #outbox: Outbox;
  readonly #http: Http;
  readonly #connection: Connection;
  readonly #siblings: Siblings;
  readonly #signals: PageSignals;
  readonly #docs = new Map<string, Doc>();
  /** Documents that no page code opened: they have something to send from an earlier visit. */
  readonly #errands = new Set<string>();
  readonly #requests: Requests;
  readonly #subscribers = new Set<() => void>();
  readonly #hashes = { matched: 0, differed: 0, skipped: 0 };
  readonly #host: Host;
  readonly #account: Account;

  #last: LastOwner | null = null;
  #hasOwner = deferred<string>();
  /** The device of new changes, and the one the open connection speaks for. */
  #identity: string | null = null;
  #connectionDevice: string | null = null;
  #loading: Promise<void> = Promise.resolve();
  #siblingTimer: unknown = null;
  #lostAt_ms: number | null = null;
  #hasTried = false;

  constructor(private readonly options: ConnectOptions = {}) {
    const environment = (this.#environment = { ...browserEnvironment(), ...options.environment });
    const { timers, random } = environment;
    const base = baseOf(options.url);
    const socketUrl = new URL("ws", base);
    socketUrl.protocol = base.protocol === "https:" ? "wss:" : "ws:";
    const storageName = options.storageName ?? "sessile";

    this.tabId = this.#newId();
    this.#requests = new Requests(() => this.#newId(), (frame) => this.#connection.send(frame));
    this.#emitter = new Emitter(environment.page.window);
    this.#outbox = new Outbox({
      backend: environment.indexedDB ? new IndexedDbBackend(environment.indexedDB, storageName) : null,
      now: timers.now,
      random,
      onFallback: (reason) => this.#storageFailed(reason),
    });
    this.#http = new Http(environment.fetch, timers, base, options.token);
    this.#host = this.#makeHost();
    this.#account = new Account({
      http: this.#http,
      timers,
      emit: (name, detail) => this.#emitter.emit(name, detail),
      touched: () => this.#touched(),
      changed: () => this.#siblings.tell({ kind: "session_changed" }),
      restart: () => this.#restart(),
    });
    this.#siblings = new Siblings(environment, storageName, (message) => this.#heard(message));
    this.#connection = new Connection({
      url: socketUrl.href,
      WebSocket: environment.WebSocket,
      timers,
      random,
      attempts_max: options.maxReconnectAttempts ?? Infinity,
      prepare: (afterFailure) => this.#prepare(afterFailure),
      hello: () => this.#hello(),
      onFrame: (frame) => this.#frame(frame),
      onStatus: (change) => this.#statusChanged(change),
      onTerminal: (code) => this.#terminated(code),
    });
    this.#signals = new PageSignals(environment.page, {
      awake: () => this.#awake(),
      asleep: () => this.#connection.isOpen && this.#connection.stop("idle", "page_hidden"),
      flush: () => this.#docs.forEach((doc) => doc.flush()),
      visible: (visible) => this.#connection.isOpen && this.#connection.send({ type: "presence", visible }),
    });
    this.#connection.start();
  }

  get status(): ConnectionStatus { return this.#connection.status; }
  /** True when tries to connect have failed: what is shown may be old. */
  get isOffline(): boolean { return this.#hasTried && !this.#connection.isOpen; }
  /** False when changes are kept in memory only. */
  get isStorageDurable(): boolean { return this.#outbox.isDurable; }
  /** Who is here, as far as the server has said; null for nobody. */
  get session(): Session | null { return this.#account.session; }
  get documents(): readonly Doc[] { return [...this.#docs.values()]; }

  /** Calls `listener` for a page event; returns the function that stops it. */
  on<Name extends keyof Events>(name: Name, listener: (detail: Events[Name]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /**
   * The document with this name, opened or created. Settles when there is a state: from the server, or from what this
   * browser kept when the server cannot be reached. Rejected when the server refuses.
   */
  document(name: string, options: DocumentOptions = {}): Promise<Doc> {
    return this.open(name, options).ready;
  }

  /** The same at once, without waiting for a state: changes made meanwhile are queued. */
  open(name: string, options: DocumentOptions = {}): Doc {
    this.#errands.delete(name);
    return this.#docs.get(name) ?? this.#add(name, options.default);
  }

  /** Calls `callback` after every change that a status line could show; returns the function that stops it. */
  subscribe(callback: () => void): () => void {
    this.#subscribers.add(callback);
    return () => this.#subscribers.delete(callback);
  }

  // ------------------------------------------------------------------ the person's session

  /** Moves the session's end as far as activity would. Rejected with status 401 when it is over. */
  extend(): Promise<Session> { return this.#account.extend(); }
  /** Reads the session again, and tells the page if it differs. Null when it cannot be read, or is over. */
  refresh(): Promise<Session | null> { return this.#account.refresh(); }
  /** The person's platforms, oldest first. */
  platforms(): Promise<readonly Platform[]> { return this.#account.platforms.list(); }
  /** The platform that this tab shows: the session's, or the one that was clicked on. */
  get platform(): Platform | null { return this.#account.platforms.shown; }
  /** Shown at once. Rejected, and shown no more, when the server refuses: somebody was faster, or there is no such platform. */
  switchPlatform(id: string): Promise<Session> { return this.#account.platforms.switch(id); }
  /** Going on at another device. */
  get handoff(): Handoffs { return this.#account.handoff; }
  /** The person's sessions on all devices. */
  sessions(): Promise<readonly OwnSession[]> { return this.#account.sessions(); }
  /** Ends one of them, by its `session_id`. */
  endSession(handle: string): Promise<void> { return this.#account.end(handle); }
  /** Ends all of them but this one; how many there were. */
  logoutOthers(): Promise<number> { return this.#account.logoutOthers(); }

  get formOptions(): FormOptions {
    const { timers, page } = this.#environment;
    return { timers, window: page.window, leaveGuard: this.options.leaveGuard !== false };
  }

  stats(): Stats {
    const { connects, framesIn, framesOut, bytesIn, bytesOut } = this.#connection;
    return {
      connects, framesIn, framesOut, bytesIn, bytesOut,
      pending: this.documents.reduce((sum, doc) => sum + doc.pendingCount, 0),
      durable: this.#outbox.isDurable,
      storageFailure: this.#outbox.failure,
      hashesMatched: this.#hashes.matched,
      hashesDiffered: this.#hashes.differed,
      hashesSkipped: this.#hashes.skipped,
    };
  }

  /** Reads the session again and connects, for example after a login without a page load. */
  reconnect(): void {
    this.#account.isKnown = false;
    this.#connection.attempt = 0;
    this.#connection.start();
    this.#siblings.tell({ kind: "session" });
  }

  /** Ends everything in this tab. Changes that were not acknowledged stay in the outbox. */
  close(): void {
    this.#connection.stop("closed", "closed");
    this.#requests.rejectAll(new SessileError("closed", "the client was closed"));
    for (const doc of this.#docs.values()) doc.close(true);
    this.#account.platforms.close();
    this.#signals.close();
    this.#siblings.close();
    this.#environment.timers.clear(this.#siblingTimer);
    this.#outbox.close();
  }

  // ------------------------------------------------------------------ who is here

  /** Before every socket: make sure that we know whose it will be. */
  async #prepare(afterFailure: boolean): Promise<Prepared> {
    if (!this.#account.isKnown || afterFailure) {
      const answer = await this.#http.session();
      if (answer.kind === "none") {
        this.#account.set(null);
        return "needs_auth";
      }
      if (answer.kind === "unknown") {
        const last = this.#last ?? (await this.#outbox.lastOwner()) ?? null;
        if (last && !this.#last) await this.#adopt(last);
        return "unreachable";
      }
      await this.#adopt(ownerOf(answer.session));
      this.#account.set(answer.session);
      this.#account.isKnown = true;
    }
    await this.#loading;
    return "ready";
  }

  /** Makes `last` the owner of everything that follows; another owner's documents leave the sight. */
  async #adopt(last: LastOwner): Promise<void> {
    const isOther = this.#last?.owner !== last.owner;
    const former = this.#last;
    const known = await this.#outbox.lastOwner();
    const sameSession = last.user_id !== null ? anonymousOwner(last.session) : null;
    this.#identity = await this.#outbox.identity(last, sameSession);
    this.#last = last;
    // Somebody has logged in: tabs that wait for that have no other way to hear of it.
    if (known && (known.owner !== last.owner || known.session.session_id !== last.session.session_id)) this.#siblings.tell({ kind: "session" });
    if (!isOther) return;
    if (former) for (const doc of this.#docs.values()) doc.reset();
    this.#hasOwner.resolve(last.owner);
    this.#loading = this.#load(last.owner);
    await this.#loading;
  }

  async #load(owner: string): Promise<void> {
    await Promise.all([...this.#docs.values()].map((doc) => doc.load(owner)));
    for (const { name, default: initial } of await this.#outbox.waiting(owner)) {
      if (this.#docs.has(name)) continue;
      this.#errands.add(name);
      await this.#add(name, initial).load(owner);
    }
  }

  #terminated(code: number): void {
    this.#account.isKnown = false;
    const session_id = this.session?.session_id ?? null;
    if (code === CLOSE.wrongUser) return this.#connection.retry("wrong_user"); // reads the session again and switches the store
    if (code === CLOSE.expired) this.#emitter.emit("sessionExpired", { session_id });
    if (AUTH_CODES.includes(code)) {
      this.#account.set(null);
      this.#siblings.tell({ kind: "session" });
    }
  }

  #restart(): void {
    this.#account.isKnown = false;
    this.#connection.start();
  }

  /** The page or the network is back. Without a session: somebody may have logged in elsewhere meanwhile. */
  #awake(): void {
    if (this.status === "needs_auth") this.#connection.start();
    else this.#connection.wake();
  }

  // ------------------------------------------------------------------ the connection

  async #hello(): Promise<object> {
    const last = this.#last as LastOwner;
    const identity = (this.#identity ??= await this.#outbox.identity(last, null));
    // What an identity left behind that memory has replaced goes out first, under its own name.
    this.#connectionDevice = (await this.#outbox.formerDevice(last.owner, identity)) ?? identity;
    await Promise.all(this.documents.map((doc) => doc.prepare()));
    return {
      type: "hello",
      protocol: 1,
      device_id: this.#connectionDevice,
      tab_id: this.tabId,
      user_id: last.user_id,
      visible: this.#signals.isVisible,
      device: { ...deviceFacts(), ...this.options.device },
      ...(this.options.token && { token: await this.options.token() }),
      // A first frame with a token is at most 4 KiB: the documents follow when the server knows who is there.
      documents: this.options.token ? [] : this.documents.map((doc) => doc.wanted),
    };
  }

  #frame(frame: ServerFrame): void {
    switch (frame.type) {
      case "welcome":
        this.#account.set(frame.session);
        this.#hasTried = true;
        this.#connection.welcomed();
        this.#siblings.tell({ kind: "connected" });
        this.#opened(frame.documents);
        return this.#subscribeMissing(frame.documents);
      case "subscribed": return this.#opened(frame.documents);
      case "ping":
        for (const doc of this.#docs.values()) {
          const head = doc.id === null ? undefined : frame.heads[doc.id];
          if (head) doc.head(...head);
        }
        return;
      case "session_changed": return void this.#account.changed(frame.refresh).catch(reportError);
      case "session_expiring":
        return this.#emitter.emit("sessionExpiring", { session_id: frame.session_id, expires_at: frame.expires_at, can_extend: frame.can_extend });
      case "handoff_changed": {
        const { type: _type, session_id: _session, ...state } = frame;
        return this.#emitter.emit("handoffChanged", state);
      }
      case "session_ended": return this.#emitter.emit("sessionEnded", { session_id: frame.session_id, reason: frame.reason });
      case "error": return this.#failed(frame);
      case "goaway":
      case "part": return; // the connection's business
      case "checkpoint_saved": this.#requests.answered(frame.request_id, frame.checkpoint); break;
      case "session_restored":
      case "restore_preview": this.#requests.answered(frame.request_id, frame); break;
    }
    this.#byId(frame.document_id)?.frame(frame).catch(reportError);
  }

  #byId(documentId: string): Doc | undefined {
    return this.documents.find((doc) => doc.id === documentId);
  }

  #opened(documents: readonly (Opened | NotOpened)[]): void {
    for (const opened of documents) {
      const doc = opened.name === undefined ? opened.document_id && this.#byId(opened.document_id) : this.#docs.get(opened.name);
      if (!doc) continue;
      if ("error" in opened) doc.refused(new SessileError(opened.error.code, opened.error.message, opened.error.retryable));
      else doc.opened(opened).catch(reportError);
    }
  }

  /** Documents that were opened here between hello and welcome. */
  #subscribeMissing(known: readonly (Opened | NotOpened)[]): void {
    const names = new Set(known.map((opened) => opened.name));
    for (const doc of this.#docs.values()) if (!names.has(doc.name)) this.#subscribe(doc);
  }

  #subscribe(doc: Doc): void {
    this.#connection.send({ type: "subscribe", request_id: this.#newId(), documents: [doc.wanted] });
  }

  #add(name: string, initial: JsonObject | undefined): Doc {
    const doc = new Doc(this.#host, name, initial);
    this.#docs.set(name, doc);
    const owner = this.#last?.owner;
    if (owner !== undefined) {
      doc.load(owner).then(() => {
        if (this.#connection.isOpen && !doc.isSubscribed) this.#subscribe(doc);
        else if (this.isOffline) doc.offline();
      }, reportError);
    }
    return doc;
  }

  #statusChanged(change: StatusChange): void {
    const now = this.#environment.timers.now();
    if (change.from === "connected" && change.to !== "connected") {
      this.#lostAt_ms = now;
      this.#requests.rejectAll(new SessileError("connection_lost", "the connection was lost before the answer came", true));
      for (const doc of this.#docs.values()) doc.disconnected();
      this.#emitter.emit("disconnectionDetected", { at_ms: now, reason: change.reason });
    }
    if (change.retry_in_ms !== null || change.to === "stopped") {
      this.#hasTried = true;
      for (const doc of this.#docs.values()) doc.offline();
    }
    if (change.to === "connected" && this.#lostAt_ms !== null) {
      this.#emitter.emit("reconnectionDetected", { at_ms: now, away_ms: now - this.#lostAt_ms, attempts: change.attempt });
      this.#lostAt_ms = null;
    }
    if (change.reason === "attempts_exhausted") this.#emitter.emit("maxReconnectAttemptsReached", { attempts: change.attempt - 1 });
    if (change.from !== change.to) this.#emitter.emit("connectionStatusChanged", change);
    for (const doc of this.#docs.values()) doc.statusMayHaveChanged();
    this.#touched();
  }

  #failed(frame: Extract<ServerFrame, { type: "error" }>): void {
    const error = new SessileError(frame.code, frame.message, frame.retryable);
    if (this.#requests.refused(frame.ref, error)) return;
    if (frame.ref !== undefined) this.#byId(frame.ref)?.failed(error);
    this.#emitter.emit("serverError", { code: frame.code, message: frame.message, retryable: frame.retryable, ref: frame.ref ?? null });
  }

  // ------------------------------------------------------------------ other tabs, other identities

  #heard(message: SiblingMessage): void {
    if (message.kind === "session") return this.#restart();
    if (message.kind === "session_changed") return this.#connection.isOpen ? undefined : void this.refresh().catch(reportError);
    if (message.kind === "connected") return this.#connection.hurry();
    if (message.owner !== this.#last?.owner) return;
    if (message.kind === "identity") return void this.#identityRenewed().catch(reportError);
    const doc = this.#docs.get(message.name);
    if (message.kind === "verdicts") return doc?.heard(message.device_id, message.verdicts);
    doc?.refresh(false).catch(reportError);
    this.#siblingTimer ??= this.#environment.timers.set(() => {
      this.#siblingTimer = null;
      for (const open of this.#docs.values()) open.pump();
    }, SIBLING_DELAY_MS);
  }

  async #renew(name: string, deviceId: string): Promise<void> {
    if (!this.#last) return;
    await this.#outbox.renew(this.#last.owner, name, deviceId);
    this.#siblings.tell({ kind: "identity", owner: this.#last.owner });
    await this.#identityRenewed();
  }

  async #identityRenewed(): Promise<void> {
    if (!this.#last) return;
    this.#identity = await this.#outbox.identity(this.#last, null);
    await Promise.all([...this.#docs.values()].map((doc) => doc.refresh(true)));
    this.#connection.start();
  }

  #storageFailed(reason: unknown): readonly Entry[] {
    this.#identity = null;
    this.#emitter.emit("storageUnavailable", { reason: reason instanceof Error ? reason.message : String(reason) });
    const owner = this.#last?.owner;
    if (owner === undefined) return [];
    return this.documents.flatMap((doc) => doc.unanswered
      .filter((change) => change.seq !== null && change.device_id !== null)
      .map((change) => ({ ...change, owner, name: doc.name }) as Entry));
  }

  #acknowledged(doc: Doc): void {
    if (this.#errands.has(doc.name) && doc.pendingCount === 0 && doc.id !== null) {
      this.#errands.delete(doc.name);
      this.#docs.delete(doc.name);
      this.#connection.send({ type: "unsubscribe", document_id: doc.id });
      doc.close(true);
    }
    // All that a former identity left is delivered: go on under the present one.
    if (this.#identity !== this.#connectionDevice && this.#connection.isOpen) this.#switchDevice().catch(reportError);
  }

  async #switchDevice(): Promise<void> {
    const last = this.#last as LastOwner;
    this.#identity ??= await this.#outbox.identity(last, null);
    const former = await this.#outbox.formerDevice(last.owner, this.#identity);
    if (former === null && this.#connectionDevice !== this.#identity) this.#connection.start();
  }

  #makeHost(): Host {
    const client = this;
    return {
      outbox: this.#outbox,
      timers: this.#environment.timers,
      random: this.#environment.random,
      subtle: this.#environment.subtle,
      get owner() { return client.#last?.owner ?? null; },
      get deviceId() { return client.#connectionDevice; },
      get isConnected() { return client.#connection?.isOpen ?? false; },
      get needsAuth() { return client.#connection?.status === "needs_auth"; },
      whenOwner: () => this.#hasOwner.promise,
      send: (frame) => this.#connection.send(frame),
      request: (frame) => this.#requests.ask(frame),
      getJson: (path) => this.#http.json(path),
      emit: (name, detail) => this.#emitter.emit(name, detail),
      stored: (entry) => this.#stored(entry),
      verdicts: (name, device_id, verdicts: readonly SentVerdict[]) =>
        this.#last && this.#siblings.tell({ kind: "verdicts", owner: this.#last.owner, name, device_id, verdicts }),
      acknowledged: (doc) => this.#acknowledged(doc),
      renewIdentity: (name, deviceId) => void this.#renew(name, deviceId).catch(reportError),
      hashChecked: (outcome) => void this.#hashes[outcome]++,
      touched: () => this.#touched(),
    };
  }

  #stored(entry: Entry): void {
    this.#siblings.tell({ kind: "outbox", owner: entry.owner, name: entry.name });
    if (entry.owner !== this.#last?.owner || entry.device_id === this.#identity) return;
    this.#identity = entry.device_id; // renewed by another tab, or by the fall-back to memory
    if (this.#connection.isOpen) this.#switchDevice().catch(reportError);
  }

  #touched(): void {
    if (this.options.leaveGuard !== false) this.#signals?.guard(this.documents.some((doc) => doc.unstoredCount > 0));
    for (const callback of [...this.#subscribers]) guarded(callback);
  }

  #newId(): string {
    return uuid7(this.#environment.timers.now(), this.#environment.random);
  }
}
