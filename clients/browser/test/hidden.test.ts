/** Timers of a hidden page: kept by a worker, and by the page itself where there is none. */

import { expect, it } from "vitest";
import { HiddenTimers } from "../src/hidden.js";
import type { WorkerLike } from "../src/environment.js";
import { Browser } from "./browser.js";
import { Clock, until } from "./clock.js";
import { FakeServer } from "./server.js";

/** Does what `worker.ts` does, on a clock of its own: that of the page runs slowly while it is hidden. */
class FakeWorker implements WorkerLike {
  static started: FakeWorker[] = [];
  readonly clock = new Clock();
  onmessage: WorkerLike["onmessage"] = null;
  onerror: WorkerLike["onerror"] = null;
  isTerminated = false;
  constructor(readonly url = "") { FakeWorker.started.push(this); }
  postMessage(message: unknown): void {
    const [id, delay_ms] = message as [number, number];
    this.clock.set(() => this.isTerminated || this.onmessage?.({ data: id } as MessageEvent), delay_ms);
  }
  terminate(): void { this.isTerminated = true; }
}

function bench() {
  const [page, worker] = [new Clock(), new FakeWorker()];
  const rung: string[] = [];
  const timers = new HiddenTimers(page, () => worker);
  return { page, worker, rung, timers, set: (name: string, ms: number) => timers.set(() => rung.push(name), ms) };
}

it("moves what waits to the worker and back, each rings once", () => {
  const { page, worker, rung, timers, set } = bench();
  set("a", 100);
  const gone = set("never", 100);
  page.advance(40);
  timers.keepTime(true);
  timers.clear(gone);
  set("b", 50);
  expect(page.waiting).toEqual([]);
  worker.clock.advance(50);
  expect(rung).toEqual(["b"]);
  worker.clock.advance(10);
  expect(rung).toEqual(["b", "a"]);
  set("c", 30);
  timers.keepTime(false);
  expect([worker.isTerminated, page.waiting]).toEqual([true, [30]]);
  page.advance(30);
  worker.clock.advance(1000);
  expect(rung).toEqual(["b", "a", "c"]);
});

it("goes on with the page's own timers where the file is not there", () => {
  const { page, worker, rung, timers, set } = bench();
  set("a", 100);
  timers.keepTime(true);
  worker.onerror?.({});
  expect([timers.isKeepingTime, page.waiting]).toEqual([false, [100]]);
  timers.keepTime(true); // not tried again
  expect(timers.isKeepingTime).toBe(false);
  page.advance(100);
  expect(rung).toEqual(["a"]);
});

it("goes on where a policy forbids workers", () => {
  const page = new Clock();
  const rung: string[] = [];
  const timers = new HiddenTimers(page, () => { throw new TypeError("This document requires 'TrustedScriptURL' assignment."); });
  timers.set(() => rung.push("a"), 10);
  timers.keepTime(true);
  page.advance(10);
  expect([rung, timers.isKeepingTime]).toEqual([["a"], false]);
});

it("is used by the tab with the socket, while nobody looks at it", async () => {
  FakeWorker.started = [];
  const server = new FakeServer();
  const browser = new Browser(server, { isSharing: true });
  const environment = { startWorker: (url: string) => new FakeWorker(url) };
  const leader = browser.tab({ environment });
  await until(() => leader.client.role === "leader" && leader.client.status === "connected");
  const follower = browser.tab({ environment });
  await until(() => follower.client.status === "connected");
  for (const { document } of [leader, follower]) {
    document.visibilityState = "hidden";
    document.fire("visibilitychange");
  }
  expect(FakeWorker.started.map(({ url }) => url)).toEqual(["https://app.test/api/v0/client/clock.js"]);
  leader.client.close();
  await until(() => FakeWorker.started.length === 2); // the other one leads now
  expect(FakeWorker.started[0]?.isTerminated).toBe(true);
  follower.document.visibilityState = "visible";
  follower.document.fire("visibilitychange");
  expect(FakeWorker.started[1]?.isTerminated).toBe(true);
  follower.client.close();
});

it("is not used by a page that is put aside, which a worker could keep out of the back-forward cache", async () => {
  FakeWorker.started = [];
  const { client, window, document } = new Browser(new FakeServer()).tab({ environment: { startWorker: (url) => new FakeWorker(url) } });
  await client.document("d");
  const turn = (state: string) => {
    document.visibilityState = state;
    document.fire("visibilitychange");
  };
  window.fire("pagehide");
  turn("hidden"); // in this order, when a person follows a link
  expect(FakeWorker.started).toEqual([]);
  turn("visible");
  window.fire("pageshow");
  turn("hidden");
  expect(FakeWorker.started.map(({ isTerminated }) => isTerminated)).toEqual([false]);
  window.fire("pagehide");
  expect(FakeWorker.started.map(({ isTerminated }) => isTerminated)).toEqual([true]);
  client.close();
});
