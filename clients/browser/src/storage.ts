/** Transactions over four small tables: in IndexedDB, or in memory where that cannot be used. */

import { type DBSchema, type IDBPDatabase, wrap } from "idb";

export type Key = string | readonly (string | number)[];
export type Table = "identities" | "documents" | "outbox" | "snapshots" | "settings";
export const TABLES: readonly Table[] = ["identities", "documents", "outbox", "snapshots", "settings"];

/** What a transaction can do. Only these may be awaited inside one: IndexedDB closes a transaction that waits for others. */
export interface Transaction {
  get<T>(table: Table, key: Key): Promise<T | undefined>;
  /** Rows with `lower` <= key <= `upper`, in key order. */
  range<T>(table: Table, lower: Key, upper: Key, limit?: number): Promise<T[]>;
  put(table: Table, key: Key, value: unknown): Promise<void>;
  remove(table: Table, key: Key): Promise<void>;
  removeRange(table: Table, lower: Key, upper: Key): Promise<void>;
}

export interface Backend {
  readonly isDurable: boolean;
  /** Resolves when the transaction has completed, not before. */
  transact<T>(mode: "readonly" | "readwrite", work: (tx: Transaction) => Promise<T>): Promise<T>;
  close(): void;
}

interface Schema extends DBSchema {
  identities: { key: string; value: unknown };
  documents: { key: string[]; value: unknown };
  outbox: { key: (string | number)[]; value: unknown };
  snapshots: { key: string[]; value: unknown };
  settings: { key: string; value: unknown };
}

const VERSION = 1;

export class IndexedDbBackend implements Backend {
  readonly isDurable = true;
  #database: Promise<IDBPDatabase<Schema>> | null = null;

  constructor(private readonly factory: IDBFactory, private readonly name: string) {}

  #open(): Promise<IDBPDatabase<Schema>> {
    return (this.#database ??= this.#opened());
  }

  async #opened(): Promise<IDBPDatabase<Schema>> {
    const request = this.factory.open(this.name, VERSION);
    request.onupgradeneeded = () => {
      for (const table of TABLES) request.result.createObjectStore(table);
    };
    const database = (await wrap(request)) as IDBPDatabase<Schema>;
    // Another tab brings a newer client: let it upgrade, and open again when needed.
    database.addEventListener("versionchange", () => this.close());
    // The browser took the connection away.
    database.addEventListener("close", () => {
      this.#database = null;
    });
    return database;
  }

  async transact<T>(mode: "readonly" | "readwrite", work: (tx: Transaction) => Promise<T>): Promise<T> {
    const database = await this.#open();
    const transaction = database.transaction(TABLES, mode, { durability: "strict" });
    const store = (table: Table) => transaction.objectStore(table) as unknown as IdbStore;
    const span = (lower: Key, upper: Key) => IDBKeyRange.bound(lower, upper);
    const tx: Transaction = {
      get: async <V>(table: Table, key: Key) => (await store(table).get(key)) as V | undefined,
      range: async <V>(table: Table, lower: Key, upper: Key, limit?: number) => (await store(table).getAll(span(lower, upper), limit)) as V[],
      put: async (table, key, value) => void (await store(table).put(value, key)),
      remove: (table, key) => store(table).delete(key),
      removeRange: (table, lower, upper) => store(table).delete(span(lower, upper)),
    };
    const [result] = await Promise.all([
      work(tx).catch((error: unknown) => {
        abort(transaction);
        throw error;
      }),
      transaction.done,
    ]);
    return result;
  }

  close(): void {
    const database = this.#database;
    this.#database = null;
    // A database that never opened has nothing to close; whoever waited for it has the error.
    database?.then((open) => open.close(), () => undefined);
  }
}

interface IdbStore {
  get(key: Key): Promise<unknown>;
  getAll(range: IDBKeyRange, limit?: number): Promise<unknown[]>;
  put(value: unknown, key: Key): Promise<unknown>;
  delete(key: Key | IDBKeyRange): Promise<void>;
}

function abort(transaction: { abort(): void }): void {
  try {
    transaction.abort();
  } catch (error) {
    // Already over: the failure that brought us here ended it.
    if (!(error instanceof Error) || error.name !== "InvalidStateError") throw error;
  }
}

const compare = (left: Key, right: Key): number => {
  if (typeof left === "string" || typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const [a, b] = [left[index] as string | number, right[index] as string | number];
    if (a !== b) return typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === "number" ? -1 : 1; // numbers sort first, as in IndexedDB
  }
  return left.length - right.length;
};

export class MemoryBackend implements Backend {
  readonly isDurable = false;
  readonly #tables = new Map<Table, [Key, unknown][]>();
  #last: Promise<unknown> = Promise.resolve();

  /** One transaction at a time; without roll-back, since nothing here can fail half-way. */
  transact<T>(_mode: "readonly" | "readwrite", work: (tx: Transaction) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => work(this.#transaction));
    this.#last = result.catch(() => undefined); // the caller has the error; the next transaction runs all the same
    return result;
  }

  close(): void {
    this.#tables.clear();
  }

  #rows(table: Table): [Key, unknown][] {
    return this.#tables.get(table) ?? [];
  }

  readonly #transaction: Transaction = {
    get: async <T>(table: Table, key: Key) => structuredClone(this.#rows(table).find(([other]) => compare(other, key) === 0)?.[1]) as T | undefined,
    range: async <T>(table: Table, lower: Key, upper: Key, limit?: number) =>
      this.#rows(table)
        .filter(([key]) => compare(key, lower) >= 0 && compare(key, upper) <= 0)
        .slice(0, limit)
        .map(([, value]) => structuredClone(value) as T),
    put: async (table, key, value) => {
      const rest = this.#rows(table).filter(([other]) => compare(other, key) !== 0);
      this.#tables.set(table, [...rest, [key, structuredClone(value)] as [Key, unknown]].sort(([a], [b]) => compare(a, b)));
    },
    remove: async (table, key) => {
      this.#tables.set(table, this.#rows(table).filter(([other]) => compare(other, key) !== 0));
    },
    removeRange: async (table, lower, upper) => {
      this.#tables.set(table, this.#rows(table).filter(([key]) => compare(key, lower) < 0 || compare(key, upper) > 0));
    },
  };
}
