/** Transactions over four small tables: in IndexedDB, or in memory where that cannot be used. */

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

const VERSION = 1;

/** The outcome of a request. Its continuations run while the request's transaction is still active, as IndexedDB prescribes. */
const outcome = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as DOMException);
  });

export class IndexedDbBackend implements Backend {
  readonly isDurable = true;
  #database: Promise<IDBDatabase> | null = null;

  constructor(private readonly factory: IDBFactory, private readonly name: string) {}

  async #open(): Promise<IDBDatabase> {
    const request = this.factory.open(this.name, VERSION);
    request.onupgradeneeded = () => {
      for (const table of TABLES) request.result.createObjectStore(table);
    };
    const database = await outcome(request);
    // Another tab brings a newer client: let it upgrade, and open again when needed.
    database.onversionchange = () => this.close();
    // The browser took the connection away.
    database.onclose = () => {
      this.#database = null;
    };
    return database;
  }

  async transact<T>(mode: "readonly" | "readwrite", work: (tx: Transaction) => Promise<T>): Promise<T> {
    const database = await (this.#database ??= this.#open());
    const transaction = database.transaction(TABLES as string[], mode, { durability: "strict" });
    const store = (table: Table) => transaction.objectStore(table);
    const span = (lower: Key, upper: Key) => IDBKeyRange.bound(lower, upper);
    const tx: Transaction = {
      get: (table, key) => outcome(store(table).get(key as IDBValidKey)),
      range: (table, lower, upper, limit) => outcome(store(table).getAll(span(lower, upper), limit)),
      put: async (table, key, value) => void (await outcome(store(table).put(value, key as IDBValidKey))),
      remove: (table, key) => outcome(store(table).delete(key as IDBValidKey)),
      removeRange: (table, lower, upper) => outcome(store(table).delete(span(lower, upper))),
    };
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      // Null: it was aborted by hand, because `work` failed, and that is the error to see.
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction was aborted", "AbortError"));
    });
    const [result] = await Promise.all([
      work(tx).catch((error: unknown) => {
        abort(transaction);
        throw error;
      }),
      done,
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
