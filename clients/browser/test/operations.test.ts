/** What a page may make: everything the server would refuse to read is refused before it is queued. */

import { describe, expect, it } from "vitest";
import { applyOperations, checkedOperations, type Operation } from "../src/operations.js";
import { formatPointer, parsePointer } from "../src/pointer.js";
import type { JsonObject } from "../src/values.js";

const nested = (levels: number): unknown => (levels === 0 ? {} : { k: nested(levels - 1) });

describe("is refused", () => {
  it.each([
    ["no operation", []],
    ["too many", Array.from({ length: 201 }, () => ({ op: "remove", path: "/a" }))],
    ["an unknown operation", [{ op: "toString", path: "/a" }]],
    ["a restore", [{ op: "replace", value: {} }]],
    ["a path without a slash", [{ op: "remove", path: "a" }]],
    ["a bad escape", [{ op: "remove", path: "/a~2" }]],
    ["no path", [{ op: "remove" }]],
    ["a path that is too deep", [{ op: "set", path: "/k".repeat(33), value: 1 }]],
    ["__proto__ in a path", [{ op: "set", path: "/__proto__/x", value: 1 }]],
    ["__proto__ in a value", [{ op: "set", path: "/a", value: JSON.parse('{"__proto__":{"x":1}}') }]],
    ["a key over 256 bytes", [{ op: "set", path: `/${"ü".repeat(129)}`, value: 1 }]],
    ["a value over 64 KiB", [{ op: "set", path: "/a", value: "x".repeat(65_536) }]],
    ["a value that is too deep", [{ op: "set", path: "", value: nested(32) }]],
    ["undefined", [{ op: "set", path: "/a", value: undefined }]],
    ["NaN", [{ op: "set", path: "/a", value: Number.NaN }]],
    ["a number beyond 2^53-1", [{ op: "set", path: "/a", value: 2 ** 53 }]],
    ["a lone surrogate", [{ op: "set", path: "/a", value: "\ud800" }]],
    ["a date", [{ op: "set", path: "/a", value: new Date(0) }]],
    ["a bigint", [{ op: "set", path: "/a", value: 1n }]],
    ["a function", [{ op: "set", path: "/a", value: () => 1 }]],
    ["a whole state that is no object", [{ op: "set", path: "", value: [] }]],
    ["a merge of no object", [{ op: "merge", path: "/a", value: 1 }]],
    ["an increment by text", [{ op: "increment", path: "/a", by: "1" }]],
    ["a max of text", [{ op: "max", path: "/a", value: "1" }]],
    ["an item without an id", [{ op: "append", path: "/a", item: {} }]],
    ["an item id that is a fraction", [{ op: "append", path: "/a", item: { id: 1.5 } }]],
    ["an insert that says not where", [{ op: "insert", path: "/a", item: { id: 1 } }]],
    ["a move of nothing", [{ op: "move", path: "/a", after: null }]],
    ["a removal without an id", [{ op: "remove_item", path: "/a", id: null }]],
    ["a test of nothing", [{ op: "test", path: "/a" }]],
    ["a test without a path", [{ op: "test", equals: 1 }]],
    ["a resolve without a choice", [{ op: "resolve", conflict_id: "c", choice: "both" }]],
    ["a resolve by a value without one", [{ op: "resolve", conflict_id: "c", choice: "value" }]],
  ])("%s", (_name, operations) => {
    expect(() => checkedOperations(operations as Operation[])).toThrow(expect.objectContaining({ name: "SessileError", code: "invalid_change" }));
  });
});

it("takes what is just within the bounds", () => {
  const operations = [
    { op: "set", path: "", value: nested(31) }, { op: "set", path: "/k".repeat(32), value: 1 }, { op: "set", path: "/n", value: 2 ** 53 - 1 },
    { op: "set", path: `/${"ü".repeat(128)}`, value: null }, { op: "test", version_at_most: 3 }, { op: "test", path: "", exists: true }, { op: "resolve", conflict_id: "c", choice: "value", value: null },
  ] as Operation[];
  expect(checkedOperations(operations)).toEqual(operations);
});

it("takes a copy, so that a page may go on with its object; undefined members are left out as JSON does, -0 is 0", () => {
  const value = { list: [1], gone: undefined, zero: -0 };
  const [copy] = checkedOperations([{ op: "set", path: "/a", value: value as never }]);
  value.list.push(2);
  expect(copy).toEqual({ op: "set", path: "/a", value: { list: [1], zero: 0 } });
  expect(Object.is((copy as unknown as { value: { zero: number } }).value.zero, 0)).toBe(true);
});

it("shares what did not change", () => {
  const state: JsonObject = { a: { x: 1 }, b: { y: { z: 1 } }, list: [{ id: 1 }, { id: 2 }] };
  const { state: next } = applyOperations(state, [{ op: "set", path: "/b/y/z", value: 2 }]);
  expect(next["a"]).toBe(state["a"]);
  expect(next["list"]).toBe(state["list"]);
  expect(next["b"]).not.toBe(state["b"]);
  expect(applyOperations(state, [{ op: "set", path: "/b/y/z", value: 1 }]).state).toBe(state);
});

it("leaves preconditions and resolutions to the server, and takes over a restored state", () => {
  const state: JsonObject = { a: 1 };
  expect(applyOperations(state, [{ op: "test", path: "/a", equals: 2 }, { op: "resolve", conflict_id: "c", choice: "mine" }]).state).toBe(state);
  expect(applyOperations(state, [{ op: "replace", value: { b: 1 } }]).state).toEqual({ b: 1 });
});

it("pointers go there and back", () => {
  for (const keys of [[], [""], ["a/b", "c~d", "~1", "~0"], ["", "", "é"]]) expect(parsePointer(formatPointer(keys))).toEqual(keys);
});
