// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

type Live = typeof import("../src/live");

class FakeSource extends EventTarget {
  static all: FakeSource[] = [];
  onerror: (() => void) | null = null;
  isClosed = false;
  constructor(readonly url: string) {
    super();
    FakeSource.all.push(this);
  }
  close(): void { this.isClosed = true; }
  say(name: string, data: unknown): void { this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) })); }
  static get open(): FakeSource[] { return FakeSource.all.filter(({ isClosed }) => !isClosed); }
}

let live: Live;
let isReachable: boolean;
let leave: () => void;
const hello = (): void => FakeSource.open[0]!.say("hello", { at: new Date().toISOString() });
const heartbeat = (): void => FakeSource.open[0]!.say("heartbeat", { at: new Date().toISOString() });
const hide = (isHidden: boolean): void => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
};
/** So long, with a heartbeat every 5 s where there is a stream. */
async function beating(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 5) {
    await vi.advanceTimersByTimeAsync(5000);
    if (FakeSource.open.length) heartbeat();
  }
}

beforeEach(async () => {
  vi.resetModules();
  vi.useFakeTimers({ now: Date.UTC(2026, 10, 27, 12) });
  FakeSource.all = [];
  isReachable = true;
  vi.stubGlobal("EventSource", FakeSource);
  vi.stubGlobal("fetch", async () => { if (!isReachable) throw new TypeError("no network"); return new Response("{}"); });
  document.head.innerHTML = '<base href="http://localhost/console/">';
  hide(false);
  live = await import("../src/live");
  live.begin();
  leave = live.follow({ parts: ["overview"], query: { every_ms: 1000 }, on: {} });
});

afterEach(() => {
  leave(); // this module still listens to the document beside the next one
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the live feed", () => {
  it("is one stream, for what the page shows last", () => {
    expect(FakeSource.open.length).toBe(1);
    leave = live.follow({ parts: ["audit"], query: {}, on: {} });
    expect(FakeSource.open.map(({ url }) => new URL(url).searchParams.get("watch"))).toEqual(["audit"]);
    expect(live.link.value).toBe("connecting");
    hello();
    expect(live.link.value).toBe("live");
  });

  it("is lost after 15 s of silence, says how old everything is, and is tried again", async () => {
    hello();
    await vi.advanceTimersByTimeAsync(14_000);
    expect([live.link.value, live.staleFor.value]).toEqual(["live", null]);
    isReachable = false;
    await vi.advanceTimersByTimeAsync(8000);
    expect(live.link.value).toBe("lost");
    expect(live.staleFor.value).toBe(22);
    expect(FakeSource.open.length).toBe(0);
    isReachable = true;
    await vi.advanceTimersByTimeAsync(15_000);
    expect(FakeSource.open.length).toBe(1);
    hello();
    expect([live.link.value, live.staleFor.value]).toEqual(["live", null]);
  });

  it("is lost at once when the connection breaks, and looks whether the login is over before it comes back", async () => {
    hello();
    FakeSource.open[0]!.onerror!();
    expect(live.link.value).toBe("lost");
    await vi.advanceTimersByTimeAsync(1300);
    expect(FakeSource.open.length).toBe(1);
  });

  it("shows that the service cannot read its database, and that it can again", () => {
    hello();
    FakeSource.open[0]!.say("stale", { at: "", reason: "store_unavailable" });
    expect(live.link.value).toBe("stale");
    heartbeat();
    expect(live.link.value).toBe("stale");
    FakeSource.open[0]!.say("fresh", { at: "" });
    expect(live.link.value).toBe("live");
  });

  it("pauses while the page is hidden, and goes on by itself", () => {
    hello();
    hide(true);
    expect([live.paused.value, FakeSource.open.length]).toEqual(["hidden", 0]);
    hide(false);
    expect([live.paused.value, FakeSource.open.length]).toEqual([null, 1]);
  });

  it("that somebody paused stays so, also after the page was hidden", () => {
    live.pause("asked");
    hide(true);
    hide(false);
    expect([live.paused.value, FakeSource.open.length]).toEqual(["asked", 0]);
    live.resume();
    expect(FakeSource.open.length).toBe(1);
  });

  it("pauses when nobody has used the page for half an hour, and not before", async () => {
    hello();
    await beating(25 * 60);
    document.body.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    await beating(29 * 60);
    expect(live.paused.value).toBeNull();
    await beating(2 * 60);
    expect([live.paused.value, FakeSource.open.length]).toEqual(["unused", 0]);
  });

  it("comes back from a server that leaves, and asks before it runs on after a whole day's work", async () => {
    hello();
    FakeSource.open[0]!.say("end", { reason: "draining" });
    expect(live.link.value).toBe("lost");
    await vi.advanceTimersByTimeAsync(1300);
    hello();
    FakeSource.open[0]!.say("end", { reason: "timeout" });
    expect([live.paused.value, FakeSource.open.length]).toEqual(["unused", 0]);
  });
});
