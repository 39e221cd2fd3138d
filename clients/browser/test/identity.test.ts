/** Whose outbox it is: owners, logins, identities that cannot go on. */

import { afterEach, expect, it, vi } from "vitest";
import type { ConnectOptions } from "../src/options.js";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer, sessionOf } from "./server.js";
import { VIGIL_MS } from "../src/vigil.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));
const tabOf = (browser: Browser, options: ConnectOptions = {}): Tab => {
  const tab = browser.tab(options);
  tabs.push(tab);
  return tab;
};

it("nobody logged in: no socket, nothing sent, nothing lost", async () => {
  const server = new FakeServer();
  server.session = null;
  const browser = new Browser(server);
  const { client, document, clock } = tabOf(browser);
  const doc = client.open("d");
  const change = doc.set("/a", 1);
  await until(() => client.status === "needs_auth");
  expect(doc.syncStatus).toBe("needs_auth");
  clock.advance(VIGIL_MS - 1);
  await rest();
  expect([server.sockets.length, server.sessionReads]).toEqual([0, 1]);

  server.session = sessionOf("u1"); // logged in elsewhere, back to this page
  document.fire("visibilitychange");
  await change.durable;
  expect(server.document("d").state).toEqual({ a: 1 });
});

it("a session that ends while the page is open keeps the outbox for its owner", async () => {
  const server = new FakeServer();
  const { client, document } = tabOf(new Browser(server));
  const doc = await client.document("d");
  const events: string[] = [];
  client.on("sessionExpired", () => events.push("sessionExpired"));
  server.session = null;
  server.latest.shut(4502);
  expect([client.status, client.session, events]).toEqual(["needs_auth", null, ["sessionExpired"]]);
  const change = doc.set("/a", 1);
  await change.local;
  expect(server.document("d").version).toBe(0);
  server.session = sessionOf("u1", "s2");
  document.fire("visibilitychange");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
});

it("never sends one person's outbox for another", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  const { client, window, clock } = tabOf(browser);
  const doc = await client.document("d");
  await doc.set("/seen", "u1's").durable;
  server.goDown();
  await doc.set("/secret", "of u1").local;

  server.session = sessionOf("u2", "s2");
  server.documents.clear();
  server.isUp = true;
  window.fire("online"); // the session is not read again yet: hello says u1, the server answers 4503
  await until(() => client.status === "reconnecting" && server.sockets.length === 2 && server.open.length === 0);
  expect(server.latest.received).toMatchObject([{ type: "hello", user_id: "u1" }]);
  clock.advance(500);
  await until(() => client.session?.user?.id === "u2" && doc.syncStatus === "synchronized");
  expect(doc.state).toEqual({});
  expect(doc.pendingCount).toBe(0);
  expect(server.document("d").version).toBe(0);
  expect(server.latest.received[0]).toMatchObject({ user_id: "u2" });

  server.session = sessionOf("u1", "s3");
  client.reconnect();
  await until(() => server.document("d").version === 1);
  expect(server.document("d").state).toEqual({ secret: "of u1" });
});

it("what an anonymous visitor wrote is the user's after the login", async () => {
  const server = new FakeServer();
  server.session = sessionOf(null);
  const { client, window } = tabOf(new Browser(server));
  const doc = await client.document("d");
  const device = server.latest.device;
  server.goDown();
  const change = doc.set("/a", "before the login");
  await change.local;
  server.session = sessionOf("u1");
  server.isUp = true;
  client.reconnect();
  window.fire("online");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(server.latest.device).toBe(device);
  expect(doc.state).toEqual({ a: "before the login" });
});

it("a session that changes is read again", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  await client.document("d");
  const told: unknown[] = [];
  client.on("sessionStateChanged", ({ session }) => told.push(session?.session_id));
  server.session = sessionOf("u1", "s2");
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true });
  await until(() => client.session?.session_id === "s2" && client.status === "connected");
  expect(told).toEqual(["s2"]);
  expect(server.sockets).toHaveLength(2);
});

it("a session with something else in it is read and shown on the socket that there is", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  await client.document("d");
  const told: unknown[] = [];
  client.on("sessionStateChanged", ({ session }) => told.push(session?.expires_at));
  server.session = { ...sessionOf("u1"), expires_at: "later" } as never;
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true });
  await until(() => client.session?.expires_at === "later");
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true }); // as it was told already
  await until(() => server.sessionReads === 3);
  await rest();
  expect([told, server.sockets.length, client.status]).toEqual([["later"], 1, "connected"]);
});

it("a change of the session that cannot be read just now is read with the next socket", async () => {
  const server = new FakeServer();
  const { client, clock } = tabOf(new Browser(server));
  await client.document("d");
  server.isUp = false; // the socket lives on, requests fail
  server.session = { ...sessionOf("u1"), expires_at: "later" } as never;
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true });
  await until(() => server.latest.readyState === 3);
  server.isUp = true;
  clock.advance(500);
  await until(() => client.session?.expires_at === "later");
  expect(client.status).toBe("connected");
});

it("an identity that somebody else uses too is given up, and the changes go out under a new one", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const doc = await client.document("d");
  await doc.increment("/n", 1).durable;
  const device = server.latest.device;
  server.goDown();
  const changes = [doc.increment("/n", 1), doc.increment("/n", 1)];
  await Promise.all(changes.map((change) => change.local));
  server.document("d").commit(device, 2, [{ op: "set", path: "/clone", value: true }]); // a copied profile was faster
  server.isUp = true;
  window.fire("online");
  expect((await Promise.all(changes.map((change) => change.durable))).map((verdict) => verdict.verdict)).toEqual(["applied", "applied"]);
  expect(server.latest.device).not.toBe(device);
  expect(server.document("d").state).toEqual({ n: 3, clone: true });
});

it("a server that lost its tail gets the changes under a new identity, after it was asked twice", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const doc = await client.document("d");
  await doc.increment("/n", 1).durable;
  await doc.increment("/n", 1).durable;
  const device = server.latest.device;
  server.goDown();
  const change = doc.increment("/n", 1);
  await change.local;
  expect(change.seq).toBe(3);
  const document = server.document("d");
  document.log.pop(); // the database came back from a backup
  document.state = { n: 1 };
  document.epoch = "e2";
  server.isUp = true;
  window.fire("online");
  await until(() => document.state["n"] === 2);
  await until(() => doc.syncStatus === "synchronized");
  expect(server.latest.device).not.toBe(device);
  expect(doc.state).toEqual({ n: 2 });
  expect(document.log.map(({ seq }) => seq)).toEqual([1, 1]);
});

it("a store that cannot be used: works from memory, says so, and asks before the page is left", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  browser.indexedDB = null;
  const { client, window } = tabOf(browser);
  const doc = await client.document("d");
  expect(client.stats().durable).toBe(false);
  const leaving = () => {
    const event = new Event("beforeunload", { cancelable: true });
    window.dispatchEvent(event);
    return event.defaultPrevented;
  };
  expect(leaving()).toBe(false);
  server.goDown();
  const change = doc.set("/a", 1);
  await expect(change.local).rejects.toMatchObject({ code: "not_stored" });
  expect(leaving()).toBe(true);
  server.isUp = true;
  window.fire("online");
  await change.durable;
  await until(() => !leaving());
});

it("a store that fails in the middle: what was not answered goes on from memory and is sent once", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const told: string[] = [];
  client.on("storageUnavailable", ({ reason }) => told.push(reason));
  const doc = await client.document("d");
  server.goDown();
  const stored = doc.increment("/n", 1);
  await stored.local;
  const broken = vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementation(() => {
    throw new DOMException("Connection to Indexed Database server lost", "UnknownError");
  });
  const unstored = doc.increment("/n", 10);
  await expect(unstored.local).rejects.toMatchObject({ code: "not_stored" });
  expect(told).toEqual(["Connection to Indexed Database server lost"]);
  expect(client.stats()).toMatchObject({ durable: false, pending: 2 });
  server.isUp = true;
  window.fire("online");
  expect(await Promise.all([stored.durable, unstored.durable])).toMatchObject([{ verdict: "applied" }, { verdict: "applied" }]);
  expect(server.document("d").state).toEqual({ n: 11 });
  broken.mockRestore();
});

it("a 401 is nobody logged in, a 503 or a stranger's page is not", async () => {
  const server = new FakeServer();
  const answers = [new Response("<html>Welcome to our hotel</html>"), Response.json({ code: "store_unavailable" }, { status: 503 }), Response.json({ code: "session_not_found" }, { status: 401 })];
  const { client, clock } = tabOf(new Browser(server), { environment: { fetch: async () => answers.shift() as Response } });
  const reasons: string[] = [];
  client.on("connectionStatusChanged", ({ reason }) => reasons.push(reason));
  for (const left of [2, 1]) {
    await until(() => answers.length === left && (clock.waiting[0] ?? Infinity) <= 500); // not the time limit of the request
    expect(client.status).toBe("connecting");
    clock.advance(clock.waiting[0] as number);
  }
  await until(() => client.status === "needs_auth");
  expect([answers.length, reasons, server.sockets.length]).toEqual([0, ["no_session"], 0]);
});

it("a network that swallows everything is given up after 5 s, and what is kept is shown", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  const first = tabOf(browser);
  const before = await first.client.document("d");
  await before.set("/a", 1).durable;
  first.window.fire("pagehide");
  first.client.close();
  await rest();
  const swallow = (_input: unknown, init?: RequestInit) => new Promise<Response>((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
  const { client, clock } = tabOf(browser, { environment: { fetch: swallow as typeof fetch } });
  const doc = client.open("d");
  await until(() => clock.waiting.length === 1);
  clock.advance(5000);
  await doc.ready;
  expect([doc.state, client.isOffline]).toEqual([{ a: 1 }, true]);
});

it("a bearer token goes into headers and the first frame, which stays small; documents follow", async () => {
  const server = new FakeServer();
  const headers: (string | null)[] = [];
  const spy = ((input: string, init?: RequestInit) => {
    headers.push(new Headers(init?.headers).get("authorization"));
    return server.fetch(input, init);
  }) as typeof fetch;
  const { client } = tabOf(new Browser(server), { token: () => "secret-token", environment: { fetch: spy } });
  const doc = await client.document("d", { default: { big: "x".repeat(10_000) } });
  const [hello, subscribe] = server.latest.received;
  expect(headers).toEqual(["Bearer secret-token"]);
  expect(hello).toMatchObject({ type: "hello", token: "secret-token", documents: [] });
  expect(JSON.stringify(hello).length).toBeLessThan(4096);
  expect(subscribe).toMatchObject({ type: "subscribe", documents: [{ name: "d" }] });
  expect(server.latest.url).toBe("wss://app.test/ws");
  expect(doc.state["big"]).toHaveLength(10_000);
});
