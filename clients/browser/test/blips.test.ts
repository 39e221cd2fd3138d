/** Connections that are lost and back, that are silent, that lead nowhere: what is done about them, and what the page hears of it. */

import { afterEach, expect, it } from "vitest";
import { QUIET_MS } from "../src/reachability.js";
import type { EventName } from "../src/events.js";
import type { ConnectOptions } from "../src/options.js";
import { VIGIL_MS } from "../src/vigil.js";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer, sessionOf } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

const TOLD: EventName[] = ["connectionStatusChanged", "disconnectionDetected", "reconnectionDetected", "syncStatusChanged", "presenceChanged"];

async function started(options: ConnectOptions = {}) {
  const server = new FakeServer();
  const tab = new Browser(server).tab(options);
  tabs.push(tab);
  const doc = await tab.client.document("d");
  server.latest.tell({ type: "presence_state", document_id: "doc-d", devices: [{ device_no: 1, label: "", tabs: 1, visible: true, behind: 0, last_seen_at: "", is_primary: true }] });
  const told: string[] = [];
  for (const name of TOLD) tab.client.on(name, (detail) => told.push("to" in detail ? `${name} ${detail.to}` : name));
  return { server, doc, told, ...tab };
}

// shows: H02
it("a connection that is back at once was never away", async () => {
  const { server, doc, told, client, clock } = await started();
  server.latest.shut(1006);
  expect([client.status, client.isOffline, doc.syncStatus, doc.devices.length]).toEqual(["connected", false, "synchronized", 1]);
  clock.advance(250);
  await until(() => server.sockets.length === 2 && server.latest.received.length > 0);
  await rest();
  clock.advance(QUIET_MS);
  expect(told).toEqual([]);
  expect([client.status, doc.syncStatus, client.stats().connects]).toEqual(["connected", "synchronized", 2]);
});

it("what is typed in that moment is sent with the new connection", async () => {
  const { server, doc, client, clock } = await started();
  server.latest.shut(1006);
  const change = doc.set("/a", 1);
  await change.local;
  expect([doc.syncStatus, client.status]).toEqual(["syncing", "connected"]);
  clock.advance(250);
  expect(await change.durable).toMatchObject({ verdict: "applied" });
});

// shows: H02
it("one that stays away is told when the moment is over, with the time at which it was lost", async () => {
  const { server, doc, told, client, clock } = await started();
  const lost: number[] = [];
  client.on("disconnectionDetected", ({ at_ms }) => lost.push(at_ms));
  const at_ms = clock.now();
  server.goDown();
  clock.advance(QUIET_MS - 1);
  await rest();
  expect(told).toEqual([]);
  clock.advance(1);
  expect(told).toEqual(["presenceChanged", "syncStatusChanged behind", "disconnectionDetected", "connectionStatusChanged reconnecting"]);
  expect([lost, client.status, doc.syncStatus, doc.devices]).toEqual([[at_ms], "reconnecting", "behind", []]);
});

it("without patience everything is told at once", async () => {
  const { server, told } = await started({ quietReconnectMs: 0 });
  server.latest.shut(1006);
  expect(told).toEqual(["syncStatusChanged behind", "presenceChanged", "disconnectionDetected", "connectionStatusChanged reconnecting"]);
});

// shows: H02
it("a server that is not heard when it should be makes the connection doubtful, long before it is lost", async () => {
  const { server, told, client, clock } = await started();
  clock.advance(23_999);
  expect(client.status).toBe("connected");
  clock.advance(1);
  expect([client.status, told]).toEqual(["degraded", ["connectionStatusChanged degraded"]]);
  server.ping(server.latest);
  expect(client.status).toBe("connected");
  clock.advance(34_999);
  expect([client.status, server.latest.readyState]).toEqual(["degraded", 1]);
  clock.advance(1);
  expect(server.sockets[0]?.closedByClient).toBe(4001);
});

it("a change without an answer makes it doubtful after five seconds, and it is sent all the same", async () => {
  const { server, doc, client, clock } = await started();
  server.isAnswering = false;
  const receive = server.receive.bind(server);
  server.receive = () => undefined; // a link that leads nowhere
  await doc.set("/a", 1).local;
  await until(() => server.latest.changes.length === 1);
  clock.advance(5000);
  expect([client.status, client.isOffline]).toEqual(["degraded", false]);
  const change = doc.set("/b", 2);
  await change.local;
  await until(() => server.latest.changes.length === 2);
  [server.isAnswering, server.receive] = [true, receive];
  for (const frame of server.latest.received.filter(({ type }) => type === "change")) server.receive(server.latest, frame);
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(client.status).toBe("connected");
});

// shows: H02 H03
it("a socket that another network has left dead is found out when the network is back, in three seconds", async () => {
  const { server, doc, client, window, clock } = await started();
  window.fire("offline");
  expect(client.status).toBe("degraded");
  const [old] = server.sockets;
  (old as { send(data: string): void }).send = () => undefined; // bytes go into the void, and nothing says so
  const change = doc.set("/a", 1);
  await change.local;
  window.fire("online");
  clock.advance(2999);
  expect(old?.closedByClient).toBeNull();
  clock.advance(1);
  expect(old?.closedByClient).toBe(4001);
  clock.advance(250);
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  expect(client.status).toBe("connected");
});

it("a socket that has survived is kept", async () => {
  const { server, client, window, clock } = await started();
  window.fire("offline");
  window.fire("online");
  await until(() => client.status === "connected");
  clock.advance(3000);
  expect([server.sockets.length, server.latest.received.filter(({ type }) => type === "request_sync").length]).toEqual([1, 1]);
});

it("coming back to the page asks nothing of a connection that was heard a moment ago", async () => {
  const { server, document, clock } = await started();
  clock.advance(15_000);
  document.fire("visibilitychange");
  await rest();
  expect(server.latest.received.some(({ type }) => type === "request_sync")).toBe(false);
});

it("without a socket the session is asked for once a minute, in front only, and found to be over", async () => {
  const { server, client, document, clock } = await started({ maxReconnectAttempts: 0 });
  server.latest.shut(1006);
  await until(() => client.status === "stopped");
  const reads = server.sessionReads;
  document.visibilityState = "hidden";
  clock.advance(VIGIL_MS);
  await rest();
  expect(server.sessionReads).toBe(reads);
  document.visibilityState = "visible";
  clock.advance(VIGIL_MS);
  await until(() => server.sessionReads === reads + 1);
  await rest();
  expect(client.session).not.toBeNull();
  server.session = null;
  clock.advance(VIGIL_MS);
  await until(() => client.status === "needs_auth");
  expect(client.session).toBeNull();
  server.session = sessionOf("u1");
  clock.advance(VIGIL_MS);
  await until(() => client.status === "connected");
});
