import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { expect, it, vi } from "vitest";
import type { Session } from "../src/frames.js";
import { type Draft, type Entry, type LastOwner, Outbox } from "../src/outbox.js";
import { type Backend, IndexedDbBackend, MemoryBackend } from "../src/storage.js";
import { seeded } from "./clock.js";
import { sessionOf } from "./server.js";

const random = seeded(7);
const outboxOn = (backend: Backend | null, onFallback: (reason: unknown) => readonly Entry[] = () => []) =>
  new Outbox({ backend, now: () => 1_767_225_600_000, random, onFallback });
const on = (factory: IDBFactory) => outboxOn(new IndexedDbBackend(factory, "sessile"));
const draft = (nonce: string): Draft => ({ nonce, base_version: 0, generation: 0, operations: [{ op: "set", path: "/a", value: nonce }] });
const ownerOf = (owner: string, user_id: string | null): LastOwner => ({ owner, user_id, session: sessionOf(user_id) as unknown as Session });
const user = ownerOf("user:u1", "u1");
const anonymous = ownerOf("anonymous:s1", null);

it("two tabs number their changes without gaps and without doubles", async () => {
  const factory = new IDBFactory();
  const [left, right] = [on(factory), on(factory)];
  const ids = await Promise.all([left.identity(user, null), right.identity(user, null)]);
  expect(ids[0]).toBe(ids[1]);
  const entries = await Promise.all(Array.from({ length: 60 }, (_, index) => (index % 2 ? left : right).add("user:u1", "d", draft(`n${index}`), undefined)));
  expect(entries.map((entry) => entry.seq).sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
  expect((await left.entries("user:u1", "d")).map((entry) => entry.seq)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
});

it("each document is numbered by itself", async () => {
  const outbox = on(new IDBFactory());
  await outbox.add("user:u1", "one", draft("a"), undefined);
  expect((await outbox.add("user:u1", "two", draft("b"), undefined)).seq).toBe(1);
  expect((await outbox.add("user:u1", "one", draft("c"), undefined)).seq).toBe(2);
});

it("a new page finds what the one before it stored, and goes on with the numbers after everything was acknowledged", async () => {
  const factory = new IDBFactory();
  const first = on(factory);
  const device = await first.identity(user, null);
  await first.add("user:u1", "d", draft("a"), { step: 1 });
  first.close();

  const second = on(factory);
  expect(await second.lastOwner()).toMatchObject({ owner: "user:u1", user_id: "u1" });
  expect(await second.waiting("user:u1")).toEqual([{ name: "d", default: { step: 1 } }]);
  expect(await second.entriesAfter("user:u1", "d", device, 0)).toMatchObject([{ seq: 1, nonce: "a" }]);
  await second.acknowledge("user:u1", "d", device, 1);
  expect(await second.waiting("user:u1")).toEqual([]);
  expect((await second.add("user:u1", "d", draft("b"), undefined)).seq).toBe(2);
});

it("keeps owners apart", async () => {
  const outbox = on(new IDBFactory());
  const mine = await outbox.identity(user, null);
  await outbox.add("user:u1", "d", draft("a"), undefined);
  const other = await outbox.identity(ownerOf("user:u2", "u2"), "anonymous:s1");
  expect(other).not.toBe(mine);
  expect(await outbox.entries("user:u2", "d")).toEqual([]);
  expect(await outbox.entries("user:u", "d")).toEqual([]);
  expect(await outbox.waiting("user:u2")).toEqual([]);
});

it("an anonymous outbox becomes the user's at login, with its identity, also what is stored a moment later", async () => {
  const outbox = on(new IDBFactory());
  const device = await outbox.identity(anonymous, null);
  await outbox.add("anonymous:s1", "d", draft("a"), undefined);
  expect(await outbox.identity(user, "anonymous:s1")).toBe(device);
  const late = await outbox.add("anonymous:s1", "d", draft("b"), undefined);
  expect([late.owner, late.seq, late.device_id]).toEqual(["user:u1", 2, device]);
  expect((await outbox.entries("user:u1", "d")).map(({ nonce, owner }) => [nonce, owner])).toEqual([["a", "user:u1"], ["b", "user:u1"]]);
  expect(await outbox.entries("anonymous:s1", "d")).toEqual([]);
});

it("a user who is known here keeps the identity, and the anonymous outbox stays where it is", async () => {
  const outbox = on(new IDBFactory());
  const device = await outbox.identity(user, null);
  await outbox.identity(anonymous, null);
  await outbox.add("anonymous:s1", "d", draft("a"), undefined);
  expect(await outbox.identity(user, "anonymous:s1")).toBe(device);
  expect(await outbox.entries("anonymous:s1", "d")).toHaveLength(1);
});

it("a renewed identity numbers a document's changes again, once, and leaves the others to the former one", async () => {
  const factory = new IDBFactory();
  const [left, right] = [on(factory), on(factory)];
  const former = await left.identity(user, null);
  for (const nonce of ["a", "b", "c"]) await left.add("user:u1", "d", draft(nonce), undefined);
  await left.add("user:u1", "e", draft("x"), undefined);
  await left.acknowledge("user:u1", "d", former, 1);
  await Promise.all([left.renew("user:u1", "d", former), right.renew("user:u1", "d", former)]);
  const device = await left.identity(user, null);
  expect(device).not.toBe(former);
  expect((await left.entries("user:u1", "d")).map(({ nonce, seq, device_id }) => [nonce, seq, device_id])).toEqual([["b", 1, device], ["c", 2, device]]);
  expect((await left.add("user:u1", "d", draft("e"), undefined)).seq).toBe(3);
  expect(await left.formerDevice("user:u1", device)).toBe(former);
  await left.acknowledge("user:u1", "e", former, 1);
  expect(await left.formerDevice("user:u1", device)).toBeNull();
});

it("numbers go on behind what the server has, when storage is an old copy", async () => {
  const outbox = on(new IDBFactory());
  const device = await outbox.identity(user, null);
  await outbox.continueAfter("user:u1", "e", device, 1);
  expect((await outbox.add("user:u1", "e", draft("a"), undefined)).seq).toBe(2);
  await outbox.continueAfter("user:u1", "d", device, 40);
  expect((await outbox.add("user:u1", "d", draft("a"), undefined)).seq).toBe(41);
  await outbox.continueAfter("user:u1", "d", device, 3);
  expect((await outbox.add("user:u1", "d", draft("b"), undefined)).seq).toBe(42);
});

it("keeps a snapshot per owner and document", async () => {
  const outbox = on(new IDBFactory());
  const kept = { document_id: "x", device_no: 1, epoch: "e", version: 4, generation: 0, state: { a: 1 }, conflicts: [], covered: { dev: 2 } };
  await outbox.keep("user:u1", "d", kept);
  expect(await outbox.kept("user:u1", "d")).toMatchObject(kept);
  expect(await outbox.kept("user:u2", "d")).toBeUndefined();
});

/** Fails the given calls (counted from 1) after the transaction was or was not carried out. */
function failing(inner: Backend, calls: number[], isAfter: boolean): Backend {
  let count = 0;
  return {
    isDurable: true,
    close: vi.fn(() => inner.close()),
    transact: async (mode, work) => {
      const isFailing = calls.includes(++count);
      if (isFailing && !isAfter) throw new Error("Connection to Indexed Database server lost");
      const result = await inner.transact(mode, work);
      if (isFailing) throw new Error("Connection to Indexed Database server lost");
      return result;
    },
  };
}

it("reopens once and tries again when the browser has taken the database away", async () => {
  const factory = new IDBFactory();
  const backend = failing(new IndexedDbBackend(factory, "sessile"), [1], false);
  const outbox = outboxOn(backend);
  expect((await outbox.add("user:u1", "d", draft("a"), undefined)).seq).toBe(1);
  expect(backend.close).toHaveBeenCalledOnce();
  expect([outbox.isDurable, outbox.failure]).toEqual([true, null]);
});

it("does not store a change twice whose transaction was committed although it reported an error", async () => {
  const factory = new IDBFactory();
  const outbox = outboxOn(failing(new IndexedDbBackend(factory, "sessile"), [1], true));
  expect((await outbox.add("user:u1", "d", draft("a"), undefined)).seq).toBe(1);
  expect(await outbox.entries("user:u1", "d")).toHaveLength(1);
});

it("falls back to memory, says so, and takes along what was not answered", async () => {
  const known: Entry = { ...draft("known"), owner: "user:u1", name: "d", device_id: "old", seq: 3 };
  const reasons: unknown[] = [];
  const outbox = outboxOn(failing(new MemoryBackend(), [1, 2, 3, 4, 5], false), (reason) => {
    reasons.push(reason);
    return [known];
  });
  const entry = await outbox.add("user:u1", "d", draft("a"), undefined);
  expect([outbox.isDurable, outbox.failure]).toEqual([false, "Error: Connection to Indexed Database server lost"]);
  expect(reasons).toHaveLength(1);
  expect(entry.device_id).not.toBe("old");
  expect((await outbox.entries("user:u1", "d")).map(({ nonce }) => nonce).sort()).toEqual(["a", "known"]);
  expect(await outbox.formerDevice("user:u1", entry.device_id)).toBe("old");
});

/** As a disk that is full whenever a test says so. */
function full(inner: Backend, isFull: () => boolean): Backend {
  return {
    isDurable: true,
    close: () => inner.close(),
    transact: (mode, work) => inner.transact(mode, (tx) => work({
      ...tx,
      put: async (table, key, value) => {
        if (isFull()) throw new DOMException("no room", "QuotaExceededError");
        await tx.put(table, key, value);
      },
    })),
  };
}

const KEPT = { document_id: "x", device_no: 1, epoch: "e", version: 4, generation: 0, state: { a: 1 }, conflicts: [], covered: {} };

it("where there is no room the kept states go first, and the change is stored", async () => {
  const inner = new IndexedDbBackend(new IDBFactory(), "sessile");
  let hasRoom = true;
  const outbox = outboxOn(full(inner, () => !hasRoom));
  await outbox.keep("user:u1", "d", KEPT);
  await outbox.keep("user:u2", "other", KEPT);
  hasRoom = false;
  const room = { ...inner, transact: inner.transact.bind(inner) };
  vi.spyOn(inner, "transact").mockImplementation(async (mode, work) => {
    const result = await room.transact(mode, work);
    hasRoom ||= (await room.transact("readonly", (tx) => tx.range("snapshots", [""], ["\uffff"]))).length === 0;
    return result as never;
  });
  expect((await outbox.add("user:u1", "d", draft("a"), undefined)).seq).toBe(1);
  expect([outbox.isDurable, await outbox.kept("user:u1", "d")]).toEqual([true, undefined]);
});

it("where there is no room at all, memory takes over and says why", async () => {
  const outbox = outboxOn(full(new IndexedDbBackend(new IDBFactory(), "sessile"), () => true));
  expect((await outbox.add("user:u1", "d", draft("a"), undefined)).seq).toBe(1);
  expect([outbox.isDurable, outbox.failure]).toEqual([false, "QuotaExceededError: no room"]);
});

it("a state that there is no room for is not kept, and nothing else changes", async () => {
  const outbox = outboxOn(full(new IndexedDbBackend(new IDBFactory(), "sessile"), () => true));
  await outbox.keep("user:u1", "d", KEPT);
  expect([outbox.isDurable, await outbox.kept("user:u1", "d")]).toEqual([true, undefined]);
});

it("opens the database again after the browser has closed it, and lets a newer client upgrade it", async () => {
  const factory = new IDBFactory();
  const opened: IDBDatabase[] = [];
  const open = factory.open.bind(factory);
  vi.spyOn(factory, "open").mockImplementation((name, version) => {
    const request = open(name, version);
    request.addEventListener("success", () => opened.push(request.result));
    return request;
  });
  const outbox = on(factory);
  await outbox.add("user:u1", "d", draft("a"), undefined);
  opened[0]?.close();
  opened[0]?.onclose?.(new Event("close")); // as Safari does to tabs in the background
  expect((await outbox.add("user:u1", "d", draft("b"), undefined)).seq).toBe(2);
  expect([opened.length, outbox.isDurable]).toEqual([2, true]);
  const newer = open("sessile", 2);
  await new Promise<void>((resolve, reject) => {
    newer.onsuccess = () => resolve();
    newer.onblocked = () => reject(new Error("the older client does not let go"));
  });
  newer.result.close();
});

it("without IndexedDB it works from memory and does not claim to be durable", async () => {
  const outbox = outboxOn(null);
  expect(outbox.isDurable).toBe(false);
  expect((await outbox.add("user:u1", "d", draft("a"), undefined)).seq).toBe(1);
  expect((await outbox.add("user:u1", "d", draft("b"), undefined)).seq).toBe(2);
  expect(await outbox.entries("user:u1", "d")).toHaveLength(2);
});

it("memory sorts and bounds keys as IndexedDB does", async () => {
  const rows: [string, string, string, number][] = [["o", "d", "x", 2], ["o", "d", "x", 10], ["o", "d", "x", 1], ["o", "da", "x", 1], ["o2", "d", "x", 1]];
  const read = async (backend: Backend) => {
    await backend.transact("readwrite", async (tx) => {
      for (const key of rows) await tx.put("outbox", key, key.join("|"));
    });
    return backend.transact("readwrite", async (tx) => {
      const found = [await tx.range("outbox", ["o", "d"], ["o", "d", "\uffff"]), await tx.range("outbox", ["o", "d", "x", 2], ["o", "d", "x", Infinity], 1), await tx.range("outbox", ["o"], ["o", "\uffff"])];
      await tx.removeRange("outbox", ["o", "d", "x", 0], ["o", "d", "x", 2]);
      return [...found, await tx.range("outbox", ["o"], ["p"])];
    });
  };
  expect(await read(new MemoryBackend())).toEqual(await read(new IndexedDbBackend(new IDBFactory(), "keys")));
});

it("a transaction that fails half-way leaves nothing behind", async () => {
  const backend = new IndexedDbBackend(new IDBFactory(), "sessile");
  await expect(backend.transact("readwrite", async (tx) => {
    await tx.put("settings", "a", 1);
    throw new Error("half-way");
  })).rejects.toThrow("half-way");
  expect(await backend.transact("readonly", (tx) => tx.get("settings", "a"))).toBeUndefined();
});

it("knows up to where everything was acknowledged", async () => {
  const factory = new IDBFactory();
  const [left, right] = [on(factory), on(factory)];
  const device = await left.identity(user, null);
  const acknowledged = () => right.acknowledged("user:u1", "d", device);
  expect(await acknowledged()).toBe(0);
  for (const nonce of ["a", "b", "c"]) await left.add("user:u1", "d", draft(nonce), undefined);
  expect(await acknowledged()).toBe(0);
  await left.acknowledge("user:u1", "d", device, 2);
  expect(await acknowledged()).toBe(2);
  await left.acknowledge("user:u1", "d", device, 3);
  expect(await acknowledged()).toBe(3);
  await left.renew("user:u1", "d", device);
  expect(await right.acknowledged("user:u1", "d", await left.identity(user, null))).toBe(0);
});
