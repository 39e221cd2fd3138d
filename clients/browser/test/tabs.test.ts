/** Several tabs of one browser: one device, one outbox, one numbering, no leader. */

import { afterEach, expect, it } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer, sessionOf } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

async function pair() {
  const server = new FakeServer();
  const browser = new Browser(server);
  const [left, right] = [browser.tab(), browser.tab()];
  tabs.push(left, right);
  const docs = [await left.client.document("d"), await right.client.document("d")] as const;
  return { server, left, right, docs };
}

it("another tab shows a change at once, without a network too", async () => {
  const { server, docs } = await pair();
  server.goDown();
  await docs[0].set("/a", "offline").local;
  await until(() => docs[1].state["a"] === "offline");
  expect(docs[1].confirmed).toEqual({});
  expect(docs[1].pendingCount).toBe(1);
});

it("what both write without a network is counted once each when it is back", async () => {
  const { server, left, right, docs } = await pair();
  server.goDown();
  const changes = Array.from({ length: 20 }, (_, index) => docs[index % 2 ? 1 : 0].increment("/n", 1));
  await Promise.all(changes.map((change) => change.local));
  server.isUp = true;
  left.window.fire("online");
  right.window.fire("online");
  await Promise.all(changes.map((change) => change.durable));
  expect(server.document("d").state).toEqual({ n: 20 });
  expect(new Set(changes.map((change) => change.seq)).size).toBe(20);
  await until(() => docs[0].syncStatus === "synchronized" && docs[1].syncStatus === "synchronized");
  expect([docs[0].state, docs[1].state]).toEqual([{ n: 20 }, { n: 20 }]);
  expect(server.document("d").version).toBe(20);
});

it("a tab with a connection sends what a tab without one has stored", async () => {
  const { server, left, docs, right } = await pair();
  left.window.fire("pagehide"); // put aside: its socket is closed
  expect([left.client.status, server.open.length]).toEqual(["idle", 1]);
  const change = docs[0].set("/a", 1);
  await change.local;
  await rest();
  right.clock.advance(250);
  await until(() => server.document("d").version === 1);
  await until(() => docs[0].pendingCount === 0); // heard of through the other tab
  left.window.fire("pageshow");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(docs[0].confirmed).toEqual({ a: 1 });
});

it("a change that the other tab sends too is committed once", async () => {
  const { server, right, docs } = await pair();
  server.isAnswering = false;
  await docs[0].increment("/n", 1).local;
  await until(() => server.document("d").version === 1);
  await until(() => docs[1].state["n"] === 1);
  await rest();
  right.clock.advance(250);
  await until(() => server.sockets.every((socket) => socket.changes.length === 1));
  server.isAnswering = true;
  await docs[1].increment("/n", 1).durable;
  expect(server.document("d").state).toEqual({ n: 2 });
});

it("a tab that waits for its next try makes it when another one has reached the server", async () => {
  const { server, left, right } = await pair();
  server.goDown();
  for (let tries = 0; tries < 6; tries++) {
    await rest();
    right.clock.advance(20_000); // its delays grow
  }
  await rest();
  expect(right.client.status).toBe("reconnecting");
  server.isUp = true;
  await rest();
  expect(right.client.status).toBe("reconnecting");
  left.window.fire("online");
  await until(() => left.client.status === "connected" && right.client.status === "connected");
});

it("a tab that has no session hears of a login in another one", async () => {
  const { server, left, right, docs } = await pair();
  server.session = null;
  for (const socket of [...server.open]) socket.shut(4501);
  await until(() => left.client.status === "needs_auth" && right.client.status === "needs_auth");
  const change = docs[1].set("/a", 1);
  await change.local;
  server.session = sessionOf("u1", "s2");
  left.document.fire("visibilitychange");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(right.client.session).toMatchObject({ session_id: "s2" });
});
