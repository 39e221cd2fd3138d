import { afterEach, expect, it } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));
const tabOf = (browser: Browser): Tab => {
  const tab = browser.tab();
  tabs.push(tab);
  return tab;
};

// shows: G01 G03 I01 I02
it("opens a document, shows a change at once, and keeps both promises", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  const doc = await client.document("intake", { default: { step: 1 } });
  expect(doc.state).toEqual({ step: 1 });

  const change = doc.set("/step", 2);
  expect(doc.state).toEqual({ step: 2 });
  expect(doc.confirmed).toEqual({ step: 1 });
  await change.local;
  expect(change.seq).toBe(1);
  expect(await change.durable).toMatchObject({ seq: 1, verdict: "applied", version: 1 });
  expect(doc.confirmed).toEqual({ step: 2 });
  expect(server.document("intake").state).toEqual({ step: 2 });
  await until(() => doc.syncStatus === "synchronized");
  expect(doc.pendingCount).toBe(0);
});

// shows: I06
it("keeps what is written without a network and sends it once when the network is back", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const doc = await client.document("intake");
  server.goDown();
  window.fire("offline");
  const change = doc.increment("/n", 1);
  await change.local;
  expect(doc.syncStatus).toBe("saved_locally");
  expect(doc.state).toEqual({ n: 1 });

  server.isUp = true;
  window.fire("online");
  await change.durable;
  expect(server.document("intake").state).toEqual({ n: 1 });
});

it("sends again what was committed but not answered, and it counts once", async () => {
  const server = new FakeServer();
  const { client, window } = tabOf(new Browser(server));
  const doc = await client.document("intake");
  server.isAnswering = false;
  const change = doc.increment("/n", 1);
  await until(() => server.document("intake").version === 1);
  expect(doc.pendingCount).toBe(0); // seen in the state, which is a verdict as well
  server.goDown();
  server.isUp = server.isAnswering = true;
  window.fire("online");
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  await until(() => server.latest.changes.length === 1);
  expect(server.document("intake").state).toEqual({ n: 1 });
});

// shows: I06
it("shows the person's work after a reload without a network, confirmed and not", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  const first = tabOf(browser);
  const doc = await first.client.document("intake");
  await doc.set("/a", "confirmed").durable;
  server.goDown();
  await doc.set("/b", "pending").local;
  first.window.fire("pagehide");
  first.client.close();
  await rest();

  const second = tabOf(browser);
  const again = await second.client.document("intake");
  expect(again.state).toEqual({ a: "confirmed", b: "pending" });
  expect(again.pendingCount).toBe(1);
  expect(second.client.isOffline).toBe(true);

  server.isUp = true;
  second.window.fire("online");
  await until(() => again.syncStatus === "synchronized");
  expect(server.document("intake").state).toEqual({ a: "confirmed", b: "pending" });
});

it("a crash between storing and sending loses nothing", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  const first = tabOf(browser);
  const doc = await first.client.document("intake");
  server.isUp = false; // what is sent goes nowhere
  await doc.set("/a", 1).local;
  first.client.close();

  server.isUp = true;
  tabOf(browser); // a page that does not even open the document
  await until(() => server.document("intake").version === 1);
  expect(server.document("intake").state).toEqual({ a: 1 });
});

it("queues changes made before anything is known", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  const doc = client.open("intake", { default: { n: 5 } });
  const change = doc.increment("/n", 1);
  expect(doc.state).toEqual({ n: 6 });
  await change.durable;
  expect(server.document("intake").state).toEqual({ n: 6 });
});

it("tells of a refusal, and the view goes back to what is confirmed", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  const doc = await client.document("intake", { default: { a: "text" } });
  const told: unknown[] = [];
  client.on("changeRejected", (detail) => told.push(detail));
  server.write("intake", [{ op: "set", path: "/b", value: "text" }]);
  const change = doc.change([{ op: "set", path: "/ok", value: 1 }, { op: "increment", path: "/a", by: 1 }]);
  expect(doc.state).toEqual({ a: "text", b: "text" }); // it faults in replay, so it is not shown
  expect(doc.pendingCount).toBe(1);
  expect(await change.durable).toMatchObject({ verdict: "rejected", detail: { code: "not_a_number" } });
  expect(told).toEqual([expect.objectContaining({ name: "intake", seq: 1, verdict: "rejected", operations: expect.any(Array) })]);
  expect(doc.problem).toMatch(/not_a_number/);
  await doc.set("/fine", 1).durable;
  expect(doc.problem).toBeNull();
});

it("refuses at once what the protocol cannot carry", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  const doc = await client.document("intake");
  expect(() => doc.set("/a", Number.NaN)).toThrow(expect.objectContaining({ code: "invalid_change" }));
  expect(doc.pendingCount).toBe(0);
  expect(doc.problem).toMatch(/number/);
});

// shows: I03
it("reads checkpoints, and makes one only of what is committed", async () => {
  const server = new FakeServer();
  const { client } = tabOf(new Browser(server));
  const doc = await client.document("intake");
  doc.set("/a", 1);
  expect(await doc.checkpoint({ label: "before lunch" })).toMatchObject({ checkpoint_id: "c9", label: "before lunch" });
  const types = server.latest.received.map((frame) => frame.type);
  expect(types.indexOf("checkpoint")).toBeGreaterThan(types.indexOf("change"));
  expect(await doc.checkpoints()).toEqual([{ checkpoint_id: "c1" }]);
  server.goDown();
  await expect(doc.checkpoint()).rejects.toMatchObject({ code: "not_connected" });
  await expect(doc.checkpoints()).rejects.toMatchObject({ code: "not_connected", retryable: true });
});
