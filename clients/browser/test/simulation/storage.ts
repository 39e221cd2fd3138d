/**
 * IndexedDB of one browser profile, as far as the client uses it: transactions one after another, complete only after a write to the disk,
 * gone with the tab that was in the middle of one. It can be full, and it can be lost.
 */

import type { Key, Table } from "../../src/storage.js";
import type { Process, World } from "./scheduler.js";

type Rows = readonly (readonly [Key, unknown])[];
type Tables = ReadonlyMap<string, Rows>;

const order = (left: unknown, right: unknown): number => {
  if (typeof left === "string" && typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  const [a, b] = [[left].flat(), [right].flat()] as (string | number)[][];
  for (let index = 0; index < Math.min(a!.length, b!.length); index++) {
    const [x, y] = [a![index] as string | number, b![index] as string | number];
    if (x !== y) return typeof x === typeof y ? (x < y ? -1 : 1) : typeof x === "number" ? -1 : 1;
  }
  return a!.length - b!.length;
};

interface Range { lower: Key; upper: Key }
const isIn = (key: Key, range: Range): boolean => order(key, range.lower) >= 0 && order(key, range.upper) <= 0;

Object.assign(globalThis, { IDBKeyRange: { bound: (lower: Key, upper: Key): Range => ({ lower, upper }) } });

export class Disk {
  tables: Tables = new Map();
  isFull = false;
  isLost = false;
  readonly #queue: Transaction[] = [];

  constructor(readonly world: World) {}

  rows(table: Table): Rows { return this.tables.get(table) ?? []; }
  isBusyFor(tab: Process): boolean { return this.#queue.some(({ owner }) => owner === tab); }

  add(transaction: Transaction): void {
    this.#queue.push(transaction);
    if (this.#queue.length === 1) transaction.begin();
  }

  over(transaction: Transaction): void {
    const index = this.#queue.indexOf(transaction);
    if (index < 0) return;
    this.#queue.splice(index, 1);
    if (index === 0) this.#queue[0]?.begin();
  }

  /** The tab is gone: so is what it had not committed. */
  crashed(tab: Process): void {
    for (const transaction of this.#queue.filter(({ owner }) => owner === tab)) this.over(transaction);
  }

  factoryFor(tab: Process): IDBFactory {
    const open = () => {
      const request = { result: null as unknown, error: null as unknown, onsuccess: null as (() => void) | null, onerror: null as (() => void) | null };
      this.world.at(0.5, () => {
        if (this.isLost) {
          request.error = new DOMException("Connection to Indexed Database server lost", "UnknownError");
          return request.onerror?.();
        }
        request.result = { transaction: () => this.#begun(tab), close: () => undefined };
        request.onsuccess?.();
      }, tab);
      return request;
    };
    return { open } as unknown as IDBFactory;
  }

  #begun(tab: Process): Transaction {
    if (this.isLost) throw new DOMException("Connection to Indexed Database server lost", "UnknownError");
    return new Transaction(this, tab);
  }
}

interface Request { run: () => unknown; result: unknown; error: unknown; onsuccess: (() => void) | null; onerror: (() => void) | null }

class Transaction {
  error: unknown = null;
  oncomplete: (() => void) | null = null;
  onabort: (() => void) | null = null;
  #tables: Map<string, Rows> = new Map();
  #hasWritten = false;
  #state: "waiting" | "running" | "over" = "waiting";
  readonly #requests: Request[] = [];

  constructor(private readonly disk: Disk, readonly owner: Process) { disk.add(this); }

  begin(): void {
    this.#state = "running";
    this.#tables = new Map(this.disk.tables);
    this.#next();
  }

  objectStore(table: string) {
    const rows = () => this.#tables.get(table) ?? [];
    const write = (next: Rows) => {
      this.#hasWritten = true;
      this.#tables.set(table, next);
    };
    return {
      get: (key: Key) => this.#request(() => structuredClone(rows().find(([other]) => order(other, key) === 0)?.[1])),
      getAll: (range: Range, limit?: number) =>
        this.#request(() => rows().filter(([key]) => isIn(key, range)).slice(0, limit).map(([, value]) => structuredClone(value))),
      put: (value: unknown, key: Key) => {
        const copy = structuredClone(value);
        return this.#request(() => {
          if (this.disk.isFull) throw new DOMException("The disk is full", "QuotaExceededError");
          write([...rows().filter(([other]) => order(other, key) !== 0), [key, copy] as const].sort(([a], [b]) => order(a, b)));
        });
      },
      delete: (key: Key | Range) =>
        this.#request(() => write(rows().filter(([other]) => (Array.isArray(key) || typeof key === "string" ? order(other, key) !== 0 : !isIn(other, key as Range))))),
    };
  }

  abort(): void {
    if (this.#state === "over") throw new DOMException("over", "InvalidStateError");
    this.#end();
    this.disk.world.at(0, () => this.onabort?.(), this.owner);
  }

  #request(run: () => unknown): Request {
    if (this.#state === "over") throw new DOMException("over", "TransactionInactiveError");
    const request: Request = { run, result: undefined, error: null, onsuccess: null, onerror: null };
    this.#requests.push(request);
    return request;
  }

  #next(): void {
    this.disk.world.at(0.05, () => {
      if (this.#state === "over") return;
      const request = this.#requests.shift();
      if (!request) return this.#commit();
      try {
        if (this.disk.isLost) throw new DOMException("Connection to Indexed Database server lost", "UnknownError");
        request.result = request.run();
      } catch (error) {
        request.error = this.error = error;
        request.onerror?.();
        this.#end();
        this.disk.world.at(0, () => this.onabort?.(), this.owner);
        return;
      }
      request.onsuccess?.();
      this.#next();
    }, this.owner);
  }

  #commit(): void {
    const { world } = this.disk;
    // A tab that dies now may or may not have written it.
    world.at(this.#hasWritten ? world.between(0.5, 6) : 0.05, () => {
      if (this.#state === "over") return;
      if (this.#hasWritten) this.disk.tables = this.#tables;
      this.#end();
      world.at(0, () => this.oncomplete?.(), this.owner);
    });
  }

  #end(): void {
    this.#state = "over";
    this.disk.over(this);
  }
}
