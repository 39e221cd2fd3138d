/** The last words of a page that is left with changes in flight. */

import { afterEach, expect, it } from "vitest";
import type { Pending } from "../src/core.js";
import { FAREWELL_BYTES_MAX, farewells } from "../src/farewell.js";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

const pending = (seq: number | null, value = "x", more: Partial<Pending> = {}): Pending =>
  ({ nonce: `n${seq}`, device_id: "dev", seq, base_version: 0, generation: 0, operations: [{ op: "set", path: "/a", value }], ...more });
const leaving = (id: string | null, ...unanswered: Pending[]) => ({ id, unanswered, seenGeneration: 3 });
const seqsOf = (text: string): number[] => (JSON.parse(text) as { changes: { seq: number }[] }).changes.map(({ seq }) => seq);

it("is the oldest changes without a gap, and never more than a browser lets outlive its page", () => {
  const large = "ü".repeat(12_000);
  const [request, other] = farewells([leaving("d1", pending(1, large), pending(2, large), pending(3, large), pending(4, "small")), leaving("d2", pending(1))]);
  expect([request?.path, seqsOf(request?.text ?? "")]).toEqual(["api/v0/documents/d1/changes", [1, 2]]);
  expect(other?.path).toBe("api/v0/documents/d2/changes");
  const bytes = [request, other].map((one) => new TextEncoder().encode(one?.text).length);
  expect(bytes).toEqual([request?.bytes, other?.bytes].map((count) => (count ?? 0) - 1)); // one comma more was counted than there is
  expect((bytes[0] ?? 0) + (bytes[1] ?? 0)).toBeLessThan(FAREWELL_BYTES_MAX);
});

it("leaves out what has no number yet, another device's, and documents that the server does not know", () => {
  expect(farewells([leaving(null, pending(1)), leaving("d", pending(null)), leaving("e")])).toEqual([]);
  const [request] = farewells([leaving("d", pending(1), pending(2, "y", { device_id: "former" }), pending(3))]);
  expect(seqsOf(request?.text ?? "")).toEqual([1]);
  const [unseen] = farewells([leaving("d", pending(1, "x", { generation: null }))]);
  expect(JSON.parse(unseen?.text ?? "")).toEqual({ device_id: "dev", changes: [{ seq: 1, base_version: 0, generation: 3, operations: pending(1).operations }] });
});

// shows: H05
it("a page that is left says once more what was not answered, and what it stores while it goes", async () => {
  const server = new FakeServer();
  const tab = new Browser(server).tab();
  tabs.push(tab);
  const doc = await tab.client.document("d");
  const sent: { seqs: number[]; keepalive: boolean | undefined }[] = [];
  server.routes.set("POST /api/v0/documents/doc-d/changes", (body) => {
    sent.push({ seqs: body.changes.map(({ seq }: { seq: number }) => seq), keepalive: server.lastInit?.keepalive });
    return Response.json({});
  });
  const receive = server.receive.bind(server);
  server.receive = (socket, frame) => frame.type === "change" ? undefined : receive(socket, frame);
  await doc.set("/a", 1).local;
  await until(() => server.latest.changes.length === 1);
  tab.window.fire("pagehide");
  expect(sent).toEqual([{ seqs: [1], keepalive: true }]);
  await doc.set("/b", 2).local; // a form's last words
  expect(sent.at(-1)?.seqs).toEqual([1, 2]);

  server.receive = receive;
  tab.window.fire("pageshow"); // out of the back-forward cache: all of it still counts once
  await until(() => doc.syncStatus === "synchronized");
  expect([server.document("d").state, server.document("d").version]).toEqual([{ a: 1, b: 2 }, 2]);
  await doc.set("/c", 3).durable;
  expect(sent).toHaveLength(2);
});

it("a page with nothing to say is left without a word", async () => {
  const server = new FakeServer();
  const tab = new Browser(server).tab();
  tabs.push(tab);
  const doc = await tab.client.document("d");
  await doc.set("/a", 1).durable;
  server.routes.set("POST /api/v0/documents/doc-d/changes", () => Response.json({}));
  tab.window.fire("pagehide");
  expect(server.calls).toEqual([]);
});
