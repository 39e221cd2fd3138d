// @vitest-environment happy-dom
/** The tools of the console: what they say, and what they never say. */

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { debugOf, publish, SessionSync } from "../src/compatibility.js";
import { DebugTools, redacted } from "../src/debug.js";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer, refusal } from "./server.js";

let server: FakeServer, tab: Tab, said: string[], tools: DebugTools;
beforeEach(async () => {
  server = new FakeServer();
  tab = new Browser(server).tab();
  said = [];
  tools = new DebugTools(tab.client, { url: "https://app.test/", log: (...words) => said.push(words.map((word) => typeof word === "string" ? word : JSON.stringify(word)).join(" ")), fetch: server.fetch });
  await tab.client.document("d");
});
afterEach(() => {
  tab.client.close();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

it("says how the client stands, and what is wrong", async () => {
  expect((await tools.check()).map(({ name, ok }) => [name, ok])).toEqual([["client", true], ["connection", true], ["session", true], ["storage", true], ["document d", true]]);
  expect(said).toContain("✓ document d: version 0, synchronized, 0 to send");
  server.session = null;
  server.latest.shut(4501);
  const broken = (await tools.check()).filter(({ ok }) => !ok);
  expect(broken.map(({ name, detail }) => [name, detail])).toEqual([["connection", "needs_auth"], ["session", "nobody is logged in, as far as is known"]]);
});

it("asks the service with GET requests only, and says what it was answered", async () => {
  server.routes.set("GET /api/session_state", () => refusal(401, "authentication_required", { reason: "no_cookie" }));
  server.routes.set("GET /api/v0/session/check-connection", () => Response.json({ token: "tok-123" }));
  const [state, session, connection] = await tools.testApi();
  expect([state?.ok, session?.ok, connection?.ok]).toEqual([false, true, true]);
  expect(state?.detail).toMatch(/^401 in \d+ ms, no_cookie$/);
  expect(said.join()).not.toContain("tok-123");
});

it("tests the storage and leaves nothing behind", async () => {
  vi.stubGlobal("indexedDB", new (await import("fake-indexeddb")).IDBFactory());
  expect((await tools.testStorage()).map(({ name, ok }) => [name, ok])).toEqual([["local storage", true], ["IndexedDB", true]]);
  expect(localStorage.length).toBe(0);
  expect(await indexedDB.databases()).toEqual([]);
  vi.stubGlobal("localStorage", { setItem: () => { throw new DOMException("no room", "QuotaExceededError"); } });
  expect((await tools.testStorage())[0]).toMatchObject({ ok: false, detail: "no room" });
});

it("names cookies, never their values, and complains of a session cookie that scripts can read", async () => {
  document.cookie = "theme=dark";
  expect((await tools.testCookies()).every(({ ok }) => ok)).toBe(true);
  document.cookie = "sessile_session=tok-123";
  expect((await tools.testCookies()).find(({ name }) => name === "session cookie")).toMatchObject({ ok: false });
  expect(said.join()).toContain("theme");
  expect(said.join()).not.toMatch(/tok-123|dark/);
});

it("sync reads the session and asks for documents, and writes nothing", async () => {
  const reads = server.sessionReads;
  expect(await tools.testSync()).toMatchObject([{ ok: true }]);
  expect(server.sessionReads).toBe(reads + 1);
  expect(server.latest.received.map(({ type }) => type)).toEqual(["hello", "request_sync"]);
});

it("says events of the page without what people write, until it is told to stop", async () => {
  const stop = await tools.monitorEvents();
  window.dispatchEvent(new CustomEvent("changeRejected", { detail: { name: "d", document_id: "0190aaaa-bbbb-7ccc", operations: [{ op: "set", path: "/a", value: "private" }], csrf_token: "csrf-1" } }));
  expect(said).toHaveLength(1);
  expect(said[0]).toContain("sessile changeRejected");
  expect(said[0]).not.toMatch(/private|csrf-1|bbbb/);
  stop();
  window.dispatchEvent(new CustomEvent("sessionExpired", { detail: {} }));
  expect(said).toHaveLength(1);
});

it("cuts ids, hides what opens a door, and keeps the rest", () => {
  expect(redacted({
    session: { session_id: "0190aaaa-bbbb", user: { id: "u1", name: "Ann" }, token: "t", nested: [{ Authorization: "Bearer x", code: "ABCD-EFGH" }] }, state: { why: "because" }, version: 4, code_count: 2, reason: "lost",
  })).toEqual({
    session: { session_id: "0190aaaa…", user: { id: "u1" }, token: "[redacted]", nested: [{ Authorization: "[redacted]", code: "[redacted]" }] }, state: "[17 characters]", version: 4, code_count: 2, reason: "lost",
  });
});

it("shows a small window that follows the client, and takes it away", async () => {
  const end = await tools.overlay();
  const aside = document.querySelector("aside") as HTMLElement;
  const text = () => aside.shadowRoot?.querySelector("dl")?.textContent ?? "";
  expect(aside.getAttribute("aria-label")).toBe("Connection details");
  expect(text()).toContain("statusconnected");
  server.write("d", [{ op: "set", path: "/a", value: 1 }]);
  await until(() => text().includes("v1 synchronized"));
  end();
  expect(document.querySelector("aside")).toBeNull();
});

it("the names that pages know: a client only when one is used, tools only when one is called", async () => {
  const scope = {} as { sessionSync: SessionSync; SessionSync: typeof SessionSync; debugSessionSync: Record<string, () => Promise<unknown>>; sessionDebugTools: Record<string, () => Promise<unknown>> };
  const [clientOf, load] = [vi.fn(() => tab.client), vi.fn(async () => tools)];
  publish(scope, clientOf, load);
  expect([clientOf.mock.calls.length, load.mock.calls.length]).toEqual([0, 0]);
  expect(Object.keys(scope.debugSessionSync)).toEqual(["checkInit", "testSync", "testStorage"]);
  expect(Object.keys(scope.sessionDebugTools)).toEqual(["runAllTests", "testSessionSync", "testLocalStorage", "testAPIEndpoints", "testCookies", "monitorEvents"]);
  const sync = scope.sessionSync;
  expect([sync instanceof scope.SessionSync, scope.sessionSync === sync]).toEqual([true, true]);
  expect([sync.isInitialized, sync.isOnline, sync.getTabId()]).toEqual([true, true, tab.client.tabId]);
  expect(await sync.syncSessionState()).toMatchObject({ session_id: "s1" });
  expect(await scope.debugSessionSync["checkInit"]?.()).toHaveLength(5);
  const debug = debugOf(load);
  expect(await debug.stats()).toMatchObject({ status: "connected", pending: 0 });
  publish(scope, clientOf, load); // the same script twice
  expect(scope.sessionSync).toBe(sync);
});
