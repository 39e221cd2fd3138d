/** Divergence, refusals and lost tails: what the core does about them. */

import { expect, it } from "vitest";
import { kinds, logged, ME, MY_NUMBER, openCore, opened, pend, set, snapshot, update } from "./frames.js";

const nack = (reason: "gap" | "rate" | "identity_reused" | "unavailable", expected_seq: number, retry_after_ms?: number) =>
  ({ type: "nack", document_id: "d", expected_seq, reason, ...(retry_after_ms !== undefined && { retry_after_ms }) }) as const;

it("checks the hash that comes with a change against the state after that change", () => {
  const core = openCore(31, { a: 1 });
  const effects = core.update(update(31, [logged(32, [set("/a", 2)], { hash: "h32" }), logged(33, [set("/a", 3)])]));
  expect(effects.find((effect) => effect.kind === "verify")).toMatchObject({ state: { a: 2 }, hash: "h32", version: 32, snapshot: false });
});

it("answers of another log are not shown on top of the new one", () => {
  const core = openCore(0, {});
  pend(core, 1, set("/a", 1));
  pend(core, 2, set("/b", 1));
  core.ack({ type: "ack", document_id: "d", epoch: "e1", seq: 1, verdicts: [{ seq: 1, version: 1, verdict: "applied" }] });
  core.snapshot(snapshot(0, {}, { epoch: "e2" }));
  expect(core.state).toEqual({ b: 1 });
});

it("a hash that differs makes it diverged and asks for a snapshot; the next one that matches heals it", () => {
  const core = openCore(32, { a: 1 });
  expect(core.verified(false, "e1", 32, false)).toEqual([{ kind: "request_sync", reason: "hash" }]);
  expect(core.diverged).toBe(true);
  core.snapshot(snapshot(32, { a: 2 }));
  core.verified(true, "e1", 32, true);
  expect([core.diverged, core.state]).toEqual([false, { a: 2 }]);
});

it("a snapshot whose own hash differs is not asked for again and again", () => {
  const core = openCore(32, { a: 1 });
  expect(core.verified(false, "e1", 32, true)).toEqual([]);
  expect(core.diverged).toBe(true);
});

it("an answer about a state that was replaced meanwhile says nothing", () => {
  const core = openCore(3, {});
  expect(core.verified(false, "e0", 3, false)).toEqual([]);
  expect(core.diverged).toBe(false);
});

it("an applied change that cannot be applied here means that this state is wrong", () => {
  const core = openCore(0, { a: "text" });
  expect(core.update(update(0, [logged(1, [{ op: "increment", path: "/a", by: 1 }])]))).toEqual([{ kind: "request_sync", reason: "hash" }]);
  expect([core.diverged, core.version, core.state]).toEqual([true, 0, { a: "text" }]);
});

it("nack gap: rewinds to what is expected, a second one not at once", () => {
  const core = openCore();
  expect(core.nack(nack("gap", 3))).toEqual([{ kind: "rewind", after: 2, delay_ms: 0 }]);
  expect(core.nack(nack("gap", 3))).toMatchObject([{ kind: "rewind", after: 2, delay_ms: expect.any(Number) }]);
});

it("nack unavailable and rate: the same changes again after the time given", () => {
  const core = openCore();
  expect(core.nack(nack("unavailable", 2, 700))).toEqual([{ kind: "rewind", after: 1, delay_ms: 700 }]);
  expect(core.nack(nack("rate", 2, 300))).toEqual([{ kind: "rewind", after: 1, delay_ms: 300 }]);
});

it("nack identity_reused: another identity", () => {
  expect(openCore().nack(nack("identity_reused", 1))).toEqual([{ kind: "renew_identity" }]);
});

it("nothing is concluded from a refusal: another tab may have filled the gap meanwhile", () => {
  const core = openCore();
  pend(core, 5, set("/a", 1));
  expect(core.nack(nack("gap", 4))).toEqual([{ kind: "rewind", after: 3, delay_ms: 0 }]);
  core.disconnected();
  expect(core.opened(opened(4), ME, 4)).toEqual([]);
  expect(kinds(core.nack(nack("gap", 4)))).toEqual(["rewind"]);
});

it("a server that has lost what it acknowledged: another identity", () => {
  const core = openCore();
  core.disconnected();
  expect(core.opened(opened(3), ME, 4)).toEqual([{ kind: "renew_identity" }]);
  expect(core.opened(opened(4), ME, 4)).toEqual([]);
});

it("a snapshot of another log ends what was answered by the former one", () => {
  const core = openCore();
  const nonce = pend(core, 1, set("/a", 1));
  core.ack({ type: "ack", document_id: "d", epoch: "e1", seq: 1, verdicts: [{ seq: 1, version: 99, verdict: "applied" }] });
  const effects = core.snapshot(snapshot(0, {}, { epoch: "e2" }));
  expect(effects.filter(({ kind }) => kind === "settled")).toMatchObject([{ nonce, verdict: { verdict: "applied" } }]);
  expect(core.pending).toEqual([]);
});

it("a change of a copied outbox under the same number is not taken for the own one", () => {
  const core = openCore();
  pend(core, 1, set("/a", 1));
  const effects = core.update(update(0, [logged(1, [set("/a", 2)], { device_no: MY_NUMBER, seq: 1 })]));
  expect(kinds(effects)).not.toContain("settled");
  expect(core.pending).toHaveLength(1);
});
