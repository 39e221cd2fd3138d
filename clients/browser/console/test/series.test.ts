import { expect, it } from "vitest";
import { columns, extended, type History } from "../src/series";
import { below, random } from "./random";

const history = (at_s: number[], online: (number | null)[]): History => ({ window: "5m", step_s: 5, at_s, series: { online } });

it("puts a point behind the others, once", () => {
  const after = extended(history([100, 105], [1, 2]), { at_s: 110, online: 3 });
  expect([after.at_s, after.series["online"]]).toEqual([[100, 105, 110], [1, 2, 3]]);
  expect(extended(after, { at_s: 110, online: 9 })).toBe(after);
});

it("leaves a gap where points are missing, and none for one that came late", () => {
  expect(extended(history([100], [1]), { at_s: 125, online: 3 }).series["online"]).toEqual([1, null, 3]);
  expect(extended(history([100], [1]), { at_s: 108, online: 3 }).series["online"]).toEqual([1, 3]);
});

it("begins a series that it has not seen yet with nothing", () => {
  expect(extended(history([100, 105], [1, 2]), { at_s: 110, online: 3, lag: 7 }).series["lag"]).toEqual([null, null, 7]);
  expect(columns(history([100, 105], [1, 2]), ["online", "none"])).toEqual([[100, 105], [1, 2], [null, null]]);
});

it("never grows beyond its window, keeps the order, and all series as long as the times", () => {
  const next = random(11);
  let kept = history([], []);
  let at_s = 1_790_000_000;
  for (let round = 0; round < 150; round += 1) {
    at_s += next() < 0.05 ? below(next, 600) : 5;
    kept = extended(kept, { at_s, online: next() < 0.1 ? null : round, ...(next() < 0.5 && { lag: round }) });
    expect(kept.at_s.at(-1)! - kept.at_s[0]!).toBeLessThanOrEqual(300);
    expect(kept.at_s.every((at, index) => index === 0 || at > kept.at_s[index - 1]!)).toBe(true);
    for (const values of Object.values(kept.series)) expect(values.length).toBe(kept.at_s.length);
  }
});
