/** What a browser keeps, and how it comes back. */

import { afterEach, expect, it, vi } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

it("asks the browser once, with the first stored change, to keep the storage", async () => {
  const persist = vi.fn(async () => true);
  const tab = new Browser(new FakeServer()).tab({ environment: { persist } });
  tabs.push(tab);
  const doc = await tab.client.document("d");
  expect([persist.mock.calls.length, tab.client.stats().persisted]).toEqual([0, null]);
  await doc.set("/a", 1).local;
  await doc.set("/a", 2).local;
  await until(() => tab.client.stats().persisted === true);
  expect(persist).toHaveBeenCalledOnce();
});

it("does not ask where the page wants no question", async () => {
  const persist = vi.fn(async () => true);
  const tab = new Browser(new FakeServer()).tab({ persist: false, environment: { persist } });
  tabs.push(tab);
  await (await tab.client.document("d")).set("/a", 1).local;
  expect(persist).not.toHaveBeenCalled();
});

// shows: I06
it("gives back what a page has kept for days, as of the version that it saw", async () => {
  const server = new FakeServer();
  const tab = new Browser(server).tab();
  tabs.push(tab);
  server.routes.set("POST /api/v0/session/s1/restore", ({ backup }) => {
    for (const [path, value] of Object.entries(backup.values)) server.write("d", [{ op: "set", path, value } as never]);
    return Response.json({ ack: null, nack: null, backup: {}, state: {} });
  });
  const doc = await tab.client.document("d");
  await doc.restoreBackup({ "/why": "kept" }, { epoch: "e0", version: 7 });
  expect(server.calls[0]?.body).toMatchObject({ document: { document_id: "doc-d" }, backup: { epoch: "e0", version: 7, values: { "/why": "kept" } } });
  await until(() => doc.state["why"] === "kept");
  await doc.restoreBackup({ "/how": "too" });
  expect(server.calls[1]?.body.backup).toMatchObject({ epoch: "e1", version: 1 });
  server.goDown();
  await expect(doc.restoreBackup({ "/a": 1 })).rejects.toMatchObject({ code: "not_connected" });
});
