/** Page events: on the client and, as CustomEvents, on window. */

import { afterEach, expect, it, vi } from "vitest";
import type { EventName } from "../src/events.js";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { conflict } from "./frames.js";
import { FakeServer } from "./server.js";

let tab: Tab;
afterEach(() => tab.client.close());

async function started(options = {}) {
  const server = new FakeServer();
  tab = new Browser(server).tab(options);
  const seen: [string, any][] = [];
  const listen = (...names: EventName[]) => names.forEach((name) => tab.client.on(name, (detail) => seen.push([name, detail])));
  return { server, seen, listen, ...tab };
}

// shows: H02 G05
it("tells of the connection on change, not on every beat", async () => {
  const { server, seen, listen, client, window, clock } = await started();
  listen("connectionStatusChanged", "disconnectionDetected", "reconnectionDetected");
  await client.document("d");
  server.ping(server.latest);
  server.ping(server.latest);
  expect(seen.map(([name, { to }]) => [name, to])).toEqual([["connectionStatusChanged", "connected"]]);
  seen.length = 0;
  server.goDown();
  clock.sleep(5000);
  server.isUp = true;
  window.fire("online");
  await until(() => seen.length === 4);
  expect(seen.map(([name]) => name)).toEqual(["disconnectionDetected", "connectionStatusChanged", "reconnectionDetected", "connectionStatusChanged"]);
  expect(seen[2]?.[1]).toMatchObject({ away_ms: 5000 });
});

// shows: H04
it("tells when it gives up", async () => {
  const { server, seen, listen, client, clock } = await started({ maxReconnectAttempts: 1 });
  listen("maxReconnectAttemptsReached");
  await client.document("d");
  server.goDown();
  clock.advance(250);
  await until(() => client.status === "stopped");
  expect(seen).toEqual([["maxReconnectAttemptsReached", { attempts: 1 }]]);
});

// shows: G04
it("tells of states, changes, conflicts, checkpoints, restores and devices", async () => {
  const { server, seen, listen, client, window } = await started();
  listen("initialStateReceived", "stateUpdateReceived", "conflictDetected", "checkpointSaved", "sessionRestored", "presenceChanged", "syncStatusChanged");
  const doc = await client.document("d");
  expect(seen[0]).toEqual(["initialStateReceived", { document_id: "doc-d", name: "d", state: {}, version: 0 }]);
  seen.length = 0;

  const document = server.document("d");
  server.publish(document, { ...document.commit("other", 1, [{ op: "set", path: "/a", value: 1 }]), conflicts: [conflict("c1", "/a")] } as never);
  expect(seen.map(([name]) => name)).toEqual(["conflictDetected", "stateUpdateReceived"]);
  expect(doc.conflicts).toHaveLength(1);

  const base = { document_id: "doc-d", epoch: "e1", version: 1, timestamp: "" };
  server.latest.tell({ ...base, type: "checkpoint_saved", checkpoint: { checkpoint_id: "c", kind: "automatic" } });
  server.latest.tell({ ...base, type: "session_restored", generation: 1, checkpoint_id: "c", before_checkpoint_id: "b", device_no: 2 });
  const device = (device_no: number) => ({ device_no, label: "", tabs: 1, visible: true, behind: 0, last_seen_at: "", is_primary: false });
  server.latest.tell({ type: "presence_state", document_id: "doc-d", devices: [device(1), device(2)] });
  server.latest.tell({ type: "presence_diff", document_id: "doc-d", devices: [device(3), { ...device(1), visible: false }], left: [2] });
  expect(seen.slice(2).map(([name]) => name)).toEqual(["checkpointSaved", "sessionRestored", "presenceChanged", "presenceChanged"]);
  expect(doc.devices.map(({ device_no, visible }) => [device_no, visible])).toEqual([[1, false], [3, true]]);
  seen.length = 0;
  server.goDown();
  window.fire("offline");
  expect(doc.devices).toEqual([]);
  expect(seen).toContainEqual(["syncStatusChanged", { document_id: "doc-d", name: "d", from: "synchronized", to: "behind" }]);
});

it("tells of the session's end, with its reason", async () => {
  const { server, seen, listen, client } = await started();
  listen("sessionExpiring", "sessionEnded", "sessionStateChanged");
  await client.document("d");
  server.latest.tell({ type: "session_expiring", session_id: "s1", expires_at: "soon" });
  server.latest.tell({ type: "session_ended", session_id: "s1", reason: "logout" });
  server.latest.shut(4501);
  expect(seen.slice(-3)).toEqual([
    ["sessionExpiring", { session_id: "s1", expires_at: "soon" }],
    ["sessionEnded", { session_id: "s1", reason: "logout" }],
    ["sessionStateChanged", { session: null }],
  ]);
  expect(client.status).toBe("needs_auth");
});

it("tells of maintenance that is announced, and that it is over", async () => {
  const { server, seen, listen, client } = await started();
  listen("maintenanceChanged", "connectionStatusChanged");
  await client.document("d");
  const maintenance = { message: "Back at noon", since: "2026-01-01T11:00:00.000Z", until: null };
  server.latest.tell({ type: "maintenance", maintenance });
  server.latest.tell({ type: "maintenance", maintenance: null });
  expect(seen.slice(-2)).toEqual([["maintenanceChanged", { maintenance }], ["maintenanceChanged", { maintenance: null }]]);
  expect(client.status).toBe("connected");
});

it("is heard on window too, and a listener can be taken off", async () => {
  const { client, window } = await started();
  const details: unknown[] = [];
  window.addEventListener("initialStateReceived", (event) => details.push((event as CustomEvent).detail));
  const never = vi.fn();
  client.on("initialStateReceived", never)();
  await client.document("d");
  expect(details).toEqual([{ document_id: "doc-d", name: "d", state: {}, version: 0 }]);
  expect(never).not.toHaveBeenCalled();
});

it("a listener that throws stops neither the others nor the client, and its error is reported", async () => {
  const reported = vi.fn();
  vi.stubGlobal("reportError", reported);
  const { client } = await started();
  const error = new Error("a page's mistake");
  const after = vi.fn();
  client.on("initialStateReceived", () => { throw error; });
  client.on("initialStateReceived", after);
  const doc = await client.document("d");
  await doc.set("/a", 1).durable;
  expect(reported.mock.calls).toEqual([[error]]);
  expect(after).toHaveBeenCalledOnce();
  vi.unstubAllGlobals();
});

it("an error of the server is told, and one that refuses changes is shown in the document", async () => {
  const { server, seen, listen, client, clock } = await started();
  listen("serverError");
  const doc = await client.document("d");
  server.latest.tell({ type: "error", code: "too_many", message: "slow down", retryable: true });
  expect([seen.at(-1)?.[1].code, doc.problem]).toEqual(["too_many", null]);
  server.refuseWith = { type: "error", code: "store_unavailable", message: "later", retryable: true, ref: "doc-d" };
  const change = doc.set("/a", 1);
  await until(() => seen.length === 2);
  server.refuseWith = null;
  clock.advance(1000);
  expect(await change.durable).toMatchObject({ verdict: "applied" });
  server.refuseWith = { type: "error", code: "invalid_change", message: "cannot read this", retryable: false, ref: "doc-d" };
  await doc.set("/a", 2).local;
  await until(() => doc.problem === "cannot read this");
  expect(doc.pendingCount).toBe(1); // kept
});

it("subscribe and getSnapshot have the shape that useSyncExternalStore wants", async () => {
  const { client } = await started();
  const doc = await client.document("d");
  await until(() => doc.syncStatus === "synchronized");
  const called = vi.fn();
  const { subscribe, getSnapshot } = doc;
  const off = subscribe(called);
  const before = getSnapshot();
  expect(getSnapshot()).toBe(before);
  doc.set("/a", 1);
  expect(called).toHaveBeenCalled();
  expect(getSnapshot()).not.toBe(before);
  expect(getSnapshot()).toMatchObject({ state: { a: 1 }, pendingCount: 1, syncStatus: "syncing" });
  off();
  called.mockClear();
  doc.set("/a", 2);
  expect(called).not.toHaveBeenCalled();
});
