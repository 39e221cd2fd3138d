/** The client as a store for user interfaces. */

import { expect, it } from "vitest";
import { Browser } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

it("getSnapshot gives the same object until something in it changes, and subscribe says when that may be", async () => {
  const server = new FakeServer();
  const { client, window } = new Browser(server).tab();
  const { subscribe, getSnapshot } = client; // as a framework takes them
  const first = getSnapshot();
  expect(getSnapshot()).toBe(first);
  expect(first).toMatchObject({ status: "connecting", role: "solo", transport: "websocket", session: null, platform: null, pendingCount: 0, isStorageDurable: true });
  const told: object[] = [];
  const stop = subscribe(() => told.push(getSnapshot()));
  const doc = await client.document("d");
  expect(getSnapshot()).toMatchObject({ status: "connected", session: { session_id: "s1" }, isOffline: false });
  expect(told.at(-1)).toBe(getSnapshot()); // nothing changed without a call
  const before = getSnapshot();
  server.write("d", [{ op: "set", path: "/theirs", value: 1 }]); // not the client's business
  await until(() => doc.state["theirs"] === 1);
  expect(getSnapshot()).toBe(before);
  const change = doc.set("/mine", 1);
  expect(getSnapshot()).toMatchObject({ pendingCount: 1, unstoredCount: 1 });
  expect(getSnapshot()).not.toBe(before);
  await change.durable;
  expect(getSnapshot()).toEqual(before);
  server.goDown();
  window.fire("offline");
  expect(told.at(-1)).toMatchObject({ status: "reconnecting", isOffline: true });
  stop();
  const count = told.length;
  client.close();
  expect(getSnapshot().status).toBe("closed");
  expect(told).toHaveLength(count);
});
