import { expect, it } from "vitest";
import { differences, type Json, summary } from "../src/difference";

const paths = (before: Json, after: Json): readonly string[] => differences(before, after).map(({ path }) => path);

it("names each path that differs, as a JSON pointer", () => {
  expect(differences({ a: 1, b: { c: [1, 2] }, "x/y~z": 1 }, { a: 1, b: { c: [1, 3] }, "x/y~z": 2, d: null })).toEqual([
    { path: "/b/c/1", before: 2, after: 3 }, { path: "/x~1y~0z", before: 1, after: 2 }, { path: "/d", before: undefined, after: null },
  ]);
});

it("finds entries of a list by their id, so that one that is gone is one difference", () => {
  expect(paths([{ id: "a", n: 1 }, { id: "b", n: 2 }], [{ id: "b", n: 2 }])).toEqual(["/a"]);
  expect(paths([{ id: "a" }, { id: "a" }], [{ id: "a" }])).toEqual(["/1"]);
});

it("takes the whole where the kinds differ, and nothing where nothing differs", () => {
  expect(paths({ a: [] }, { a: {} })).toEqual(["/a"]);
  expect(paths(1, "1")).toEqual([""]);
  expect(paths({ a: [1, { b: null }] }, { a: [1, { b: null }] })).toEqual([]);
});

it("stops at 2,000", () => {
  expect(differences(Array.from({ length: 5000 }, () => 0), Array.from({ length: 5000 }, () => 1)).length).toBe(2000);
});

it("says a value in one line", () => {
  expect([undefined, null, "a\n<b>", [], [1], {}, { a: 1 }].map((value) => summary(value as Json | undefined))).toEqual(["nothing", "null", '"a\\n<b>"', "[]", "list of 1", "{}", "object with 1 key"]);
});
