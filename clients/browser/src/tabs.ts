/**
 * The tabs of one browser: one of them, the leader, has the socket and gives the others what it hears. Every tab still writes its changes
 * into the outbox itself; the leader sends what is there. A tab that cannot take part has a socket of its own (`solo`), which is correct, too.
 */

import type { Doc } from "./document.js";
import type { Environment } from "./environment.js";
import { reportError, SessileError } from "./errors.js";
import type { ServerFrame } from "./frames.js";
import { Leadership } from "./leadership.js";
import type { Lent, SiblingMessage, Siblings, Standing } from "./siblings.js";

export type Role = "leader" | "follower" | "solo";

/** What the tabs need from their client. */
export interface TabsHost {
  readonly tabId: string;
  readonly isVisible: boolean;
  readonly isConnected: boolean;
  readonly owner: string | null;
  readonly documents: readonly Doc[];
  readonly standing: Standing;
  /** The next number for a leader: higher than any before. */
  nextTerm(known: number): Promise<number>;
  /** This tab has the socket from now on, for itself (`solo`) or for all; or it waits for what the leader says. */
  connect(role: Role): void;
  deposed(): void;
  follow(standing: Standing): Promise<void>;
  /** A document that another tab has open; null when there is nobody to open it for. */
  lend(lent: Lent): Doc | null;
  /** Documents of other tabs that none of them has open any more. */
  returned(): void;
  send(frame: object): boolean;
  /** What a frame or another tab said of a document. */
  frame(frame: ServerFrame): void;
  awake(): void;
  /** Who is looking has changed. */
  attended(): void;
  /** Since the server was last heard. */
  readonly silence_ms: number;
  /** Looks whose session it is. */
  verify(): void;
  roleChanged(role: Role, term: number): void;
}

interface Follower {
  visible: boolean;
  names: ReadonlySet<string>;
  /** Pings that it has not answered. */
  silent: number;
}

const BEAT_MS = 1000;
/** A leader that says nothing for so long is asked; when it does not answer either, its lock is taken. */
const SILENCE_MS = 1500;
const ANSWER_MS = 1200;
/** The timers of a hidden page run once a second: what is just above a second would take two. */
const HIDDEN_ANSWER_MS = 700;
/** So that not all tabs take it at once. */
const SPREAD_MS = 250;
/** A hidden leader is let be for a moment: people look into other tabs and come back. */
const HIDDEN_MS = 1800;
const SILENT_PINGS_MAX = 3;
const TRUSTED_MS = 5000;
const TOO_MANY = "too_many";
/** Of what the server says, other tabs get what is about documents and the session. The rest is between the leader and the server. */
const PRIVATE: ReadonlySet<string> = new Set(["welcome", "subscribed", "ack", "nack", "goaway", "part", "session_changed"]);

export class Tabs {
  role: Role = "solo";
  term = 0;
  #isIn = false;
  /** Null for a tab that stands alone. */
  #leadership: Leadership | null;
  readonly #followers = new Map<string, Follower>();
  /** Documents that other tabs wait for: their ids by name. */
  readonly #owed = new Map<string, Set<string>>();
  /** Ids of what was sent for other tabs. */
  readonly #passed = new Set<string>();
  #leader = "";
  #hiddenSince_ms: number | null = null;
  #timer: unknown = null;
  #following: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly environment: Pick<Environment, "locks" | "timers" | "random">,
    private readonly siblings: Siblings,
    group: string,
    mayShare: boolean,
    private readonly host: TabsHost,
  ) {
    const { locks } = environment;
    this.#leadership = !locks || !mayShare || !siblings.isOpen ? null : new Leadership(locks, group, {
      lead: () => void this.#lead().catch((error: unknown) => this.#fail(error)),
      deposed: () => this.#deposed(),
      failed: (error) => this.#fail(error),
    });
  }

  /** Any tab that is looked at, and how many there are. */
  get attendance(): { visible: boolean; tabs: number } {
    const followers = [...this.#followers.values()];
    return { visible: this.host.isVisible || followers.some(({ visible }) => visible), tabs: 1 + followers.length };
  }

  /** True when another tab has the document open. */
  wants(name: string): boolean {
    return [...this.#followers.values()].some(({ names }) => names.has(name));
  }

  /** Takes part: as the leader if there is none. */
  enter(): void {
    if (!this.#leadership) return this.host.connect(this.role);
    if (this.#isIn) return;
    this.#isIn = true;
    this.siblings.open();
    this.#become("follower");
    this.host.connect("follower");
    this.#leadership.enter();
    this.here(true);
    this.#listen();
  }

  /** The page goes to sleep, or ends. False for a tab that stands alone. */
  leave(): boolean {
    if (!this.#isIn) return false;
    this.#isIn = false;
    this.siblings.tell({ kind: "gone", tab: this.host.tabId });
    this.siblings.close();
    this.#stop();
    if (this.role === "leader") this.host.deposed();
    this.#become("follower");
    return true;
  }

  /** From now on a socket of its own, for example because this tab's outbox is in its memory. */
  standAlone(): void {
    if (!this.#isIn) {
      // Put aside when its storage failed: it comes back with a socket of its own, and leads nobody.
      this.#leadership = null;
      return this.#become("solo");
    }
    this.#isIn = false;
    const wasLeader = this.role === "leader";
    this.siblings.tell({ kind: "gone", tab: this.host.tabId });
    this.#stop();
    this.#leadership = null;
    this.#become("solo");
    if (!wasLeader) this.host.connect("solo");
  }

  // ------------------------------------------------------------------ as a follower

  /** Tells the leader what this tab has open. `asks`: how does it stand? */
  here(asks = false, needed?: Doc): void {
    if (this.role !== "follower" || !this.#isIn) return;
    const documents = this.host.documents.map((doc): Lent => ({
      name: doc.name, ...(doc.initial && { default: doc.initial }), isNeeded: doc === needed || !doc.isSubscribed,
    }));
    this.siblings.tell({ kind: "here", tab: this.host.tabId, visible: this.host.isVisible, asks, documents });
  }

  /** What this tab would send if it had a socket. */
  send(frame: { type: string; document_id?: string | null }): boolean {
    if (!this.host.isConnected) return false;
    if (frame.type === "request_sync") this.here(false, this.host.documents.find(({ id }) => id === frame.document_id));
    else if (frame.type === "checkpoint" || frame.type === "restore") this.siblings.tell({ kind: "ask", frame: frame as { request_id: string } & typeof frame });
    return true;
  }

  /** The leader has spoken: it is well. When it says nothing for a while it is asked, and then replaced. */
  #listen(): void {
    const { timers, random } = this.environment;
    timers.clear(this.#timer);
    this.#timer = timers.set(() => {
      this.siblings.tell({ kind: "probe" });
      const patience_ms = this.host.isVisible ? ANSWER_MS : HIDDEN_ANSWER_MS;
      this.#timer = timers.set(() => this.#leadership?.enter(true), patience_ms + random() * SPREAD_MS);
    }, SILENCE_MS);
  }

  #heardBeat(tab: string, term: number, isVisible: boolean): void {
    if (term < this.term) return; // it does not know yet that it leads no more
    const isNew = tab !== this.#leader || term !== this.term;
    [this.#leader, this.term] = [tab, term];
    this.#listen();
    if (isNew) this.here(true);
    const now = this.environment.timers.now();
    this.#hiddenSince_ms = isVisible || !this.host.isVisible ? null : this.#hiddenSince_ms ?? now;
    if (this.#hiddenSince_ms === null || now - this.#hiddenSince_ms < HIDDEN_MS) return;
    this.#hiddenSince_ms = null;
    this.#leadership?.enter(true);
  }

  #heardAsFollower(message: SiblingMessage): void {
    if (message.kind === "beat") return this.#heardBeat(message.tab, message.term, message.visible);
    const isMine = "to" in message ? (message.to ?? this.host.tabId) === this.host.tabId : message.kind === "frame";
    // A leader that hung says how it stands before it hears that it leads no more.
    if (!isMine || (message.kind === "standing" && message.term < this.term)) return;
    this.#listen();
    // In order: who is here first, then what was said.
    this.#following = this.#following.then(() => this.#take(message)).catch(reportError);
  }

  async #take(message: SiblingMessage): Promise<void> {
    if (this.role !== "follower" || !this.#isIn) return;
    if (message.kind === "standing") {
      await this.host.follow(message.standing);
      if (this.host.documents.some((doc) => !doc.isSubscribed)) this.here();
      // A page that has just come, perhaps from a login that the leader has not heard of.
      if (message.to !== null && ["needs_auth", "stopped"].includes(message.standing.status.to)) this.siblings.tell({ kind: "session" });
      return;
    }
    if (!("to" in message || message.kind === "frame") || message.owner !== this.host.owner) return;
    if (message.kind === "frame") {
      this.host.frame(message.frame);
      if (message.frame.type === "ping") this.here();
      return;
    }
    const doc = this.host.documents.find(({ name }) => name === message.name);
    const { device_id } = this.host.standing;
    if (message.kind === "state") return device_id === null ? undefined : doc?.adopt(message.shared, device_id, message.devices);
    // The leader has as many open as one socket may have.
    if (message.error.code === TOO_MANY) return this.standAlone();
    doc?.refused(new SessileError(message.error.code, message.error.message, message.error.retryable));
  }

  // ------------------------------------------------------------------ as the leader

  async #lead(): Promise<void> {
    this.environment.timers.clear(this.#timer);
    const term = await this.host.nextTerm(this.term);
    if (!this.#leadership?.isHeld) return; // left, or taken, meanwhile
    this.term = term;
    this.#become("leader");
    this.#beat();
    this.host.connect("leader");
  }

  #beat(): void {
    const { timers } = this.environment;
    this.#say();
    timers.clear(this.#timer);
    this.#timer = timers.set(() => this.#beat(), BEAT_MS);
  }

  #say(): void {
    this.siblings.tell({ kind: "beat", tab: this.host.tabId, term: this.term, visible: this.host.isVisible });
  }

  /** Tells the others how this tab stands with the server. */
  tell(to: string | null = null): void {
    if (this.role === "leader") this.siblings.tell({ kind: "standing", to, term: this.term, standing: this.host.standing });
  }

  /** A frame has been taken in. */
  heardFrame(frame: ServerFrame): void {
    const { owner } = this.host;
    if (this.role !== "leader" || this.#followers.size === 0 || owner === null) return;
    if (!PRIVATE.has(frame.type)) this.siblings.tell({ kind: "frame", owner, frame });
    if (frame.type === "ping") {
      for (const [tab, follower] of this.#followers) if (++follower.silent > SILENT_PINGS_MAX) this.#gone(tab);
    }
    for (const [name, tabs] of this.#owed) this.#give(name, [...tabs]);
  }

  #heardAsLeader(message: SiblingMessage): void {
    switch (message.kind) {
      case "here": return this.#heardHere(message);
      case "gone": return this.#gone(message.tab);
      case "ask": return this.#pass(message.frame);
      case "probe": return this.#say();
      case "wake": return this.host.awake();
    }
  }

  #heardHere({ tab, visible, asks, documents }: Extract<SiblingMessage, { kind: "here" }>): void {
    const before = this.#followers.get(tab);
    this.#followers.set(tab, { visible, names: new Set(documents.map(({ name }) => name)), silent: 0 });
    if (asks || !before) this.tell(tab);
    // The page may come from a login that this tab would have heard of by a connection that is dead.
    if (!before && this.host.isConnected && this.host.silence_ms > TRUSTED_MS) this.host.verify();
    for (const lent of documents) {
      const doc = this.host.lend(lent);
      if (!doc || !lent.isNeeded) continue;
      this.#owed.set(lent.name, (this.#owed.get(lent.name) ?? new Set()).add(tab));
      this.#give(lent.name, [tab]);
    }
    if (before) this.host.returned();
    if (before?.visible !== visible) this.host.attended();
  }

  /** Gives a document to those who wait for it, if there is something to give. */
  #give(name: string, tabs: readonly string[]): void {
    const { owner } = this.host;
    const doc = this.host.documents.find((one) => one.name === name);
    if (!doc || owner === null) return;
    const { shared, error, devices } = doc;
    if (!shared && !error) return;
    for (const to of tabs) {
      if (shared) this.siblings.tell({ kind: "state", to, owner, name, shared, devices });
      else if (error) this.siblings.tell({ kind: "refused", to, owner, name, error: { code: error.code, message: error.message, retryable: error.retryable } });
    }
    this.#owed.delete(name);
  }

  /** True for the answer to a frame that another tab has asked to be sent. */
  hasPassed(ref: string | undefined): boolean {
    return ref !== undefined && this.#passed.has(ref);
  }

  #pass(frame: { readonly request_id: string }): void {
    const { request_id: ref } = frame;
    this.#passed.add(ref);
    if (!this.host.send(frame)) this.heardFrame({ type: "error", code: "not_connected", message: "there is no connection to the server", retryable: true, ref });
  }

  #gone(tab: string): void {
    if (!this.#followers.delete(tab)) return;
    this.host.returned();
    this.host.attended();
  }

  // ------------------------------------------------------------------ both

  heard(message: SiblingMessage): void {
    if (!this.#isIn) return;
    if (this.role === "leader") this.#heardAsLeader(message);
    else this.#heardAsFollower(message);
  }

  #deposed(): void {
    this.#forget();
    this.#become("follower");
    this.#listen();
    this.host.deposed();
  }

  #fail(error: unknown): void {
    reportError(error);
    this.standAlone();
  }

  #stop(): void {
    this.#leadership?.leave();
    this.#forget();
    this.environment.timers.clear(this.#timer);
  }

  #forget(): void {
    this.#followers.clear();
    this.#owed.clear();
    this.#passed.clear();
    this.#leader = "";
    this.#hiddenSince_ms = null;
  }

  #become(role: Role): void {
    if (role === this.role) return;
    this.role = role;
    this.host.roleChanged(role, this.term);
  }
}
