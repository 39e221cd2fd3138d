/** Rules 6 and 7: opening, loss, trying again, and when not to. */

import { beforeEach, describe, expect, it } from "vitest";
import codes from "../../../protocol/codes.json" with { type: "json" };
import { BASE_MS, CAP_MS, delayMs, FIRST_MAX_MS } from "../src/backoff.js";
import { Connection, type ConnectionOptions, isTerminal, type Prepared, type StatusChange } from "../src/connection.js";
import type { ServerFrame } from "../src/frames.js";
import { Clock, rest, until } from "./clock.js";
import { FakeServer } from "./server.js";

class Bench {
  readonly clock = new Clock();
  readonly server = new FakeServer();
  readonly statuses: StatusChange[] = [];
  readonly frames: ServerFrame[] = [];
  readonly terminal: number[] = [];
  readonly prepares: boolean[] = [];
  prepared: Prepared = "ready";
  random = 0.5;
  readonly connection: Connection;

  constructor(over: Partial<ConnectionOptions> = {}) {
    this.connection = new Connection({
      url: "wss://app.test/ws", WebSocket: this.server.Socket, stream: () => new this.server.Socket("events", []), timers: this.clock, random: () => this.random, attempts_max: Infinity, tabs: () => 1,
      prepare: async (afterFailure) => { this.prepares.push(afterFailure); return this.prepared; },
      probe: () => this.connection.send({ type: "request_sync", document_id: "doc-d", reason: "user" }),
      hello: async () => ({ type: "hello", user_id: "u1", device_id: "dev", documents: [] }),
      onFrame: (frame) => { this.frames.push(frame); if (frame.type === "welcome") this.connection.welcomed(); },
      onStatus: (change) => this.statuses.push(change),
      onTerminal: (code) => this.terminal.push(code),
      ...over,
    });
  }

  get last(): StatusChange { return this.statuses.at(-1) as StatusChange; }

  async connected(): Promise<this> {
    this.connection.start();
    await until(() => this.connection.isOpen);
    return this;
  }
}

describe("delays", () => {
  // shows: H04
  it("the first try comes within 250 ms, then full jitter doubles up to 20 s", () => {
    const ceilings = Array.from({ length: 12 }, (_, attempt) => delayMs(attempt, () => 0.999999));
    expect(ceilings).toEqual([249, 499, 999, 1999, 3999, 7999, 15999, 19999, 19999, 19999, 19999, 19999]);
    expect(Array.from({ length: 12 }, (_, attempt) => delayMs(attempt, () => 0))).toEqual(Array(12).fill(0));
    expect(delayMs(5000, () => 0.5)).toBe(CAP_MS / 2);
    expect([FIRST_MAX_MS, BASE_MS]).toEqual([250, 500]);
  });

  it("one socket for several tabs is tried for as often as each of them would have tried, up to four", () => {
    const ceilings = (tabs: number) => Array.from({ length: 9 }, (_, attempt) => delayMs(attempt, () => 0.999999, tabs));
    expect(ceilings(2)).toEqual([124, 124, 249, 249, 499, 499, 999, 999, 1999]);
    expect(ceilings(40)).toEqual(ceilings(4));
    const within = (tabs: number) => { // tries in the first minute, with every delay at half of its ceiling
      let [tries, at_ms] = [0, 0];
      while ((at_ms += delayMs(tries, () => 0.5, tabs)) < 60_000) tries++;
      return tries;
    };
    expect(within(2)).toBeGreaterThanOrEqual(2 * within(1) - 1);
    expect(within(2)).toBeLessThanOrEqual(2 * within(1) + 1);
  });
});

describe("opening", () => {
  it("speaks the subprotocol, says hello first, and is connected with the welcome", async () => {
    const bench = await new Bench().connected();
    expect(bench.server.latest.protocols).toEqual(["sessile.v1"]);
    expect(bench.server.latest.url).not.toContain("?");
    expect(bench.server.latest.received[0]).toMatchObject({ type: "hello" });
    expect(bench.statuses.map(({ to }) => to)).toEqual(["connecting", "connected"]);
  });

  it("opens no socket when nobody is logged in, and waits when it cannot ask", async () => {
    const bench = new Bench();
    bench.prepared = "unreachable";
    bench.connection.start();
    await until(() => bench.last.reason === "unreachable");
    expect([bench.server.sockets.length, bench.last.retry_in_ms]).toEqual([0, 125]);
    bench.prepared = "needs_auth";
    bench.clock.advance(125);
    await until(() => bench.connection.status === "needs_auth");
    bench.clock.advance(3_600_000);
    await rest();
    expect([bench.server.sockets.length, bench.clock.waiting, bench.prepares]).toEqual([0, [], [false, true]]);
  });

  it("a socket without a welcome is given up after 10 s", async () => {
    const bench = new Bench();
    bench.server.receive = () => undefined;
    bench.connection.start();
    await until(() => bench.server.open.length === 1);
    await rest();
    bench.clock.advance(9_999);
    expect(bench.connection.status).toBe("connecting");
    bench.clock.advance(1);
    expect(bench.last).toMatchObject({ reason: "welcome_timeout" });
    bench.clock.advance(20_000);
    await until(() => bench.prepares.length === 2);
    expect(bench.prepares).toEqual([false, true]); // the session is asked again after a failure
  });
});

describe("loss", () => {
  let bench: Bench;
  beforeEach(async () => { bench = await new Bench().connected(); });

  // shows: H02
  it("no ping for lost_after_ms means lost; other frames do not count, pings do", () => {
    bench.clock.advance(30_000);
    bench.server.latest.tell({ type: "session_expiring", session_id: "s1", expires_at: "" });
    bench.clock.advance(4_999);
    expect(bench.connection.isOpen).toBe(true);
    bench.server.ping(bench.server.latest);
    expect(bench.server.latest.received.at(-1)).toEqual({ type: "pong", at: "2026-01-01T00:00:00.000Z" });
    bench.clock.advance(34_000);
    bench.server.latest.tell({ type: "session_expiring", session_id: "s1", expires_at: "" });
    bench.clock.advance(999);
    expect(bench.connection.isOpen).toBe(true);
    bench.clock.advance(1);
    expect([bench.last.to, bench.last.reason]).toEqual(["reconnecting", "lost"]);
    expect(bench.server.latest.closedByClient).toBe(4001);
  });

  it("an answer and a ping that are both late are a dead socket, before lost_after_ms", () => {
    bench.server.receive = () => undefined;
    bench.clock.advance(1000);
    bench.connection.send({ type: "request_sync", document_id: "doc-d", reason: "user" });
    bench.clock.advance(5000);
    expect([bench.last.to, bench.last.reason]).toEqual(["degraded", "no_answer"]);
    bench.clock.advance(17_999);
    expect(bench.connection.isOpen).toBe(true);
    bench.clock.advance(1);
    expect([bench.last.to, bench.last.reason]).toEqual(["reconnecting", "silent"]);
  });

  it("an answer that was late does not count against a ping that is late after it", () => {
    bench.server.receive = () => undefined;
    bench.connection.send({ type: "request_sync", document_id: "doc-d", reason: "user" });
    bench.clock.advance(6000);
    bench.server.latest.tell({ type: "session_expiring", session_id: "s1", expires_at: "" });
    expect(bench.last.to).toBe("connected");
    bench.clock.advance(28_999);
    expect([bench.last.to, bench.last.reason]).toEqual(["degraded", "no_ping"]);
  });

  it("a socket that died while the laptop slept is found out on waking", () => {
    bench.clock.sleep(60_000);
    expect(bench.connection.isOpen).toBe(true);
    bench.connection.wake();
    expect(bench.last.reason).toBe("lost");
  });

  it("waking a healthy connection does nothing", () => {
    bench.clock.advance(10_000);
    bench.connection.wake();
    expect([bench.connection.isOpen, bench.server.sockets.length]).toEqual([true, 1]);
  });

  it("says nothing before the hello, not even on a socket that is open already; what has changed of who is looking goes after the welcome", async () => {
    let greet: (hello: object) => void = () => undefined;
    const bench = new Bench({ hello: () => new Promise((resolve) => (greet = resolve)) });
    bench.connection.start();
    await until(() => bench.server.open.length === 1);
    await rest();
    expect(bench.connection.send({ type: "presence", visible: true, tabs: 1 })).toBe(false);
    expect(bench.connection.send({ type: "request_sync", document_id: "doc-d", reason: "user" })).toBe(false);
    greet({ type: "hello", user_id: "u1", device_id: "dev", documents: [] });
    expect(bench.connection.send({ type: "presence", visible: true, tabs: 2 })).toBe(false);
    await until(() => bench.connection.isOpen);
    expect(bench.server.latest.received.slice(1)).toEqual([{ type: "presence", visible: true, tabs: 2 }]);
    bench.server.latest.shut(1006);
    expect(bench.connection.send({ type: "presence", visible: false, tabs: 2 })).toBe(false);
    bench.clock.advance(20_000);
    await until(() => bench.server.open.length === 1);
    greet({ type: "hello", user_id: "u1", device_id: "dev", documents: [] });
    await until(() => bench.connection.isOpen);
    expect(bench.server.latest.received.map(({ type }) => type)).toEqual(["hello"]); // which says it by itself
  });

  it("a waiting try happens at once when the page wakes", async () => {
    bench.server.goDown();
    for (let round = 0; round < 6; round++) {
      await until(() => bench.clock.waiting.length === 1 && bench.last.retry_in_ms !== null);
      if (round < 5) bench.clock.advance(bench.clock.waiting[0] as number);
      await rest();
    }
    expect(bench.last.retry_in_ms).toBeGreaterThan(1000);
    bench.server.isUp = true;
    bench.connection.wake();
    await until(() => bench.connection.isOpen);
  });

  it("delays grow over a connection that is lost at once, and start again after 10 s of uptime", async () => {
    const delays: (number | null)[] = [];
    for (let round = 0; round < 3; round++) {
      bench.server.latest.shut(1006);
      delays.push(bench.last.retry_in_ms);
      bench.clock.advance(bench.last.retry_in_ms as number);
      await until(() => bench.connection.isOpen);
    }
    bench.clock.advance(10_000);
    bench.server.latest.shut(1006);
    delays.push(bench.last.retry_in_ms);
    expect(delays).toEqual([125, 250, 500, 125]);
  });

  it("an answer of a socket that was given up is ignored", async () => {
    const [old] = bench.server.sockets;
    const listener = old?.onmessage;
    bench.connection.start();
    await until(() => bench.server.sockets.length === 2 && bench.connection.isOpen);
    const count = bench.frames.length;
    listener?.({ data: '{"type":"session_ended","session_id":"s1","reason":"x"}' } as MessageEvent);
    expect(bench.frames.length).toBe(count);
  });
});

describe("close codes of protocol/codes.json", () => {
  it.each(codes.close.map(({ code, reconnect }) => [code, reconnect] as const))("%i", async (code, reconnect) => {
    const bench = await new Bench().connected();
    bench.server.latest.shut(code);
    expect(isTerminal(code)).toBe(!reconnect);
    expect(bench.clock.waiting.length > 0).toBe(reconnect);
    expect(bench.terminal).toEqual(reconnect ? [] : [code]);
    expect(bench.connection.status).toBe(reconnect ? "reconnecting" : [4501, 4502, 4504].includes(code) ? "needs_auth" : "stopped");
    bench.connection.wake();
    await rest();
    expect(bench.server.sockets.length).toBe(reconnect ? 2 : 1);
  });
});

describe("the rest", () => {
  it("goaway: comes back at a random moment of the window it was given", async () => {
    const bench = await new Bench().connected();
    bench.server.latest.tell({ type: "goaway", reason: "drain", retry_min_ms: 1000, retry_max_ms: 3000 });
    bench.clock.advance(1_999);
    expect(bench.connection.isOpen).toBe(true); // what is in flight may still be answered
    bench.clock.advance(1);
    expect(bench.last.reason).toBe("goaway");
    bench.clock.advance(0);
    await until(() => bench.connection.isOpen && bench.server.sockets.length === 2);
  });

  it("goaway and then closed: the window still counts", async () => {
    const bench = await new Bench().connected();
    bench.server.latest.tell({ type: "goaway", reason: "drain", retry_min_ms: 1000, retry_max_ms: 3000 });
    bench.server.latest.shut(4000);
    expect(bench.last.retry_in_ms).toBe(2000);
  });

  // shows: H04
  it("gives up after the number of tries it was given, until somebody wakes it", async () => {
    const bench = new Bench({ attempts_max: 2 });
    bench.prepared = "unreachable";
    bench.connection.start();
    for (let round = 0; round < 2; round++) {
      await until(() => bench.clock.waiting.length === 1);
      bench.clock.advance(20_000);
    }
    await until(() => bench.connection.status === "stopped");
    expect(bench.last.reason).toBe("attempts_exhausted");
    expect(bench.clock.waiting).toEqual([]);
    bench.prepared = "ready";
    bench.connection.wake();
    await until(() => bench.connection.isOpen);
  });

  it("joins the parts of a long frame, in whatever order, and drops a half one with its connection", async () => {
    const bench = await new Bench().connected();
    const text = JSON.stringify({ type: "session_ended", session_id: "s1", reason: "a rather long reason" });
    const part = (number: number) => ({ type: "part", ref: "r", part: number, of: 3, chunk: text.slice((number - 1) * 25, number === 3 ? undefined : number * 25) });
    for (const number of [2, 1, 3]) bench.server.latest.tell(part(number));
    expect(bench.frames.at(-1)).toEqual(JSON.parse(text));
    bench.server.latest.tell(part(1));
    bench.connection.start();
    await until(() => bench.connection.isOpen && bench.server.sockets.length === 2);
    const count = bench.frames.length;
    for (const number of [2, 3]) bench.server.latest.tell(part(number));
    expect(bench.frames.length).toBe(count);
  });

  it("a frame that is not JSON ends the connection, which is made again", async () => {
    const bench = await new Bench().connected();
    bench.server.latest.tellText("{");
    expect(bench.last.reason).toBe("bad_frame");
    expect(bench.clock.waiting).toHaveLength(1);
  });

  it("stays closed once it is closed", async () => {
    const bench = await new Bench().connected();
    bench.connection.stop("closed", "closed");
    bench.connection.start();
    bench.connection.wake();
    await rest();
    expect([bench.connection.status, bench.server.sockets.length, bench.clock.waiting]).toEqual(["closed", 1, []]);
  });
});
