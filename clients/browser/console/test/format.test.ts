import { describe, expect, it } from "vitest";
import { absolute, bytes, clock, duration, MISSING, milliseconds, moment, number, plural, relative, shortId } from "../src/format";

const NOON = Date.UTC(2026, 10, 27, 12, 0, 5, 120);

describe("times", () => {
  it.each([[0, "0 s"], [59.9, "59 s"], [60, "1 min"], [3599, "59 min"], [3600, "1 h"], [86_399, "23 h"], [86_400, "1 d"], [40 * 86_400, "1 mo"], [800 * 86_400, "2 y"], [-5, "0 s"]])("%d seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it("say how long ago, or when", () => {
    expect(relative(NOON - 12_000, NOON)).toBe("12 s ago");
    expect(relative(NOON - 500, NOON)).toBe("now");
    expect(relative(NOON + 300_000, NOON)).toBe("in 5 min");
  });

  it("are exact in UTC", () => {
    expect(absolute(NOON)).toBe("2026-11-27 12:00:05.120 UTC");
    expect(clock(NOON)).toBe("12:00:05");
    expect(moment("2026-11-27T12:00:05.120Z")).toBe(NOON);
  });

  it("that are none are a dash, and never NaN", () => {
    for (const none of [null, undefined, NaN, Infinity]) expect([duration(none), relative(none, NOON), absolute(none), number(none), bytes(none), milliseconds(none)]).toEqual(Array(6).fill(MISSING));
    expect(absolute(1e20)).toBe(MISSING);
    expect(moment("soon")).toBeNull();
  });
});

describe("numbers", () => {
  it.each([[0, "0"], [999, "999"], [1000, "1,000"], [1_234_567, "1,234,567"], [1.25, "1.3"], [203.4, "203"], [-1234, "-1,234"], [0.04, "0.0"]])("%d is %s", (value, text) => expect(number(value)).toBe(text));
  it("have units", () => {
    expect([bytes(0), bytes(999), bytes(1500), bytes(2_000_000)]).toEqual(["0 B", "999 B", "1.5 kB", "2 MB"]);
    expect([milliseconds(3.14), milliseconds(1500)]).toEqual(["3.1 ms", "1.5 s"]);
    expect([plural(1, "session"), plural(0, "session"), plural(2000, "session"), plural(2, "entry", "entries")]).toEqual(["1 session", "0 sessions", "2,000 sessions", "2 entries"]);
  });
});

it("shortens a long id to its beginning and end", () => {
  expect(shortId("0198f0c2-7a10-7c3e-9a60-1b2c3d4e5f60")).toBe("0198f0c2…5f60");
  expect(shortId("n-1f3a")).toBe("n-1f3a");
});
