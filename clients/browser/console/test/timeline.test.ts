import { expect, it } from "vitest";
import { bars, type Entry, merged } from "../src/timeline";

const entry = (id: string, second: number): Entry => ({ id, at: `2026-11-27T12:00:${String(second).padStart(2, "0")}.000Z`, type: "audit", name: "x", text: "", data: {} });
const at = (second: number): number => Date.parse(entry("", second).at);

it("merges pages, newest first, each entry once", () => {
  expect(merged([entry("c", 3), entry("b", 2)], [entry("b", 2), entry("a", 1)]).map(({ id }) => id)).toEqual(["c", "b", "a"]);
  expect(merged([entry("new", 1)], [entry("old", 1)]).map(({ id }) => id)).toEqual(["new", "old"]);
});

it("draws spans between two moments, an open one up to the end", () => {
  const spans = [{ from: entry("", 10).at, to: entry("", 20).at, state: "connected" }, { from: entry("", 20).at, to: null, state: "away" }];
  expect(bars(spans, at(0), at(40)).map(({ left, width, isOpen }) => [left, width, isOpen])).toEqual([[0.25, 0.25, false], [0.5, 0.5, true]]);
});

it("cuts what reaches over the edges, leaves out what is outside, and never draws outside", () => {
  const spans = [[0, 15], [18, 18], [35, 50], [55, 58]].map(([from, to]) => ({ from: entry("", from!).at, to: entry("", to!).at, state: "connected" }));
  const drawn = bars(spans, at(10), at(40));
  expect(drawn.map(({ from }) => from)).toEqual([at(0), at(18), at(35)]);
  for (const { left, width } of drawn) {
    expect(left).toBeGreaterThanOrEqual(0);
    expect(left + width).toBeLessThanOrEqual(1 + 1e-9);
    expect(width).toBeGreaterThan(0);
  }
});

it("leaves out a span whose times cannot be read", () => {
  expect(bars([{ from: "soon", to: null, state: "away" }], 0, 1)).toEqual([]);
});
