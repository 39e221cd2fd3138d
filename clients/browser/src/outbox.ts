/**
 * What this browser keeps for its people: identities, changes not yet acknowledged, last snapshots. A change gets its seq and
 * its place in one transaction, so tabs need no leader. Nothing is called stored before its transaction has completed.
 */

import { reportError } from "./errors.js";
import { uuid7 } from "./identifiers.js";
import type { Kept, Pending } from "./core.js";
import type { Session } from "./frames.js";
import type { Operation } from "./operations.js";
import { type Backend, type Key, MemoryBackend, type Transaction } from "./storage.js";
import type { JsonObject } from "./values.js";

export interface Entry extends Pending {
  readonly owner: string;
  readonly name: string;
  readonly device_id: string;
  readonly seq: number;
}

export interface Draft {
  readonly nonce: string;
  readonly base_version: number;
  readonly generation: number | null;
  readonly operations: readonly Operation[];
}

interface Identity {
  readonly device_id: string;
  /** The owner who has taken all this over: what is still stored for the former one goes there too. */
  readonly moved_to?: string;
}

interface DocumentRow {
  readonly name: string;
  readonly device_id: string;
  readonly next_seq: number;
  readonly default?: JsonObject;
}

export interface LastOwner {
  readonly owner: string;
  readonly user_id: string | null;
  readonly session: Session;
}

export interface OutboxOptions {
  /** Null where the browser has no IndexedDB. */
  readonly backend: Backend | null;
  readonly now: () => number;
  readonly random: () => number;
  /** Called once, when storage turned out to be unusable; gives what must not be lost: unanswered changes known to this tab. */
  readonly onFallback: (reason: unknown) => readonly Entry[];
}

/** Sorts after every string and number in IndexedDB's key order. */
const LAST = "\uffff";
const isFull = (error: unknown): boolean => (error as { name?: string } | null)?.name === "QuotaExceededError";
const allOf = (...prefix: string[]): [Key, Key] => [prefix, [...prefix, LAST]];
const seqs = (owner: string, name: string, device: string, from: number, to: number): [Key, Key] =>
  [[owner, name, device, from], [owner, name, device, to]];

export class Outbox {
  #backend: Backend;
  #fallback: Promise<void> | null = null;
  /** Why storage is not durable; null while it is. */
  failure: string | null = null;

  constructor(private readonly options: OutboxOptions) {
    this.#backend = options.backend ?? new MemoryBackend();
    if (!options.backend) this.failure = "this browser has no IndexedDB";
  }

  /** True while changes survive the tab. */
  get isDurable(): boolean {
    return this.#backend.isDurable;
  }

  close(): void {
    this.#backend.close();
  }

  /**
   * Runs a transaction; a failing one is tried once more on a reopened database, then memory takes over for this tab. Where there is no room, the kept
   * states go first: they come again from the server.
   */
  async #transact<T>(mode: "readonly" | "readwrite", work: (tx: Transaction, isRetry: boolean) => Promise<T>): Promise<T> {
    const backend = this.#backend;
    try {
      return await backend.transact(mode, (tx) => work(tx, false));
    } catch (first) {
      if (!backend.isDurable) throw first;
      if (isFull(first)) await this.#makeRoom(backend);
      backend.close(); // Safari loses the connection of background tabs: the next transaction opens a new one
      try {
        return await backend.transact(mode, (tx) => work(tx, true));
      } catch (second) {
        await (this.#fallback ??= this.#fallBack(second));
        return this.#backend.transact(mode, (tx) => work(tx, true));
      }
    }
  }

  async #makeRoom(backend: Backend): Promise<void> {
    try {
      await backend.transact("readwrite", (tx) => tx.removeRange("snapshots", [""], [LAST]));
    } catch (error) {
      reportError(error); // the second try says what becomes of it
    }
  }

  async #fallBack(reason: unknown): Promise<void> {
    const memory = new MemoryBackend();
    const entries = this.options.onFallback(reason);
    await memory.transact("readwrite", async (tx) => {
      // The identities stay in the broken storage: memory starts new ones, and sends what is left of the old ones first.
      for (const entry of entries) await tx.put("outbox", [entry.owner, entry.name, entry.device_id, entry.seq], entry);
    });
    this.#backend.close();
    this.#backend = memory;
    this.failure = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
  }

  /** The number of a new leader, above `known` and above any that was given out here. */
  nextTerm(known: number): Promise<number> {
    return this.#transact("readwrite", async (tx) => {
      const term = 1 + Math.max(known, (await tx.get<number>("settings", "term")) ?? 0);
      await tx.put("settings", "term", term);
      return term;
    });
  }

  lastOwner(): Promise<LastOwner | undefined> {
    return this.#transact("readonly", (tx) => tx.get<LastOwner>("settings", "last_owner"));
  }

  /**
   * The device id of `owner`, made now if there is none. When a user has none yet and `anonymous` (the owner name of the same
   * session before its login) has one, that identity and all it holds become the user's.
   */
  identity(last: LastOwner, anonymous: string | null): Promise<string> {
    return this.#transact("readwrite", async (tx) => {
      await tx.put("settings", "last_owner", last);
      const known = await tx.get<Identity>("identities", last.owner);
      if (known && known.moved_to === undefined) return known.device_id;
      const former = anonymous === null ? undefined : await tx.get<Identity>("identities", anonymous);
      const inherited = former && former.moved_to === undefined ? { device_id: former.device_id } : null;
      if (inherited && anonymous !== null) await this.#move(tx, anonymous, last.owner, inherited);
      const identity = inherited ?? { device_id: this.#newId() };
      await tx.put("identities", last.owner, identity);
      return identity.device_id;
    });
  }

  async #move(tx: Transaction, from: string, to: string, identity: Identity): Promise<void> {
    for (const row of await tx.range<DocumentRow>("documents", ...allOf(from))) await tx.put("documents", [to, row.name], row);
    for (const entry of await tx.range<Entry>("outbox", ...allOf(from))) {
      await tx.put("outbox", [to, entry.name, entry.device_id, entry.seq], { ...entry, owner: to });
    }
    for (const kept of await tx.range<Kept & { name: string }>("snapshots", ...allOf(from))) await tx.put("snapshots", [to, kept.name], kept);
    for (const table of ["documents", "outbox", "snapshots"] as const) await tx.removeRange(table, ...allOf(from));
    await tx.put("identities", from, { ...identity, moved_to: to });
  }

  #newId(): string {
    return uuid7(this.options.now(), this.options.random);
  }

  /** Gives the change the next seq of this device and document and stores it, in one transaction. */
  add(drafter: string, name: string, draft: Draft, initial: JsonObject | undefined): Promise<Entry> {
    return this.#transact("readwrite", async (tx, isRetry) => {
      const owner = (await tx.get<Identity>("identities", drafter))?.moved_to ?? drafter;
      let identity = await tx.get<Identity>("identities", owner);
      if (!identity) await tx.put("identities", owner, (identity = { device_id: this.#newId() }));
      const device = identity.device_id;
      if (isRetry) {
        // The first try may have been committed although it reported an error.
        const twin = (await tx.range<Entry>("outbox", ...seqs(owner, name, device, 0, Infinity))).find(({ nonce }) => nonce === draft.nonce);
        if (twin) return twin;
      }
      const row = await this.#row(tx, owner, name, device);
      const entry: Entry = { ...draft, owner, name, device_id: device, seq: row.next_seq };
      await tx.put("outbox", [owner, name, device, entry.seq], entry);
      await tx.put("documents", [owner, name], { ...row, next_seq: entry.seq + 1, ...(initial && { default: initial }) });
      return entry;
    });
  }

  async #row(tx: Transaction, owner: string, name: string, device: string): Promise<DocumentRow> {
    const row = await tx.get<DocumentRow>("documents", [owner, name]);
    if (row && row.device_id === device) return row;
    return { ...row, name, device_id: device, next_seq: 1 };
  }

  /** The server has a verdict for `lastSeq`: this device's numbering goes on behind it (its storage may be an old copy). */
  continueAfter(owner: string, name: string, deviceId: string, lastSeq: number): Promise<void> {
    return this.#transact("readwrite", async (tx) => {
      const row = await this.#row(tx, owner, name, deviceId);
      const identity = await tx.get<Identity>("identities", owner);
      if (identity?.device_id === deviceId && row.next_seq <= lastSeq) {
        await tx.put("documents", [owner, name], { ...row, next_seq: lastSeq + 1 });
      }
    });
  }

  /** The seq up to which everything of this device and document is acknowledged: entries go only with their acknowledgement. */
  acknowledged(owner: string, name: string, deviceId: string): Promise<number> {
    return this.#transact("readonly", async (tx) => {
      const [first] = await tx.range<Entry>("outbox", ...seqs(owner, name, deviceId, 0, Infinity), 1);
      if (first) return first.seq - 1;
      const row = await tx.get<DocumentRow>("documents", [owner, name]);
      return row?.device_id === deviceId ? row.next_seq - 1 : 0;
    });
  }

  /** Entries of one device and document with a seq above `after`, in order. */
  entriesAfter(owner: string, name: string, deviceId: string, after: number, limit?: number): Promise<Entry[]> {
    return this.#transact("readonly", (tx) => tx.range<Entry>("outbox", ...seqs(owner, name, deviceId, after + 1, Infinity), limit));
  }

  /** All entries of a document, whatever identity made them. */
  entries(owner: string, name: string): Promise<Entry[]> {
    return this.#transact("readonly", (tx) => tx.range<Entry>("outbox", ...allOf(owner, name)));
  }

  /** Names of the documents that have something to send, with the default they were opened with. */
  waiting(owner: string): Promise<{ name: string; default?: JsonObject }[]> {
    return this.#transact("readonly", async (tx) => {
      const names = new Set((await tx.range<Entry>("outbox", ...allOf(owner))).map((entry) => entry.name));
      return Promise.all([...names].map(async (name) => {
        const row = await tx.get<DocumentRow>("documents", [owner, name]);
        return row?.default ? { name, default: row.default } : { name };
      }));
    });
  }

  /** The device whose entries must go out first: one that another identity replaced, else null. */
  formerDevice(owner: string, current: string): Promise<string | null> {
    return this.#transact("readonly", async (tx) => {
      const entries = await tx.range<Entry>("outbox", ...allOf(owner));
      return entries.find((entry) => entry.device_id !== current)?.device_id ?? null;
    });
  }

  acknowledge(owner: string, name: string, deviceId: string, through: number): Promise<void> {
    return this.#transact("readwrite", (tx) => tx.removeRange("outbox", ...seqs(owner, name, deviceId, 0, through)));
  }

  /**
   * Numbers what the document still has of `deviceId` again: under a new device id, or under the present one when another tab or
   * document was faster. What other documents hold of the former device goes out under its name first.
   */
  renew(owner: string, name: string, deviceId: string): Promise<void> {
    return this.#transact("readwrite", async (tx) => {
      let identity = await tx.get<Identity>("identities", owner);
      if (!identity || identity.device_id === deviceId) await tx.put("identities", owner, (identity = { device_id: this.#newId() }));
      const device_id = identity.device_id;
      const row = await this.#row(tx, owner, name, device_id);
      let seq = row.next_seq;
      for (const entry of await tx.range<Entry>("outbox", ...seqs(owner, name, deviceId, 0, Infinity))) {
        await tx.remove("outbox", [owner, name, deviceId, entry.seq]);
        await tx.put("outbox", [owner, name, device_id, seq], { ...entry, device_id, seq });
        seq++;
      }
      await tx.put("documents", [owner, name], { ...row, next_seq: seq });
    });
  }

  /** Keeps the last state for a start without a network. Only if there is room: no change may be without it for that. */
  async keep(owner: string, name: string, kept: Kept): Promise<void> {
    const put = (tx: Transaction) => tx.put("snapshots", [owner, name], { ...kept, name });
    const backend = this.#backend;
    try {
      await backend.transact("readwrite", put);
    } catch (error) {
      if (isFull(error)) return;
      await this.#transact("readwrite", put);
    }
  }

  kept(owner: string, name: string): Promise<Kept | undefined> {
    return this.#transact("readonly", (tx) => tx.get<Kept>("snapshots", [owner, name]));
  }
}
