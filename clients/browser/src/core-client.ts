/**
 * The client of `sessile/core`: documents and their outbox on one socket of this tab. No relay between tabs, no forms, no platforms and hand-off, no checkpoints,
 * no fallback where no socket gets through. Several tabs are correct all the same: they have a socket each, share the outbox, and tell each other what they put there.
 */

import { BaseDoc } from "./base-document.js";
import { AUTH_CODES, CLOSE, Connection, type ConnectionStatus, isUp, type Prepared, type StatusChange } from "./connection.js";
import { Documents, DOCUMENTS_MAX } from "./documents.js";
import { type Environment, plainEnvironment } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import { Emitter, type Events, guarded } from "./events.js";
import type { ServerFrame, Session } from "./frames.js";
import { helloOf } from "./hello.js";
import type { BaseHost } from "./host.js";
import { uuid7 } from "./identifiers.js";
import { Identity } from "./identity.js";
import type { ConnectOptions, CoreSnapshot, DocumentOptions } from "./options.js";
import { type Entry, Outbox } from "./outbox.js";
import { PageSignals } from "./page.js";
import { baseOf, Http, ownerOf } from "./session.js";
import { type SiblingMessage, Siblings } from "./siblings.js";
import { kept } from "./snapshot.js";
import { IndexedDbBackend } from "./storage.js";

export type CoreOptions = Pick<ConnectOptions, "url" | "storageName" | "maxReconnectAttempts" | "token" | "device" | "leaveGuard" | "environment">;

/** Connects to the server of this page. Returns at once; the connection comes and goes by itself. */
export const connect = (options: CoreOptions = {}): CoreClient => new CoreClient(options);

/** So long another tab has for sending what it stored. */
const SIBLING_DELAY_MS = 3000;
const ALONE = { role: "solo", term: 0, attendance: { visible: true, tabs: 1 } } as const;

export class CoreClient {
  readonly tabId: string;
  /** Who is here, as far as the server has said; null for nobody. */
  session: Session | null = null;

  readonly #environment: ReturnType<typeof plainEnvironment>;
  readonly #emitter: Emitter;
  readonly #outbox: Outbox;
  readonly #http: Http;
  readonly #connection: Connection;
  readonly #docs: Documents<BaseDoc>;
  readonly #identity: Identity;
  readonly #signals: PageSignals;
  readonly #siblings: Siblings;
  #siblingTimer: unknown = null;
  readonly #subscribers = new Set<() => void>();
  #snapshot: CoreSnapshot | null = null;
  /** False: the session has to be read before the next socket. */
  #isKnown = false;
  #hasTried = false;

  constructor(private readonly options: CoreOptions = {}) {
    const base = baseOf(options.url);
    const environment = (this.#environment = { ...plainEnvironment(), ...(options.environment as Partial<Environment>) });
    const { timers, random, page, indexedDB, WebSocket } = environment;
    const url = new URL("ws", base);
    url.protocol = base.protocol === "https:" ? "wss:" : "ws:";

    const storageName = options.storageName ?? "sessile";

    this.tabId = this.#newId();
    this.#siblings = new Siblings(environment, `${storageName} ${url.href}`, (message) => this.#heard(message)); // as tabs with the whole client have it
    this.#emitter = new Emitter(page.window);
    this.#outbox = new Outbox({
      backend: indexedDB ? new IndexedDbBackend(indexedDB, storageName) : null, now: timers.now, random, onFallback: (reason) => this.#storageFailed(reason),
    });
    this.#http = new Http(environment.fetch, timers, base, options.token);
    this.#identity = this.#makeIdentity();
    const host = this.#makeHost();
    this.#docs = new Documents<BaseDoc>({
      host,
      make: (name, initial) => new BaseDoc(host, name, initial),
      outbox: this.#outbox,
      wants: () => false,
      loaded: (doc) => {
        if (this.#connection.isOpen && !doc.isSubscribed) this.#subscribe(doc);
        else if (this.isOffline) doc.offline();
      },
      unsubscribe: (document_id) => this.#connection.send({ type: "unsubscribe", document_id }),
    });
    this.#connection = new Connection({
      url: url.href, WebSocket, timers, random,
      attempts_max: options.maxReconnectAttempts ?? Infinity,
      tabs: () => 1,
      prepare: (afterFailure) => this.#prepare(afterFailure),
      hello: () => this.#hello(),
      probe: () => this.#docs.probe(),
      onFrame: (frame) => this.#frame(frame),
      onStatus: (change) => this.#statusChanged(change),
      onTerminal: (code) => this.#terminated(code),
    });
    this.#signals = new PageSignals(page, {
      awake: (mayBeElsewhere) => this.#awake(mayBeElsewhere),
      offline: () => this.#connection.doubt("offline"),
      asleep: () => {
        this.#siblings.close(); // an open channel would keep the page out of the back-forward cache
        if (this.#connection.isOpen) this.#connection.stop("idle", "page_hidden");
      },
      flush: () => this.#docs.all.forEach((doc) => doc.flush()),
      visible: (visible) => this.#connection.send({ type: "presence", visible, tabs: 1 }),
    });
    this.#connection.start();
  }

  get status(): ConnectionStatus { return this.#connection.status; }
  /** True when tries to connect have failed: what is shown may be old. */
  get isOffline(): boolean { return this.#hasTried && !isUp(this.status); }
  /** False when changes are kept in memory only. */
  get isStorageDurable(): boolean { return this.#outbox.isDurable; }
  get documents(): readonly BaseDoc[] { return this.#docs.shown; }

  /** Calls `listener` for a page event; returns the function that stops it. */
  on<Name extends keyof Events>(name: Name, listener: (detail: Events[Name]) => void): () => void { return this.#emitter.on(name, listener); }

  /** The document with this name, opened or created; settles when there is a state. Rejected when the server refuses. */
  document(name: string, options: DocumentOptions = {}): Promise<BaseDoc> { return this.open(name, options).ready; }

  /** The same at once, without waiting for a state: changes made meanwhile are queued. */
  open(name: string, options: DocumentOptions = {}): BaseDoc { return this.#docs.open(name, options.default); }

  /** Calls `callback` after every change that a status line could show; returns the function that stops it. */
  readonly subscribe = (callback: () => void): (() => void) => {
    this.#subscribers.add(callback);
    return () => this.#subscribers.delete(callback);
  };

  /** How it stands: the same object until something in it changes. */
  readonly getSnapshot = (): CoreSnapshot => {
    const { status, session, isOffline, isStorageDurable } = this;
    const [pendingCount, unstoredCount] = [this.#sum((doc) => doc.pendingCount), this.#sum((doc) => doc.unstoredCount)];
    return (this.#snapshot = kept(this.#snapshot, { status, session, isOffline, isStorageDurable, pendingCount, unstoredCount }));
  };

  /** Reads the session again and connects, for example after a login without a page load. */
  reconnect(): void {
    this.#restart();
    this.#siblings.tell({ kind: "session" });
  }

  /** Ends everything in this tab. Changes that were not acknowledged stay in the outbox. */
  close(): void {
    this.#connection.stop("closed", "closed");
    for (const doc of this.#docs.all) doc.close(true);
    this.#signals.close();
    this.#environment.timers.clear(this.#siblingTimer);
    this.#siblings.close();
    this.#outbox.close();
  }

  #restart(): void {
    this.#isKnown = false;
    this.#connection.attempt = 0;
    this.#connection.start();
  }

  #awake(mayBeElsewhere: boolean): void {
    if (!this.#siblings.isOpen) {
      this.#siblings.open();
      for (const doc of this.#docs.all) doc.refresh(false).catch(reportError); // what others have stored meanwhile
    }
    if (this.status === "needs_auth") this.#connection.start();
    else this.#connection.wake(mayBeElsewhere);
  }

  // ------------------------------------------------------------------ other tabs

  /** Who loses its storage has to know what the others had put there: numbers that it made up anew would count twice. */
  #heard(message: SiblingMessage): void {
    if (message.kind === "session") return this.#restart();
    if (message.kind === "connected") return this.#connection.hurry();
    if (!("owner" in message) || message.owner !== this.#identity.owner) return;
    if (message.kind === "identity") return void this.#identity.renewed().catch(reportError);
    if (message.kind === "verdicts") return this.#docs.get(message.name)?.heard(message.device_id, message.verdicts);
    if (message.kind !== "outbox") return;
    this.#docs.get(message.name)?.refresh(false).catch(reportError);
    this.#siblingTimer ??= this.#environment.timers.set(() => {
      this.#siblingTimer = null;
      for (const doc of this.#docs.all) doc.pump();
      this.#errands();
    }, SIBLING_DELAY_MS);
  }

  /** Sends what is left of documents that are not open here. */
  #errands(): void {
    const { owner } = this.#identity;
    if (owner !== null) this.#docs.loadErrands(owner).catch(reportError);
  }

  #tell(owner: string | null, about: { kind: "identity" } | { kind: "outbox"; name: string } | Pick<Extract<SiblingMessage, { kind: "verdicts" }>, "kind" | "name" | "device_id" | "verdicts">): void {
    if (owner !== null) this.#siblings.tell({ ...about, owner });
  }

  // ------------------------------------------------------------------ who is here

  async #prepare(afterFailure: boolean): Promise<Prepared> {
    if (!this.#isKnown || afterFailure) {
      const answer = await this.#http.session();
      if (answer.kind === "none") {
        this.#setSession(null);
        return "needs_auth";
      }
      if (answer.kind === "unknown") {
        await this.#identity.remember();
        return "unreachable";
      }
      await this.#identity.adopt(ownerOf(answer.session));
      this.#setSession(answer.session);
      this.#isKnown = true;
    }
    await this.#identity.whenLoaded;
    return "ready";
  }

  #setSession(session: Session | null): void {
    const isSame = JSON.stringify(session) === JSON.stringify(this.session);
    this.session = session;
    if (!isSame) this.#emitter.emit("sessionStateChanged", { session });
    this.#touched();
  }

  #makeIdentity(): Identity {
    return new Identity({
      outbox: this.#outbox,
      ownerChanged: async (owner, hadOwner) => {
        if (hadOwner) for (const doc of this.#docs.all) doc.reset();
        await this.#docs.load(owner);
        await this.#docs.loadErrands(owner);
      },
      loggedIn: () => this.#siblings.tell({ kind: "session" }),
      renewed: async () => void (await Promise.all(this.#docs.all.map((doc) => doc.refresh(true)))),
      reconnect: () => this.#connection.start(),
      tellRenewed: (owner) => this.#tell(owner, { kind: "identity" }),
    });
  }

  #terminated(code: number): void {
    this.#isKnown = false;
    if (code === CLOSE.wrongUser) return this.#connection.retry("wrong_user"); // reads the session again and switches the store
    if (code === CLOSE.expired) this.#emitter.emit("sessionExpired", { session_id: this.session?.session_id ?? null });
    if (!AUTH_CODES.includes(code)) return;
    this.#setSession(null);
    this.#siblings.tell({ kind: "session" });
  }

  /** Another session, or the same one with something else in it; perhaps what it may do: then the cookie is to be a new one. */
  async #sessionChanged(needsToken: boolean): Promise<void> {
    if (needsToken && !this.#http.hasToken) await this.#http.json("api/v0/session/refresh", "POST").catch(() => undefined); // the next read says what is wrong
    this.#restart();
  }

  // ------------------------------------------------------------------ the connection

  async #hello(): Promise<object> {
    const deviceId = await this.#identity.forConnection();
    const documents = this.#docs.all.slice(0, DOCUMENTS_MAX); // the rest is asked for one by one
    const userId = this.#identity.last?.user_id ?? null;
    return helloOf({ tabId: this.tabId, userId, deviceId, isVisible: this.#signals.isVisible, tabs: ALONE, platformId: null, documents }, this.options);
  }

  #subscribe(doc: BaseDoc): void {
    this.#connection.send({ type: "subscribe", request_id: this.#newId(), documents: [doc.wanted] });
  }

  #frame(frame: ServerFrame): void {
    switch (frame.type) {
      case "welcome": return this.#welcome(frame);
      case "subscribed": return this.#docs.opened(frame.documents);
      case "ping":
        for (const doc of this.#docs.all) {
          const head = doc.id === null ? undefined : frame.heads[doc.id];
          if (head) doc.head(...head);
        }
        return;
      case "session_changed": return void this.#sessionChanged(frame.refresh === true).catch(reportError);
      case "error": {
        const { code, message, retryable, ref = null } = frame;
        if (ref !== null) this.#docs.byId(ref)?.failed(new SessileError(code, message, retryable));
        return this.#emitter.emit("serverError", { code, message, retryable, ref });
      }
    }
    if ("document_id" in frame) this.#docs.byId(frame.document_id)?.frame(frame).catch(reportError);
  }

  #welcome(frame: Extract<ServerFrame, { type: "welcome" }>): void {
    this.#setSession(frame.session);
    this.#hasTried = true;
    this.#connection.welcomed();
    this.#errands();
    this.#siblings.tell({ kind: "connected" });
    this.#docs.opened(frame.documents);
    for (const doc of this.#docs.all) if (!frame.documents.some(({ name }) => name === doc.name)) this.#subscribe(doc);
  }

  #statusChanged(change: StatusChange): void {
    const { from, to, retry_in_ms } = change;
    const { all } = this.#docs;
    if (isUp(from) && !isUp(to)) for (const doc of all) doc.disconnected();
    if (retry_in_ms !== null || to === "stopped") {
      this.#hasTried = true;
      for (const doc of all) doc.offline();
    }
    if (from !== to) this.#emitter.emit("connectionStatusChanged", change);
    for (const doc of all) doc.statusMayHaveChanged();
    this.#touched();
  }

  // ------------------------------------------------------------------ for documents

  #makeHost(): BaseHost {
    const client = this;
    const { timers, random, subtle } = this.#environment;
    return {
      outbox: this.#outbox, timers, random, subtle,
      get owner() { return client.#identity.owner; },
      get deviceId() { return client.#identity.connectionDevice; },
      get isConnected() { return client.#connection?.isOpen ?? false; },
      get needsAuth() { return client.#connection?.status === "needs_auth"; },
      isQuiet: false,
      isFollowing: false,
      whenOwner: () => this.#identity.whenOwner,
      send: (frame) => this.#connection.send(frame),
      emit: (name, detail) => this.#emitter.emit(name, detail),
      stored: (entry) => {
        this.#tell(entry.owner, { kind: "outbox", name: entry.name });
        if (this.#identity.isNewDevice(entry)) this.#goOn();
      },
      verdicts: (name, device_id, verdicts) => this.#tell(this.#identity.owner, { kind: "verdicts", name, device_id, verdicts }),
      acknowledged: (doc) => {
        this.#docs.drop(doc);
        this.#goOn();
      },
      renewIdentity: (name, deviceId) => void this.#identity.renew(name, deviceId).catch(reportError),
      hashChecked: () => undefined,
      touched: () => this.#touched(),
    };
  }

  #goOn(): void {
    if (this.#connection.isOpen) this.#identity.goOn().catch(reportError);
  }

  #storageFailed(reason: unknown): readonly Entry[] {
    this.#identity.lost();
    this.#emitter.emit("storageUnavailable", { reason: reason instanceof Error ? reason.message : String(reason) });
    return this.#identity.owner === null ? [] : this.#docs.unanswered(this.#identity.owner);
  }

  #touched(): void {
    if (this.options.leaveGuard !== false) this.#signals?.guard(this.#sum((doc) => doc.unstoredCount) > 0);
    for (const callback of [...this.#subscribers]) guarded(callback);
  }

  #sum(count: (doc: BaseDoc) => number): number { return this.documents.reduce((total, doc) => total + count(doc), 0); }
  #newId(): string { return uuid7(this.#environment.timers.now(), this.#environment.random); }
}
