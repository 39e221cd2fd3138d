/** Rules 2, 4 and 6: what is applied, what is dropped, what is asked for. */

import { expect, it } from "vitest";
import { DocumentCore } from "../src/core.js";
import { conflict, kinds, logged, ME, openCore, opened, set, snapshot, update } from "./frames.js";

it("applies an update that starts where it stands", () => {
  const core = openCore(3, { a: 1 });
  const effects = core.update(update(3, [logged(4, [set("/a", 2)]), logged(5, [set("/b", 1)])]));
  expect(core.state).toEqual({ a: 2, b: 1 });
  expect(core.version).toBe(5);
  expect(kinds(effects)).toEqual(["updated"]);
});

it("does not apply what was not applied, and counts its version", () => {
  const core = openCore(0, { a: 1 });
  core.update(update(0, [logged(1, [set("/a", 2)], { verdict: "rejected" }), logged(2, [set("/a", 3)], { verdict: "conflict" }), logged(3, [], { verdict: "noop" })]));
  expect(core.state).toEqual({ a: 1 });
  expect(core.version).toBe(3);
});

it("drops an update that it has already", () => {
  const core = openCore(5, { a: 1 });
  expect(core.update(update(3, [logged(4, [set("/a", 9)]), logged(5, [set("/a", 8)])]))).toEqual([]);
  expect(core.state).toEqual({ a: 1 });
});

// shows: G03
it("asks once, with its position, when something is missing, and applies nothing", () => {
  const core = openCore(5, { a: 1 });
  expect(core.update(update(6, [logged(7, [set("/a", 9)])]))).toEqual([{ kind: "request_sync", reason: "gap", epoch: "e1", version: 5 }]);
  expect(core.update(update(7, [logged(8, [set("/a", 9)])]))).toEqual([]);
  expect(core.state).toEqual({ a: 1 });
  expect(core.isCurrent).toBe(false);
  core.update(update(5, [logged(6, []), logged(7, [set("/a", 7)]), logged(8, [])]));
  expect(core.state).toEqual({ a: 7 });
  expect(core.isCurrent).toBe(true);
});

it("an overlapping update is a gap, not a reason to apply half of it", () => {
  const core = openCore(5);
  expect(kinds(core.update(update(4, [logged(5, []), logged(6, [set("/a", 1)])])))).toEqual(["request_sync"]);
  expect(core.version).toBe(5);
});

it("asks for a snapshot when the log is another one", () => {
  const core = openCore(5, { a: 1 });
  expect(core.update(update(5, [logged(6, [set("/a", 9)])], { epoch: "e2" }))).toEqual([{ kind: "request_sync", reason: "epoch" }]);
  core.snapshot(snapshot(2, { b: 1 }, { epoch: "e2" }));
  expect([core.state, core.position]).toEqual([{ b: 1 }, { epoch: "e2", version: 2 }]);
});

it("an update before any snapshot asks for one", () => {
  const core = new DocumentCore();
  expect(kinds(core.update(update(0, [logged(1, [])])))).toEqual(["request_sync"]);
});

it("a resume without news makes it current", () => {
  const core = openCore(5);
  core.disconnected();
  core.opened(opened(), ME, 0);
  expect(core.isCurrent).toBe(false);
  core.update(update(5, []));
  expect(core.isCurrent).toBe(true);
});

it("a ping with its own head says nothing; one ahead makes it ask", () => {
  const core = openCore(5);
  expect(core.head("e1", 5)).toEqual([]);
  expect(core.head("e1", 6)).toEqual([{ kind: "request_sync", reason: "gap", epoch: "e1", version: 5 }]);
  expect(core.head("e1", 6)).toEqual([]); // under way
  expect(kinds(core.head("e1", 6))).toEqual(["request_sync"]); // unanswered for two pings
  core.snapshot(snapshot(6, {}));
  expect(core.head("e2", 1)).toEqual([{ kind: "request_sync", reason: "epoch" }]);
});

it("keeps one open conflict per path, and closes what was resolved", () => {
  const core = openCore(0, {});
  core.update(update(0, [logged(1, [], { conflicts: [conflict("c1", "/a"), conflict("c2", "/b")] })]));
  const effects = core.update(update(1, [logged(2, [], { conflicts: [conflict("c3", "/a")] })]));
  expect(kinds(effects)).toContain("conflict");
  expect(core.conflicts.map((open) => open.conflict_id)).toEqual(["c2", "c3"]);
  core.draft("n", [{ op: "resolve", conflict_id: "c2", choice: "mine" }]);
  expect(core.conflicts.map((open) => open.conflict_id)).toEqual(["c3"]);
  core.update(update(2, [logged(3, [], { resolved: ["c3"] })]));
  expect(core.conflicts).toEqual([]);
});

it("tells only of conflicts that a snapshot brings anew", () => {
  const core = openCore(0, {});
  core.snapshot(snapshot(1, {}, { conflicts: [conflict("c1", "/a")] }));
  const again = core.snapshot(snapshot(2, {}, { conflicts: [conflict("c1", "/a"), conflict("c2", "/b")] }));
  expect(again.filter((effect) => effect.kind === "conflict")).toEqual([{ kind: "conflict", conflict: conflict("c2", "/b") }]);
});
