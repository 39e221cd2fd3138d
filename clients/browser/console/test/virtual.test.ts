import { describe, expect, it } from "vitest";
import { OVERSCAN, scrolledTo, windowOf } from "../src/virtual";
import { below, random } from "./random";

describe("the rows that are drawn", () => {
  it("are none of none", () => {
    expect(windowOf(0, { scrollTop: 0, height: 600, rowHeight: 40 })).toEqual({ from: 0, to: 0, before: 0, after: 0 });
  });

  it("cover what can be seen, have the height of all, and are few, wherever somebody scrolled to", () => {
    const next = random(3);
    for (let round = 0; round < 300; round += 1) {
      const [count, rowHeight, height] = [1 + below(next, 10_000), 20 + below(next, 60), below(next, 1500)];
      const scrollTop = Math.min(next() * count * rowHeight, Math.max(0, count * rowHeight - height));
      const { from, to, before, after } = windowOf(count, { scrollTop, height, rowHeight });
      expect(before + (to - from) * rowHeight + after).toBe(count * rowHeight);
      expect(from * rowHeight).toBeLessThanOrEqual(scrollTop);
      expect(to === count || to * rowHeight >= scrollTop + height).toBe(true);
      expect(to - from).toBeLessThanOrEqual(height / rowHeight + 3 + 2 * OVERSCAN);
    }
  });

  it("are the last ones where rows have gone and the position is beyond the end", () => {
    expect(windowOf(5, { scrollTop: 100_000, height: 200, rowHeight: 40 })).toEqual({ from: 0, to: 5, before: 0, after: 0 });
    expect(windowOf(1000, { scrollTop: 1e9, height: 200, rowHeight: 40 }).to).toBe(1000);
  });

  it("does not mind a position below zero, where a finger pulls the page", () => {
    expect(windowOf(100, { scrollTop: -80, height: 200, rowHeight: 40 }).from).toBe(0);
  });
});

describe("the way to a row", () => {
  const viewport = { scrollTop: 400, height: 400, rowHeight: 40 };
  it("is none when it is seen", () => expect(scrolledTo(12, viewport, 40)).toBe(400));
  it("is up to it, or down to it, below the head", () => {
    expect(scrolledTo(3, viewport, 40)).toBe(120);
    expect(scrolledTo(30, viewport, 40)).toBe(30 * 40 + 40 + 40 - 400);
  });
});
