/** The client of `sessile/core`. What it shares with the whole client is tested there; here is what it does by itself. */

import { afterEach, expect, it, vi } from "vitest";
import { CoreClient, type CoreOptions } from "../src/core-client.js";
import { Browser, Page } from "./browser.js";
import { Clock, rest, until } from "./clock.js";
import { FakeServer, sessionOf } from "./server.js";

const clients: CoreClient[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  clients.splice(0).forEach((client) => client.close());
});

function tabOf(browser: Browser, options: CoreOptions = {}) {
  const [clock, window, document] = [new Clock(), new Page(), new Page()];
  const client = new CoreClient({ url: "https://app.test/", environment: browser.environment(clock, window, document), ...options });
  clients.push(client);
  return { client, clock, window, document };
}

it("a document is opened, changed, followed, and kept while there is no network", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const events: string[] = [];
  client.on("connectionStatusChanged", ({ to }) => events.push(to));
  const doc = await client.document("d", { default: { n: 1 } });
  expect(await doc.increment("/n", 1).durable).toMatchObject({ verdict: "applied" });
  server.write("d", [{ op: "set", path: "/theirs", value: true }]);
  await until(() => doc.syncStatus === "synchronized" && doc.version === 2);
  expect(doc.state).toEqual({ n: 2, theirs: true });
  server.goDown();
  const change = doc.set("/offline", 1);
  await change.local;
  expect([client.status, client.isOffline, doc.syncStatus, client.getSnapshot().pendingCount]).toEqual(["reconnecting", true, "saved_locally", 1]);
  server.isUp = true;
  window.fire("online");
  await change.durable;
  expect(server.document("d").state).toEqual({ n: 2, theirs: true, offline: 1 });
  expect(events).toEqual(["connected", "reconnecting", "connected"]);
});

it("what an earlier page has left is sent, also of documents that are not opened", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  const first = tabOf(browser);
  const doc = await first.client.document("d");
  server.goDown();
  await doc.set("/a", 1).local;
  first.client.close();
  server.isUp = true;
  const second = tabOf(browser);
  await until(() => server.document("d").state["a"] === 1);
  await until(() => second.client.documents.length === 0); // closed again
});

it("two tabs share the outbox and have a socket each", async () => {
  const server = new FakeServer();
  const browser = new Browser(server, { isSharing: true });
  const tabs = [tabOf(browser), tabOf(browser)];
  const docs = await Promise.all(tabs.map(({ client }) => client.document("d")));
  expect(server.open).toHaveLength(2);
  await Promise.all(docs.map((doc) => doc.increment("/n", 1).durable));
  for (const doc of docs) await until(() => doc.confirmed?.["n"] === 2);
  expect(docs[0]?.deviceNo).toBe(docs[1]?.deviceNo);
});

it("without a login nothing is sent and nothing lost; another person gets nothing of it", async () => {
  const server = new FakeServer();
  const { client, document } = tabOf(new Browser(server));
  const doc = await client.document("d");
  const told: unknown[] = [];
  client.on("sessionStateChanged", ({ session }) => told.push(session?.session_id ?? null));
  server.session = null;
  server.latest.shut(4502);
  expect([client.status, client.session]).toEqual(["needs_auth", null]);
  const change = doc.set("/mine", 1);
  await change.local;
  server.session = sessionOf("u2", "s2");
  document.fire("visibilitychange");
  await until(() => client.status === "connected");
  await rest();
  expect([doc.state, server.document("d").version]).toEqual([{}, 0]);
  server.session = sessionOf("u1", "s3");
  client.reconnect();
  await until(() => server.document("d").state["mine"] === 1);
  expect(told).toEqual([null, "s2", "s3"]);
});

it("a session that changes is read again, with a new cookie if that is asked for", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  await client.document("d");
  server.routes.set("POST /api/v0/session/refresh", () => Response.json({}));
  server.session = { ...sessionOf("u1"), expires_at: "later" } as never;
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true, refresh: true });
  await until(() => client.session?.expires_at === "later" && client.status === "connected");
  expect(server.calls).toHaveLength(1);
});

it("storage that fails: goes on in memory, says so, asks before the page is left, and nothing is lost", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const doc = await client.document("d");
  server.goDown();
  vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementation(() => {
    throw new DOMException("Connection to Indexed Database server lost", "UnknownError");
  });
  const change = doc.increment("/n", 1);
  await expect(change.local).rejects.toMatchObject({ code: "not_stored" });
  const leaving = new Event("beforeunload", { cancelable: true });
  window.dispatchEvent(leaving);
  expect([client.isStorageDurable, leaving.defaultPrevented, client.getSnapshot().unstoredCount]).toEqual([false, true, 1]);
  server.isUp = true;
  window.fire("online");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
});

it("a page that is put aside has no socket, and comes back; a wrong frame is told", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  await client.document("d");
  window.fire("pagehide");
  expect([client.status, server.open.length]).toEqual(["idle", 0]);
  window.fire("pageshow");
  await until(() => client.status === "connected");
  const heard: string[] = [];
  client.on("serverError", ({ code }) => heard.push(code));
  server.latest.tell({ type: "error", code: "rate_limited", message: "slow down", retryable: true });
  expect(heard).toEqual(["rate_limited"]);
});
