/** Rule 3: the view is the confirmed state with the pending changes on top. */

import { expect, it } from "vitest";
import { DocumentCore } from "../src/core.js";
import { kinds, logged, ME, MY_NUMBER, openCore, opened, pend, set, snapshot, update } from "./frames.js";

const mine = { device_no: MY_NUMBER };

it("replays pending changes on what others did", () => {
  const core = openCore(0, { n: 1 });
  pend(core, 1, { op: "increment", path: "/n", by: 10 });
  core.update(update(0, [logged(1, [{ op: "increment", path: "/n", by: 1 }])]));
  expect(core.confirmed).toEqual({ n: 2 });
  expect(core.state).toEqual({ n: 12 });
});

it("an echo replaces the pending change without counting it twice", () => {
  const core = openCore(0, {});
  const nonce = pend(core, 1, { op: "increment", path: "/n", by: 1 });
  const effects = core.update(update(0, [logged(1, [{ op: "increment", path: "/n", by: 1 }], { ...mine, seq: 1 })]));
  expect(core.state).toEqual({ n: 1 });
  expect(core.pending).toEqual([]);
  expect(effects.find((effect) => effect.kind === "settled")).toMatchObject({ nonce, verdict: { seq: 1, version: 1, verdict: "applied" } });
});

it("somebody else's seq is not an echo", () => {
  const core = openCore(0, {});
  pend(core, 1, { op: "increment", path: "/n", by: 1 });
  core.update(update(0, [logged(1, [{ op: "increment", path: "/n", by: 1 }], { device_no: 2, seq: 1 })]));
  expect(core.state).toEqual({ n: 2 });
  expect(core.pending).toHaveLength(1);
});

it("an ack before its echo does not take the change out of the view", () => {
  const core = openCore(0, {});
  pend(core, 1, set("/a", 1));
  const early = core.ack({ type: "ack", document_id: "d", epoch: "e1", seq: 1, verdicts: [{ seq: 1, version: 1, verdict: "applied" }] });
  expect(kinds(early)).toEqual(["acknowledged"]); // the promise waits until `confirmed` shows it
  expect([core.state, core.confirmed, core.unanswered]).toEqual([{ a: 1 }, {}, []]);
  const late = core.update(update(0, [logged(1, [set("/a", 1)], { ...mine, seq: 1 })]));
  expect(kinds(late).filter((kind) => kind === "settled")).toHaveLength(1);
  expect(core.pending).toEqual([]);
});

it("an ack is cumulative", () => {
  const core = openCore(0, {});
  pend(core, 1, set("/a", 1));
  pend(core, 2, set("/b", 1));
  core.ack({ type: "ack", document_id: "d", epoch: "e1", seq: 2, verdicts: [{ seq: 2, version: 2, verdict: "applied" }] });
  expect(core.unanswered).toEqual([]);
});

it("a snapshot drops what it covers and keeps the rest", () => {
  const core = openCore(0, {});
  const first = pend(core, 1, { op: "increment", path: "/n", by: 1 });
  pend(core, 2, { op: "increment", path: "/n", by: 1 });
  const effects = core.snapshot(snapshot(9, { n: 1 }, { last_seq: 1 }));
  expect(core.state).toEqual({ n: 2 });
  expect(core.pending.map((change) => change.seq)).toEqual([2]);
  expect(effects.filter((effect) => effect.kind === "settled")).toMatchObject([{ nonce: first, verdict: { verdict: "known" } }]);
});

it("a change that faults in replay is skipped, kept, and shown again when it fits", () => {
  const core = openCore(0, { list: [] });
  pend(core, 1, { op: "append", path: "/list", item: { id: "x" } });
  core.update(update(0, [logged(1, [set("/list", "text")])]));
  expect(core.state).toEqual({ list: "text" });
  expect([core.skipped, core.pending.length]).toEqual([["n1"], 1]);
  core.update(update(1, [logged(2, [set("/list", [])])]));
  expect(core.state).toEqual({ list: [{ id: "x" }] });
});

it("a change of an older generation leaves the view, the server decides", () => {
  const core = openCore(0, { a: 1 });
  pend(core, 1, set("/a", 2));
  core.update(update(0, [logged(1, [{ op: "replace", value: { a: 0 } }], { generation: 1 })], { generation: 1 }));
  expect(core.state).toEqual({ a: 0 });
  expect(core.pending).toHaveLength(1);
});

it("keeps the order of one device, drafts last", () => {
  const core = openCore(0, {});
  core.draft("draft", [set("/a", "draft")]);
  pend(core, 2, set("/a", "second"));
  core.stored({ nonce: "other-tab", device_id: ME, seq: 1, base_version: 0, generation: 0, operations: [set("/a", "first")] });
  expect(core.pending.map((change) => change.nonce)).toEqual(["other-tab", "n2", "draft"]);
  expect(core.state).toEqual({ a: "draft" });
});

it("a change that came back before it was known to be stored is settled", () => {
  const core = openCore(0, {});
  const draft = core.draft("n1", [set("/a", 1)]);
  core.update(update(0, [logged(1, [set("/a", 1)], { ...mine, seq: 1 })])); // another tab read it from the outbox and sent it
  expect(core.pending).toHaveLength(1);
  expect(core.stored({ ...draft, device_id: ME, seq: 1 })).toMatchObject([{ kind: "settled", nonce: "n1" }]);
  expect(core.pending).toEqual([]);
});

it("starts from what was kept, without what that covers", () => {
  const core = openCore(0, {});
  pend(core, 1, set("/a", 1));
  core.update(update(0, [logged(1, [set("/a", 1)], { ...mine, seq: 1 })]));
  const kept = structuredClone(core.kept());
  if (!kept) throw new Error("nothing was kept");

  const again = new DocumentCore();
  again.restore(kept);
  again.stored({ nonce: "n1", device_id: ME, seq: 1, base_version: 0, generation: 0, operations: [set("/a", "stale")] });
  again.stored({ nonce: "n2", device_id: ME, seq: 2, base_version: 1, generation: 0, operations: [set("/b", 2)] });
  expect(again.state).toEqual({ a: 1, b: 2 });
  expect(again.position).toEqual({ epoch: "e1", version: 1 });
  expect(again.isCurrent).toBe(false);
  again.opened(opened(1), ME, 0);
  again.update(update(1, []));
  expect(again.pending.map((change) => change.seq)).toEqual([2]);
});

it("a name that belongs to another document now shows nothing of the old one, and keeps what was not sent", () => {
  const core = openCore(3, { secret: 1 });
  pend(core, 1, set("/b", 2));
  core.opened(opened(0, { document_id: "d2" }), ME, 0);
  expect(core.position).toBeNull();
  core.snapshot(snapshot(0, {}, { document_id: "d2", epoch: "e9" }));
  expect(core.state).toEqual({ b: 2 });
});
