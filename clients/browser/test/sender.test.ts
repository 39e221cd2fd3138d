import { expect, it } from "vitest";
import type { Entry } from "../src/outbox.js";
import { CHANGES_PER_FRAME_MAX, FRAME_BYTES_AIM, IN_FLIGHT_MAX, Sender } from "../src/sender.js";
import { utf8Bytes } from "../src/values.js";
import { Clock, rest, until } from "./clock.js";

type Sent = { seq: number; generation: number };

class Bench {
  readonly clock = new Clock();
  entries: Entry[] = [];
  readonly frames: Sent[][] = [];
  generation: number | null = 0;
  isConnected = true;
  idles = 0;
  readonly sender = new Sender({
    timers: this.clock,
    read: async (after, limit) => this.entries.filter((entry) => entry.seq > after).slice(0, limit),
    generation: () => this.generation,
    send: (changes) => {
      if (this.isConnected) this.frames.push(changes as Sent[]);
      return this.isConnected;
    },
    idle: () => void this.idles++,
  });

  add(count: number, text = "x", generation: number | null = 0): void {
    const first = (this.entries.at(-1)?.seq ?? 0) + 1;
    for (let seq = first; seq < first + count; seq++) {
      this.entries.push({ nonce: `n${seq}`, owner: "o", name: "d", device_id: "dev", seq, base_version: 0, generation, operations: [{ op: "set", path: "/a", value: text }] });
    }
  }

  get seqs(): number[] { return this.frames.flat().map(({ seq }) => seq); }
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

it("sends in order, in frames of bounded length, with a bounded number in flight", async () => {
  const bench = new Bench();
  bench.add(450);
  bench.sender.open(0);
  await rest();
  expect(bench.seqs).toEqual(range(1, IN_FLIGHT_MAX));
  expect(Math.max(...bench.frames.map((frame) => frame.length))).toBe(CHANGES_PER_FRAME_MAX);
  bench.sender.acknowledged(200);
  await rest();
  bench.sender.acknowledged(400);
  await until(() => bench.seqs.length === 450);
  expect(bench.seqs).toEqual(range(1, 450));
  await rest();
  expect(bench.idles).toBe(0);
  bench.sender.acknowledged(450);
  await until(() => bench.idles === 1);
});

it("keeps frames below the size that the server takes", async () => {
  const bench = new Bench();
  bench.add(6, "ü".repeat(20_000));
  bench.sender.open(0);
  await until(() => bench.seqs.length === 6);
  for (const frame of bench.frames) expect(utf8Bytes(JSON.stringify(frame))).toBeLessThan(FRAME_BYTES_AIM + 1024);
  expect(bench.frames.length).toBeGreaterThan(1);
});

it("sends a single change however large", async () => {
  const bench = new Bench();
  bench.add(1, "x".repeat(FRAME_BYTES_AIM + 10));
  bench.sender.open(0);
  await until(() => bench.frames.length === 1);
});

it("first lets the server confirm what it has answered already; only then comes what is new", async () => {
  const bench = new Bench();
  bench.add(6);
  bench.sender.open(3);
  await rest();
  expect(bench.seqs).toEqual([1, 2, 3]);
  bench.sender.acknowledged(2);
  await rest();
  expect(bench.seqs).toEqual([1, 2, 3]);
  bench.sender.acknowledged(3);
  await until(() => bench.seqs.length === 6);
});

it("rewinds and sends again", async () => {
  const bench = new Bench();
  bench.add(5);
  bench.sender.open(0);
  await until(() => bench.seqs.length === 5);
  bench.sender.rewind(2, 0);
  await until(() => bench.seqs.length === 8);
  expect(bench.seqs.slice(5)).toEqual([3, 4, 5]);
});

it("a pause is waited for, and not cut short by the refusals of what was in flight", async () => {
  const bench = new Bench();
  bench.add(3);
  bench.sender.open(0);
  await until(() => bench.seqs.length === 3);
  bench.sender.rewind(0, 2000);
  bench.sender.rewind(0, 0);
  bench.sender.rewind(0, 5000);
  bench.sender.pump();
  expect(bench.clock.waiting).toEqual([2000]);
  bench.clock.advance(1999);
  await rest();
  expect(bench.seqs.length).toBe(3);
  bench.clock.advance(1);
  await until(() => bench.seqs.length === 6);
});

it("what was made before the document was known waits for its generation", async () => {
  const bench = new Bench();
  bench.generation = null;
  bench.add(2, "x", null);
  bench.sender.open(0);
  await rest();
  expect(bench.frames).toEqual([]);
  bench.generation = 7;
  bench.sender.pump();
  await until(() => bench.seqs.length === 2);
  expect(bench.frames.flat().map(({ generation }) => generation)).toEqual([7, 7]);
});

it("sends nothing when closed, and everything again when opened", async () => {
  const bench = new Bench();
  bench.add(2);
  bench.sender.open(0);
  await until(() => bench.seqs.length === 2);
  bench.sender.close();
  bench.add(1);
  bench.sender.pump();
  await rest();
  expect(bench.seqs).toEqual([1, 2]);
  bench.sender.open(0);
  await until(() => bench.seqs.length === 5);
  expect(bench.seqs).toEqual([1, 2, 1, 2, 3]);
});

it("what could not be sent counts as not sent", async () => {
  const bench = new Bench();
  bench.isConnected = false;
  bench.add(1);
  bench.sender.open(0);
  await rest();
  bench.isConnected = true;
  bench.sender.pump();
  await until(() => bench.seqs.length === 1);
});
