/** The client: one socket, the outbox, the documents, and who is here. */

import { Account } from "./account.js";
import { CLOSE, AUTH_CODES, Connection, type ConnectionStatus, isUp, type Prepared, type StatusChange, type Transport } from "./connection.js";
import type { BaseDoc } from "./base-document.js";
import { Doc } from "./document.js";
import { Documents, DOCUMENTS_MAX } from "./documents.js";
import { browserEnvironment, type Environment, type PageLike } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import { Emitter, type Events, guarded } from "./events.js";
import type { FormOptions } from "./form.js";
import type { OwnSession, Platform, SentVerdict, Session } from "./frames.js";
import type { Handoffs } from "./handoff.js";
import { helloOf } from "./hello.js";
import { HiddenTimers } from "./hidden.js";
import type { Host } from "./host.js";
import { uuid7 } from "./identifiers.js";
import { Identity } from "./identity.js";
import { Inbox } from "./inbox.js";
import { LateSocket } from "./late.js";
import { Life } from "./life.js";
import type { ClientSnapshot, ConnectOptions, DocumentOptions, Stats } from "./options.js";
import { type Entry, Outbox } from "./outbox.js";
import { Persistence } from "./persistence.js";
import { QUIET_MS, Reachability } from "./reachability.js";
import { Requests } from "./requests.js";
import { PageHttp } from "./http.js";
import { baseOf, ownerOf } from "./session.js";
import { Siblings, type Standing } from "./siblings.js";
import { kept } from "./snapshot.js";
import { IndexedDbBackend } from "./storage.js";
import { type Role, Tabs, type TabsHost } from "./tabs.js";

/** Connects to the server of this page. Returns at once; the connection comes and goes by itself. */
export const connect = (options: ConnectOptions = {}): Client => new Client(options);

export class Client {
  readonly tabId: string;

  readonly #environment: Environment;
  readonly #emitter: Emitter;
  readonly #outbox: Outbox;
  readonly #http: PageHttp;
  readonly #connection: Connection;
  readonly #siblings: Siblings;
  readonly #tabs: Tabs;
  readonly #life: Life;
  readonly #persistence: Persistence;
  readonly #docs: Documents;
  readonly #identity: Identity;
  readonly #reachability: Reachability;
  readonly #requests: Requests;
  readonly #subscribers = new Set<() => void>();
  readonly #hashes = { hashesMatched: 0, hashesDiffered: 0, hashesSkipped: 0 };
  readonly #account: Account;
  readonly #inbox: Inbox;
  #snapshot: ClientSnapshot | null = null;

  constructor(private readonly options: ConnectOptions = {}) {
    const base = baseOf(options.url);
    const given = { ...browserEnvironment(), ...options.environment };
    const workerUrl = options.workerUrl ?? new URL("api/v0/client/clock.js", base).href;
    const timers = new HiddenTimers(given.timers, () => given.startWorker?.(workerUrl) ?? null);
    const environment = (this.#environment = { ...given, timers });
    const { random } = environment;
    const socketUrl = new URL("ws", base);
    socketUrl.protocol = base.protocol === "https:" ? "wss:" : "ws:";
    const storageName = options.storageName ?? "sessile";

    this.tabId = this.#newId();
    this.#requests = new Requests(() => this.#newId(), (frame) => this.#send(frame));
    this.#emitter = new Emitter(environment.page.window);
    this.#outbox = new Outbox({
      backend: environment.indexedDB ? new IndexedDbBackend(environment.indexedDB, storageName) : null,
      now: timers.now,
      random,
      onFallback: (reason) => this.#storageFailed(reason),
    });
    this.#http = new PageHttp(environment.fetch, timers, base, options.token);
    this.#http.platformId = options.platform ?? null;
    this.#identity = this.#makeIdentity();
    const host = this.#makeHost();
    this.#docs = new Documents({
      host,
      make: (name, initial) => new Doc(host, name, initial),
      outbox: this.#outbox,
      wants: (name) => this.#tabs.wants(name),
      loaded: (doc) => {
        if (this.#connection.isOpen && !doc.isSubscribed) this.#inbox.subscribe(doc.name);
        else if (this.isOffline) doc.offline();
      },
      unsubscribe: (document_id) => this.#connection.send({ type: "unsubscribe", document_id }),
    });
    this.#reachability = new Reachability({
      timers, docs: this.#docs, requests: this.#requests, emitter: this.#emitter, quiet_ms: options.quietReconnectMs ?? QUIET_MS, told: () => this.#touched(),
    });
    this.#account = new Account({
      http: this.#http,
      timers,
      emit: (name, detail) => {
        this.#emitter.emit(name, detail);
        if (name === "sessionStateChanged") this.#tabs.tell();
      },
      touched: () => this.#touched(),
      changed: () => this.#siblings.tell({ kind: "session_changed" }),
      restart: () => this.#restart(),
    });
    const group = `${storageName} ${socketUrl.href}`;
    this.#siblings = new Siblings(environment, group, (message) => this.#inbox.heard(message));
    // A token can be another person's in every tab, and what is only in memory no other tab can send.
    this.#tabs = new Tabs(environment, this.#siblings, group, !options.token && options.platform === undefined && this.#outbox.isDurable, this.#makeTabsHost());
    this.#connection = this.#makeConnection(socketUrl.href);
    this.#inbox = new Inbox({
      account: this.#account, connection: this.#connection, docs: this.#docs, emitter: this.#emitter, reachability: this.#reachability,
      requests: this.#requests, siblings: this.#siblings, tabs: this.#tabs, newId: () => this.#newId(),
      identity: this.#identity, timers, restart: () => this.#restart(),
    });
    this.#persistence = new Persistence(options.persist === false || !this.#outbox.isDurable ? undefined : environment.persist);
    this.#life = this.#makeLife(environment.page, timers);
    this.#tabs.enter();
  }

  /** How it stands with the server, as the page's events have said it: a loss that is mended at once is not shown. */
  get status(): ConnectionStatus { return this.#reachability.shown; }
  /** `events`: no socket gets through here, so that news comes as Server-Sent Events, or is asked for every five seconds. */
  get transport(): Transport { return this.#connection.transport; }
  /** True when tries to connect have failed: what is shown may be old. */
  get isOffline(): boolean { return this.#reachability.hasTried && !isUp(this.status); }
  /** False when changes are kept in memory only. */
  get isStorageDurable(): boolean { return this.#outbox.isDurable; }
  /** Who is here, as far as the server has said; null for nobody. */
  get session(): Session | null { return this.#account.session; }
  get documents(): readonly Doc[] { return this.#docs.shown; }
  /** Whether this tab has the browser's socket: for all its tabs (`leader`), or for itself (`solo`). */
  get role(): Role { return this.#tabs.role; }

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
  open(name: string, options: DocumentOptions = {}): Doc { return this.#docs.open(name, options.default); }

  /** Calls `callback` after every change that a status line could show; returns the function that stops it. Bound, for `useSyncExternalStore`. */
  readonly subscribe = (callback: () => void): (() => void) => {
    this.#subscribers.add(callback);
    return () => this.#subscribers.delete(callback);
  };

  /** How it stands: the same object until something in it changes. */
  readonly getSnapshot = (): ClientSnapshot => {
    const { status, transport, role, session, platform, isOffline, isStorageDurable } = this;
    const pendingCount = this.#sum((doc) => doc.pendingCount);
    const unstoredCount = this.#sum((doc) => doc.unstoredCount);
    return (this.#snapshot = kept(this.#snapshot, { status, transport, role, session, platform, isOffline, isStorageDurable, pendingCount, unstoredCount }));
  };

  #sum(count: (doc: Doc) => number): number { return this.documents.reduce((total, doc) => total + count(doc), 0); }

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
  switchPlatform(id: string): Promise<Session> { return this.#http.platformId === null ? this.#account.platforms.switch(id) : this.showPlatform(id); }
  /**
   * Puts this tab alone on another platform, on a socket of its own; null: on the session's again. Kept nowhere: after a reload it is said again, or
   * with `connect({platform})`. Rejected with `platform_refused`.
   */
  async showPlatform(id: string | null): Promise<Session> {
    const session = await this.#account.show(id);
    this.#tabs.standAlone();
    this.#restart();
    return session;
  }
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
      pending: this.#sum((doc) => doc.pendingCount),
      durable: this.#outbox.isDurable,
      storageFailure: this.#outbox.failure,
      persisted: this.#persistence.isGranted,
      ...this.#hashes,
    };
  }

  /** Reads the session again and connects, for example after a login without a page load. */
  reconnect(): void {
    this.#restart();
    if (this.role !== "follower") this.#siblings.tell({ kind: "session" });
  }

  /** Ends everything in this tab. Changes that were not acknowledged stay in the outbox. */
  close(): void {
    this.#requests.rejectAll(new SessileError("closed", "the client was closed"));
    this.#tabs.leave();
    this.#connection.stop("closed", "closed");
    for (const doc of this.#docs.all) doc.close(true);
    this.#account.platforms.close();
    this.#reachability.close();
    this.#life.close();
    this.#siblings.close();
    this.#inbox.close();
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
        await this.#identity.remember();
        return "unreachable";
      }
      await this.#identity.adopt(ownerOf(answer.session));
      this.#account.set(answer.session);
      this.#account.isKnown = true;
    }
    await this.#identity.whenLoaded;
    return "ready";
  }

  #makeIdentity(): Identity {
    return new Identity({
      outbox: this.#outbox,
      ownerChanged: async (owner, hadOwner) => {
        if (hadOwner) for (const doc of this.#docs.all) doc.reset();
        await this.#docs.load(owner);
        if (this.role !== "follower") await this.#docs.loadErrands(owner);
      },
      loggedIn: () => this.#siblings.tell({ kind: "session" }),
      renewed: async () => void (await Promise.all(this.#docs.all.map((doc) => doc.refresh(true)))),
      reconnect: () => this.role !== "follower" && this.#connection.start(),
      tellRenewed: (owner) => this.#siblings.tell({ kind: "identity", owner }),
    });
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
    this.#connection.attempt = 0;
    if (this.role === "follower") this.#siblings.tell({ kind: "session" });
    else this.#connection.start();
  }

  /** The page or the network is back. Without a session: somebody may have logged in elsewhere meanwhile. */
  #awake(mayBeElsewhere = false): void {
    const { status } = this.#connection;
    if (this.role === "follower" && status !== "idle") this.#siblings.tell({ kind: "wake" });
    else if (status === "idle" && this.role !== "solo") this.#tabs.enter();
    else if (status === "needs_auth") this.#connection.start();
    else this.#connection.wake(mayBeElsewhere);
  }

  /** The browser sees no network. It may be wrong, so a socket that is open stays; but it is no moment for keeping quiet. */
  #offline(): void {
    this.#reachability.speak();
    if (this.role !== "follower") this.#connection.doubt("offline");
  }

  #makeLife(page: PageLike, timers: HiddenTimers): Life {
    const client = this;
    return new Life({
      page,
      timers,
      http: this.#http,
      get isConnecting() { return client.role !== "follower"; },
      get status() { return client.#connection.status; },
      restart: () => this.#restart(),
      ended: () => {
        this.#account.set(null);
        this.#connection.stop("needs_auth", "no_session");
      },
      get documents() { return client.#docs.all; },
      awake: (mayBeElsewhere) => this.#awake(mayBeElsewhere),
      offline: () => this.#offline(),
      asleep: () => (this.#tabs.leave() || this.#connection.isOpen) && this.#connection.stop("idle", "page_hidden"),
      attended: () => this.#attended(),
    });
  }

  // ------------------------------------------------------------------ the connection

  #makeConnection(url: string): Connection {
    const { options } = this;
    const { timers, random, WebSocket } = this.#environment;
    return new Connection({
      url,
      WebSocket,
      stream: () => new LateSocket(async () => new (await import("./stream.js")).StreamSocket(this.#http, timers, () => this.#connection.takeOver())),
      timers,
      random,
      attempts_max: options.maxReconnectAttempts ?? Infinity,
      tabs: () => this.#tabs.attendance.tabs,
      prepare: (afterFailure) => this.#prepare(afterFailure),
      hello: () => this.#hello(),
      probe: () => this.#docs.probe(),
      onFrame: (frame) => {
        this.#inbox.frame(frame);
        this.#tabs.heardFrame(frame);
      },
      onStatus: (change) => this.#statusChanged(change),
      onTerminal: (code) => this.#terminated(code),
    });
  }

  async #hello(): Promise<object> {
    const deviceId = await this.#identity.forConnection();
    const documents = this.#docs.all.slice(0, DOCUMENTS_MAX); // the rest is asked for one by one
    const userId = this.#identity.last?.user_id ?? null;
    return helloOf({ tabId: this.tabId, userId, deviceId, isVisible: this.#life.isVisible, tabs: this.#tabs, platformId: this.#http.platformId, documents }, this.options);
  }

  #send(frame: object): boolean {
    return this.role === "follower" ? this.#tabs.send(frame as { type: string }) : this.#connection.send(frame);
  }

  #statusChanged(change: StatusChange): void {
    this.#reachability.changed(change);
    this.#tabs.tell();
    this.#life.statusChanged();
    this.#touched();
  }

  // ------------------------------------------------------------------ other tabs, other identities

  #storageFailed(reason: unknown): readonly Entry[] {
    this.#identity.lost();
    this.#tabs.standAlone();
    this.#emitter.emit("storageUnavailable", { reason: reason instanceof Error ? reason.message : String(reason) });
    return this.#identity.owner === null ? [] : this.#docs.unanswered(this.#identity.owner);
  }

  /** There may be changes under another device by now: a former one's are sent, or the storage failed between hello and welcome. */
  #acknowledged(doc: BaseDoc): void {
    this.#docs.drop(doc);
    if (this.#connection.isOpen) this.#identity.goOn().catch(reportError);
  }

  #makeHost(): Host {
    const client = this;
    return {
      outbox: this.#outbox,
      timers: this.#environment.timers,
      random: this.#environment.random,
      subtle: this.#environment.subtle,
      get owner() { return client.#identity.owner; },
      get deviceId() { return client.#identity.connectionDevice; },
      get isConnected() { return client.#connection?.isOpen ?? false; },
      get isQuiet() { return client.#reachability?.isQuiet ?? false; },
      get isFollowing() { return client.role === "follower"; },
      get needsAuth() { return client.#connection?.status === "needs_auth"; },
      whenOwner: () => this.#identity.whenOwner,
      send: (frame) => this.#send(frame),
      request: (frame) => this.#requests.ask(frame),
      getJson: (path) => this.#http.json(path),
      comeBack: (body) => this.#account.call(`api/v0/session/${this.session?.session_id}/restore`, "POST", body),
      emit: (name, detail) => "name" in detail && this.#docs.isLent(detail.name) ? undefined : this.#emitter.emit(name, detail),
      stored: (entry) => this.#stored(entry),
      verdicts: (name, device_id, verdicts: readonly SentVerdict[]) => {
        const { owner } = this.#identity;
        if (owner !== null) this.#siblings.tell({ kind: "verdicts", owner, name, device_id, verdicts });
      },
      acknowledged: (doc) => this.#acknowledged(doc),
      renewIdentity: (name, deviceId) => void this.#identity.renew(name, deviceId).catch(reportError),
      hashChecked: (outcome) => void this.#hashes[outcome]++,
      touched: () => this.#touched(),
    };
  }

  #stored(entry: Entry): void {
    this.#persistence.ask();
    this.#life.stored(entry.name);
    this.#siblings.tell({ kind: "outbox", owner: entry.owner, name: entry.name });
    if (this.#identity.isNewDevice(entry) && this.role !== "follower" && this.#connection.isOpen) this.#identity.goOn().catch(reportError);
  }

  // ------------------------------------------------------------------ one socket for all tabs

  #makeTabsHost(): TabsHost {
    const client = this;
    return {
      tabId: this.tabId,
      get isVisible() { return client.#life.isVisible; },
      get isConnected() { return client.#connection.isOpen; },
      get silence_ms() { return client.#connection.silence_ms; },
      verify: () => void this.#account.changed().catch(reportError),
      get owner() { return client.#identity.owner; },
      get documents() { return client.#docs.all; },
      get standing() {
        return { owner: client.#identity.last, session: client.session, device_id: client.#identity.connectionDevice, status: client.#reachability.latest };
      },
      nextTerm: (known) => this.#outbox.nextTerm(known),
      connect: (role) => this.#connect(role),
      deposed: () => this.#deposed(),
      follow: (standing) => this.#follow(standing),
      lend: ({ name, default: initial }) => this.#identity.last && this.#docs.lend(name, initial),
      returned: () => this.#docs.all.forEach((doc) => this.#docs.drop(doc)),
      send: (frame) => this.#connection.send(frame),
      frame: (frame) => this.#inbox.frame(frame),
      awake: () => this.#awake(),
      attended: () => this.#attended(),
      roleChanged: (role, term) => {
        this.#life?.keepTime();
        this.#emitter.emit("leaderChanged", { role, term });
        this.#touched();
      },
    };
  }

  #connect(role: Role): void {
    if (role === "solo") return this.#connection.start();
    if (role === "follower") {
      for (const doc of this.#docs.all) doc.refresh(false).catch(reportError); // what the others have stored while this page slept
      return this.#connection.mirror({ ...this.#reachability.latest, to: "connecting", reason: "start" });
    }
    const { owner } = this.#identity;
    if (owner !== null) this.#docs.loadErrands(owner).catch(reportError);
    this.#connection.takeOver();
  }

  /** The leader has said how it stands with the server: so does this tab. */
  async #follow({ owner, session, device_id, status }: Standing): Promise<void> {
    await this.#identity.follow(owner);
    if (this.role !== "follower") return;
    this.#identity.connectionDevice = device_id;
    this.#account.set(session);
    this.#account.isKnown = session !== null;
    this.#reachability.hasTried ||= status.to === "connected";
    this.#connection.mirror(status);
  }

  #deposed(): void {
    this.#connection.yield();
    this.#requests.rejectAll(new SessileError("connection_lost", "another tab has taken over before the answer came", true));
    this.#docs.deposed();
  }

  #attended(): void {
    if (this.role === "follower") return this.#tabs.here();
    this.#connection.send({ type: "presence", ...this.#tabs.attendance }); // nothing happens without a connection
  }

  #touched(): void {
    if (this.options.leaveGuard !== false) this.#life?.guard(this.#sum((doc) => doc.unstoredCount) > 0);
    for (const callback of [...this.#subscribers]) guarded(callback);
  }

  #newId(): string { return uuid7(this.#environment.timers.now(), this.#environment.random); }
}
