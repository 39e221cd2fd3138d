/** One socket for all tabs of a browser: who has it, what the others get, and what happens when its tab goes. */

import { afterEach, expect, it } from "vitest";
import type { Environment } from "../src/environment.js";
import type { ConnectOptions } from "../src/options.js";
import type { SiblingMessage, Siblings } from "../src/siblings.js";
import { Tabs, type TabsHost } from "../src/tabs.js";
import { Browser, type Tab } from "./browser.js";
import { Clock, rest, until } from "./clock.js";
import { FakeServer, sessionOf } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

function browserOf() {
  const server = new FakeServer();
  const browser = new Browser(server, { isSharing: true });
  const open = (options: ConnectOptions = {}) => {
    const tab = browser.tab(options);
    tabs.push(tab);
    return tab;
  };
  return { server, browser, open };
}

async function trio() {
  const { server, browser, open } = browserOf();
  const leader = open();
  await until(() => leader.client.status === "connected");
  const [left, right] = [open(), open()];
  const docs = await Promise.all([leader, left, right].map(({ client }) => client.document("d")));
  return { server, browser, open, leader, left, right, docs: docs as [typeof docs[0], typeof docs[0], typeof docs[0]] };
}

const roles = (...some: Tab[]) => some.map(({ client }) => client.role);

it("three tabs have one socket, and a late one needs no request", async () => {
  const { server, leader, left, right } = await trio();
  expect(roles(leader, left, right)).toEqual(["leader", "follower", "follower"]);
  expect([server.sockets.length, server.sessionReads]).toEqual([1, 1]);
  expect(left.client.session).toEqual(leader.client.session);
  expect([left, right].map(({ client }) => client.status)).toEqual(["connected", "connected"]);
  await until(() => leader.client.stats().connects === 1 && server.latest.received.some(({ type, tabs }) => type === "presence" && tabs === 3));
});

it("what any tab writes is sent by the leader, acknowledged to its writer and shown in all", async () => {
  const { server, docs } = await trio();
  const changes = docs.map((doc, index) => doc.set(`/n${index}`, index));
  expect(await Promise.all(changes.map((change) => change.durable))).toMatchObject(changes.map(() => ({ verdict: "applied" })));
  for (const doc of docs) await until(() => doc.syncStatus === "synchronized" && doc.version === 3);
  expect(docs.map((doc) => doc.confirmed)).toEqual(docs.map(() => ({ n0: 0, n1: 1, n2: 2 })));
  expect(server.latest.changes.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  server.write("d", [{ op: "set", path: "/elsewhere", value: true }]);
  for (const doc of docs) await until(() => doc.state["elsewhere"] === true);
});

it("the leader opens for others what its own page has not opened, says nothing of it, and closes it when they have gone", async () => {
  const { server, open, leader, left } = await trio();
  const heard: string[] = [];
  leader.client.on("stateUpdateReceived", ({ name }) => heard.push(name));
  const other = await left.client.document("other", { default: { a: 1 } });
  expect(other.state).toEqual({ a: 1 });
  await other.set("/b", 2).durable;
  expect(leader.client.documents.map(({ name }) => name)).toEqual(["d"]);
  expect(heard).toEqual([]);
  const late = await open().client.document("other");
  expect(late.state).toEqual({ a: 1, b: 2 });
  expect(server.sockets).toHaveLength(1);
  for (const tab of tabs.splice(1)) tab.client.close();
  await until(() => server.latest.received.some(({ type }) => type === "unsubscribe"));
});

it("a tab that leads no more gives back what it opened for others", async () => {
  const { server, leader, left, right } = await trio();
  await right.client.document("other");
  leader.window.fire("pagehide");
  await until(() => left.client.role === "leader");
  leader.window.fire("pageshow");
  await until(() => leader.client.status === "connected" && server.latest.documents.size === 2);
  expect(leader.client.documents.map(({ name }) => name)).toEqual(["d"]);
  right.client.close();
  await until(() => server.latest.received.some(({ type }) => type === "unsubscribe"));
});

it("what is said of another owner's documents is not for this tab", async () => {
  const { server, browser, left, docs } = await trio();
  const channel = new (browser.environment().BroadcastChannel as NonNullable<Environment["BroadcastChannel"]>)("sessile wss://app.test/ws");
  const change = { version: 1, generation: 0, device_no: 9, seq: 1, operations: [{ op: "set", path: "/a", value: 1 }], verdict: "applied", at: "" };
  const frame = { type: "state_update", document_id: "doc-d", epoch: "e1", generation: 0, from: 0, to: 1, timestamp: "", changes: [change] };
  channel.postMessage({ kind: "frame", owner: "user:somebody-else", frame });
  await rest();
  expect([docs[1].version, left.client.role, server.sockets.length]).toEqual([0, "follower", 1]);
  channel.postMessage({ kind: "frame", owner: "user:u1", frame });
  await until(() => docs[1].version === 1);
});

it("a document that the server does not open is refused in the tab that wants it", async () => {
  const { server, left } = await trio();
  const asked = server.receive.bind(server);
  server.receive = (socket, frame) => frame.type === "subscribe"
    ? socket.tell({ type: "subscribed", request_id: frame["request_id"], documents: [{ name: "x", error: { code: "invalid_change", message: "no", retryable: false } }] })
    : asked(socket, frame);
  await expect(left.client.document("x")).rejects.toMatchObject({ code: "invalid_change" });
});

it("a tab whose documents do not fit on the socket gets one of its own", async () => {
  const { server, left } = await trio();
  const asked = server.receive.bind(server);
  server.receive = (socket, frame) => frame.type === "subscribe" && socket === server.sockets[0]
    ? socket.tell({ type: "subscribed", request_id: frame["request_id"], documents: [{ name: "x", error: { code: "too_many", message: "no", retryable: true } }] })
    : asked(socket, frame);
  await left.client.document("x");
  expect([left.client.role, server.open.length]).toEqual(["solo", 2]);
});

it.each(["closed", "frozen", "put aside"])("when the leader is %s the next tab goes on at once, and nobody is called offline", async (how) => {
  const { server, leader, left, right, docs } = await trio();
  const told: string[] = [];
  for (const { client } of [left, right]) client.on("connectionStatusChanged", ({ to }) => told.push(to));
  if (how === "closed") leader.client.close();
  else if (how === "frozen") leader.document.fire("freeze");
  else leader.window.fire("pagehide");
  await until(() => left.client.role === "leader" && server.open.length === 1);
  await docs[2].set("/a", 1).durable;
  await docs[1].set("/b", 1).durable;
  expect(server.document("d").state).toEqual({ a: 1, b: 1 });
  expect([right.client.role, told]).toEqual(["follower", []]);
  expect(server.sockets.map(({ received }) => received[0]?.["term"])).toEqual([1, 2]);
  if (how === "closed") return;
  leader.document.fire("resume");
  leader.window.fire("pageshow");
  await until(() => docs[0].syncStatus === "synchronized" && docs[0].version === 2);
  expect([leader.client.role, server.open.length]).toEqual(["follower", 1]);
});

it("what a page says while it goes is sent by another tab", async () => {
  const { server, left, docs } = await trio();
  left.window.fire("pagehide");
  const change = docs[1].set("/last", "words"); // stored after the channel is closed
  await change.local;
  await until(() => server.document("d").state["last"] === "words");
  await until(() => docs[2].state["last"] === "words");
});

it("a tab that is put aside while it waits for the lock is never given it", async () => {
  const { server, browser, leader, left, right } = await trio();
  expect(browser.locks?.waiting).toBe(2);
  left.window.fire("pagehide");
  expect(browser.locks?.waiting).toBe(1); // a page in the back-forward cache could not say no
  leader.window.fire("pagehide");
  await until(() => right.client.role === "leader" && server.open.length === 1);
  expect(left.client.status).toBe("idle");
});

it("a leader that hangs is asked, then replaced; when it wakes it steps back", async () => {
  const { server, leader, left, right, docs } = await trio();
  leader.hang(true);
  left.clock.advance(1500);
  await rest();
  expect(left.client.role).toBe("follower");
  left.clock.advance(1500);
  await until(() => left.client.role === "leader" && left.client.stats().connects === 1);
  await until(() => leader.client.role === "follower"); // its lock is gone, and with it its socket
  expect(server.sockets[0]?.closedByClient).toBe(4409);
  leader.hang(false);
  left.clock.advance(1000);
  for (const doc of docs) await doc.increment("/n").durable;
  for (const doc of docs) await until(() => doc.state["n"] === 3);
  expect([server.open.length, right.client.role]).toEqual([1, "follower"]);
});

it("a leader that answers keeps its lock, however rarely its timers run", async () => {
  const { server, left, right } = await trio();
  for (let turn = 0; turn < 20; turn++) {
    for (const { clock } of [left, right]) clock.advance(1500); // nothing heard: asked
    await rest();
  }
  expect([server.sockets.length, ...roles(left, right)]).toEqual([1, "follower", "follower"]);
});

it("a tab that is looked at takes over from one that is hidden, after a moment", async () => {
  const { server, leader, left, docs } = await trio();
  for (const tab of [leader, left, tabs[2] as Tab]) {
    tab.document.visibilityState = tab === left ? "visible" : "hidden";
    tab.document.fire("visibilitychange");
  }
  for (let second = 0; second < 4 && left.client.role !== "leader"; second++) {
    leader.clock.advance(1000);
    await rest();
    left.clock.advance(1000);
  }
  await until(() => left.client.role === "leader" && server.open.length === 1 && server.sockets.length === 2);
  await docs[0].set("/a", 1).durable;
  expect(server.latest.received[0]).toMatchObject({ type: "hello", visible: true, term: 2 });
});

it("logging out is known to all tabs at once, logging in again as well", async () => {
  const { server, leader, left, right, docs } = await trio();
  server.session = null;
  left.client.reconnect(); // as the page does that has logged out
  await until(() => [leader, left, right].every(({ client }) => client.status === "needs_auth" && client.session === null));
  const change = docs[2].set("/a", 1);
  await change.local;
  server.session = sessionOf("u1", "s2");
  right.document.fire("visibilitychange");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(left.client.session).toMatchObject({ session_id: "s2" });
});

it("a page that comes from a login tells a leader that has not heard of it", async () => {
  const { server, open, leader } = await trio();
  server.session = null;
  leader.client.reconnect();
  await until(() => leader.client.status === "needs_auth");
  server.session = sessionOf("u2", "s3");
  const page = open();
  await until(() => page.client.status === "connected" && leader.client.session?.user?.id === "u2");
});

it("a leader that has not heard the server for a while looks whose session it is when a page comes", async () => {
  const { server, open, leader, docs } = await trio();
  await docs[0].set("/secret", "u1's").durable;
  expect(server.sessionReads).toBe(1);
  leader.clock.advance(6000);
  open();
  await until(() => server.sessionReads === 2);
  leader.clock.advance(6000);
  server.documents.clear();
  server.session = sessionOf("u2", "s2"); // and the leader's connection is dead, so that it is not told
  const page = open();
  await until(() => page.client.session?.user?.id === "u2");
  const doc = await page.client.document("d");
  for (const one of [doc, ...docs]) await until(() => one.state["secret"] === undefined && one.syncStatus === "synchronized");
});

it("another person's session takes the documents of the former one out of sight in every tab", async () => {
  const { server, left, docs } = await trio();
  await docs[1].set("/secret", "u1's").durable;
  await until(() => docs[2].state["secret"] === "u1's");
  server.documents.clear();
  server.session = sessionOf("u2", "s2");
  left.client.reconnect();
  for (const doc of docs) await until(() => doc.state["secret"] === undefined && doc.syncStatus === "synchronized");
});

it("without a network all tabs say so, keep what is typed, and send it once when it is back", async () => {
  const { server, leader, left, right, docs } = await trio();
  server.goDown();
  await rest();
  for (const { window } of [leader, left, right]) window.fire("offline");
  await until(() => right.client.isOffline && left.client.isOffline);
  const changes = docs.map((doc) => doc.increment("/n"));
  await Promise.all(changes.map((change) => change.local));
  await until(() => docs.every((doc) => doc.state["n"] === 3));
  server.isUp = true;
  right.window.fire("online");
  await Promise.all(changes.map((change) => change.durable));
  expect(server.document("d").state).toEqual({ n: 3 });
  expect([leader.client.status, left.client.status]).toEqual(["connected", "connected"]);
});

it("a checkpoint made in a tab without the socket is answered in that tab", async () => {
  const { server, leader, docs } = await trio();
  expect(await docs[1].checkpoint({ label: "here" })).toMatchObject({ label: "here" });
  const errors: string[] = [];
  leader.client.on("serverError", ({ code }) => errors.push(code));
  const asked = server.receive.bind(server);
  server.receive = (socket, frame) => frame.type === "restore"
    ? socket.tell({ type: "error", code: "checkpoint_not_found", message: "no", retryable: false, ref: frame["request_id"] })
    : asked(socket, frame);
  await expect(docs[2].restore("c0")).rejects.toMatchObject({ code: "checkpoint_not_found" });
  expect(errors).toEqual([]);
});

it("a follower that has missed something gets it from the leader", async () => {
  const { server, left, docs } = await trio();
  left.hang(true);
  server.write("d", [{ op: "set", path: "/missed", value: 1 }]);
  await until(() => docs[0].version === 1);
  await rest();
  left.hang(false);
  server.write("d", [{ op: "set", path: "/next", value: 2 }]);
  await until(() => docs[1].version === 2);
  expect([docs[1].state, server.latest.received.filter(({ type }) => type === "request_sync")]).toEqual([{ missed: 1, next: 2 }, []]);
});

it("a tab with a token of its own, or without storage, has a socket of its own", async () => {
  const { server, browser, open, leader } = await trio();
  const own = open({ token: () => "t" });
  await until(() => own.client.status === "connected");
  browser.indexedDB = null;
  const forgetful = open();
  await until(() => forgetful.client.status === "connected");
  expect([leader, own, forgetful].map(({ client }) => client.role)).toEqual(["leader", "solo", "solo"]);
  expect(server.open).toHaveLength(3);
});

it("every change is counted once while leaders come and go", async () => {
  const { server, docs } = await trio();
  const all: Promise<unknown>[] = [];
  for (let turn = 0; turn < 12; turn++) {
    for (const doc of docs) all.push(doc.increment("/n").durable);
    const leader = tabs.find(({ client }) => client.role === "leader");
    await rest();
    leader?.window.fire("pagehide");
    await rest();
    leader?.window.fire("pageshow");
  }
  await Promise.all(all);
  expect(server.document("d").state).toEqual({ n: 36 });
  expect(server.open).toHaveLength(1);
  const terms = server.sockets.map(({ received }) => received[0]?.["term"] as number | undefined).filter((term) => term !== undefined);
  expect(terms).toEqual([...terms].sort((a, b) => a - b));
  expect(new Set(terms).size).toBe(terms.length);
});

it.each(["leader", "follower"])("when the storage of a %s fails, that tab sends its changes itself, and the others go on", async (role) => {
  const { server, browser, open, leader, left, right, docs } = await trio();
  const factory = browser.indexedDB as IDBFactory;
  const handles: IDBDatabase[] = [];
  let isBroken = false;
  const indexedDB = {
    open(name: string, version: number) {
      if (isBroken) throw new DOMException("Connection to Indexed Database server lost", "UnknownError");
      const request = factory.open(name, version);
      request.addEventListener("success", () => handles.push(request.result));
      return request;
    },
  } as unknown as IDBFactory;
  const unlucky = open({ environment: { indexedDB } });
  const doc = await unlucky.client.document("d");
  if (role === "leader") {
    for (const tab of [leader, left, right]) tab.window.fire("pagehide");
    await until(() => unlucky.client.role === "leader" && unlucky.client.status === "connected");
    for (const tab of [leader, left, right]) tab.window.fire("pageshow");
    await until(() => docs.every(({ syncStatus }) => syncStatus === "synchronized"));
  }
  isBroken = true;
  for (const handle of handles) handle.close();
  const change = doc.set("/mine", 1);
  await expect(change.local).rejects.toMatchObject({ code: "not_stored" });
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(unlucky.client.role).toBe("solo");
  await docs[1].set("/theirs", 2).durable;
  for (const one of [doc, ...docs]) await until(() => one.state["mine"] === 1 && one.state["theirs"] === 2);
  await until(() => server.open.length === 2);
  expect(roles(leader, left, right).filter((each) => each === "leader")).toHaveLength(1);
});

it("a leader that hung, and says how it stood before it hears that it leads no more, is not believed", async () => {
  const followed: number[] = [];
  const standing = { owner: null, session: null, device_id: null, status: { from: "connecting", to: "stopped", reason: "terminal", retry_in_ms: null } };
  const host = {
    tabId: "me", isVisible: true, isConnected: true, owner: null, documents: [], standing,
    connect: () => undefined, roleChanged: () => undefined,
    follow: async () => { followed.push(tab.term); },
  } as unknown as TabsHost;
  const siblings = { isOpen: true, open: () => undefined, close: () => undefined, tell: () => undefined } as unknown as Siblings;
  const never = { request: () => new Promise<void>(() => undefined) };
  const tab: Tabs = new Tabs({ locks: never, timers: new Clock(), random: () => 0.5 }, siblings, "g", true, host);
  tab.enter();
  tab.heard({ kind: "beat", tab: "new", term: 5, visible: true });
  tab.heard({ kind: "standing", to: null, term: 4, standing } as SiblingMessage);
  await rest();
  expect(followed).toEqual([]);
  tab.heard({ kind: "standing", to: null, term: 5, standing } as SiblingMessage);
  await rest();
  expect(followed).toEqual([5]);
});
