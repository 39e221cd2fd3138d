/** What nobody would send if nobody looked again: each was found by a seed of the long simulation. */

import { afterEach, expect, it, vi } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  tabs.splice(0).forEach(({ client }) => client.close());
});
const opened = (browser: Browser): Tab => {
  const tab = browser.tab();
  tabs.push(tab);
  return tab;
};

it("storage that fails between the hello and the welcome: what is made then goes out, though no connection spoke for its device", async () => {
  const server = new FakeServer();
  const { client, clock } = opened(new Browser(server));
  const doc = await client.document("d");
  await doc.increment("/n", 1).durable;
  const device = server.latest.device;
  const receive = server.receive.bind(server);
  const held: (() => void)[] = [];
  vi.spyOn(server, "receive").mockImplementation((socket, frame) => void (frame.type === "hello" ? held.push(() => receive(socket, frame)) : receive(socket, frame)));
  server.latest.shut(1006);
  clock.advance(500);
  await until(() => held.length === 1);
  vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementation(() => {
    throw new DOMException("Connection to Indexed Database server lost", "UnknownError");
  });
  const changes = [doc.increment("/n", 10), doc.increment("/n", 100)];
  await Promise.allSettled(changes.map(({ local }) => local));
  vi.spyOn(server, "receive").mockImplementation(receive);
  held[0]?.();
  await Promise.all(changes.map(({ durable }) => durable));
  expect(server.document("d").state).toEqual({ n: 111 });
  expect(server.latest.device).not.toBe(device);
});

it("a tab that came and went while the leader did not hear leaves a change of a document that is open nowhere else", async () => {
  const server = new FakeServer();
  const browser = new Browser(server, { isSharing: true });
  const leader = opened(browser);
  await leader.client.document("d");
  const guest = opened(browser);
  const other = await guest.client.document("other", { default: { n: 0 } });
  await rest();
  leader.hang(true);
  await other.increment("/n", 1).local;
  await rest(); // the leader has not heard of it
  leader.hang(false);
  guest.client.close();
  await until(() => server.latest.received.some(({ type }) => type === "unsubscribe"));
  await rest();
  expect(server.document("other").version).toBe(0);
  server.latest.shut(1006);
  leader.clock.advance(500);
  await until(() => server.document("other").state["n"] === 1);
});

it("a browser without locks: a tab that is closed too soon leaves its change to another one that is connected, whatever that has open", async () => {
  const server = new FakeServer();
  const browser = new Browser(server);
  const stays = opened(browser);
  await stays.client.document("d");
  const goes = opened(browser);
  const other = await goes.client.document("other", { default: { n: 0 } });
  server.sockets[1]?.documents.clear();
  vi.spyOn(server.sockets[1]!, "send").mockImplementation(() => undefined); // nothing that it says arrives
  await other.increment("/n", 1).local;
  await rest();
  goes.client.close();
  stays.clock.advance(2900);
  await rest();
  expect(server.document("other").version).toBe(0);
  stays.clock.advance(200);
  await until(() => server.document("other").state["n"] === 1);
  await until(() => stays.client.documents.length === 1); // closed again when it is sent
});
