/** A tab that leads no more: whatever is stored later, it is not the one that sends it. */

import { expect, it } from "vitest";
import { Doc } from "../src/document.js";
import type { Host } from "../src/host.js";
import { Outbox } from "../src/outbox.js";
import { Clock, rest, until } from "./clock.js";

it("sends nothing that is stored after another tab has taken over, and sends all of it when it leads again", async () => {
  const clock = new Clock();
  const outbox = new Outbox({ backend: null, now: clock.now, random: () => 0.5, onFallback: () => [] });
  const session = { session_id: "s1", user: { id: "u1" } } as never;
  const deviceId = await outbox.identity({ owner: "user:u1", user_id: "u1", session }, null);
  const sent: number[] = [];
  const host = {
    outbox, timers: clock, random: () => 0.5, subtle: undefined, owner: "user:u1", deviceId, isConnected: true, isQuiet: false, isFollowing: false, needsAuth: false,
    whenOwner: async () => "user:u1",
    send: (frame: { type: string; changes?: { seq: number }[] }) => { sent.push(...(frame.changes ?? []).map(({ seq }) => seq)); return true; },
    request: () => Promise.reject(new Error("nobody asks here")),
    getJson: () => Promise.reject(new Error("nobody asks here")),
    emit: () => undefined, stored: () => undefined, verdicts: () => undefined, acknowledged: () => undefined, renewIdentity: () => undefined,
    hashChecked: () => undefined, touched: () => undefined,
  } as unknown as Host;
  const doc = new Doc(host, "d", undefined);
  const opened = { document_id: "doc-d", name: "d", device_no: 1, last_seq: 0, epoch: "e1", version: 0 };
  await doc.load("user:u1");
  await doc.opened(opened);
  await doc.frame({ type: "initial_state", document_id: "doc-d", name: "d", epoch: "e1", version: 0, generation: 0, timestamp: "", state: {}, hash: "", last_seq: 0, conflicts: [] } as never);
  await doc.set("/a", 1).local.catch(() => undefined); // kept in memory here
  await until(() => sent.length === 1);

  doc.deposed();
  await doc.set("/b", 2).local.catch(() => undefined);
  await rest();
  expect(sent).toEqual([1]);
  doc.pump();
  await rest();
  expect(sent).toEqual([1]);

  await doc.opened(opened);
  await until(() => sent.length === 3);
  expect(sent).toEqual([1, 1, 2]);
  doc.close(true);
});
