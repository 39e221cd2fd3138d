import { describe, expect, it } from "vitest";
import { complete, completed, parse, type Qualifier, toggled, written } from "../src/search";
import { below, one, random } from "./random";

const QUALIFIERS: readonly Qualifier[] = [
  { name: "user", hint: "" }, { name: "state", hint: "", values: ["live", "online", "offline"] }, { name: "age", hint: "", isDuration: true }, { name: "device", hint: "" },
];
const KNOWN: Readonly<Record<string, readonly string[]>> = { user: ["ada", "grace", "dan"], device: ["Firefox on Linux"] };
const values = (qualifier: string): readonly string[] => KNOWN[qualifier] ?? [];
const offered = (text: string, caret = text.length): readonly string[] => complete(text, caret, QUALIFIERS, values).suggestions.map(({ text: suggestion }) => suggestion);

describe("what was typed", () => {
  it("is terms of qualifiers and words", () => {
    expect(parse('user:ada state:online,offline age:>5m 0198f "two words"', QUALIFIERS)).toEqual({
      terms: [
        { qualifier: "user", value: "ada" }, { qualifier: "state", value: "online,offline" }, { qualifier: "age", value: ">5m" }, { qualifier: "", value: "0198f" }, { qualifier: "", value: "two words" },
      ], problems: [],
    });
  });

  it("keeps a blank within quotes, also where the quote is not closed yet", () => {
    expect(parse('device:"Firefox on Linux" user:ada', QUALIFIERS).terms[0]).toEqual({ qualifier: "device", value: "Firefox on Linux" });
    expect(parse('device:"Firefox on', QUALIFIERS).terms).toEqual([{ qualifier: "device", value: "Firefox on" }]);
  });

  it.each([
    ["state:away", 'state: there is no "away"; it is one of live, online, offline.'],
    ["state:online,", 'state: there is no ""; it is one of live, online, offline.'],
    ["age:5m", "age: takes a duration such as >5m or <2h."],
    ["age:>5y", "age: takes a duration such as >5m or <2h."],
    ["user:", "user: has no value yet."],
  ])("%s is named as a problem and left out", (text, problem) => {
    expect(parse(`${text} user:ada`, QUALIFIERS)).toEqual({ terms: [{ qualifier: "user", value: "ada" }], problems: [problem] });
  });

  it("takes what only looks like a qualifier as a word", () => {
    expect(parse("http://x constructor:y :z", QUALIFIERS).terms.map(({ qualifier, value }) => [qualifier, value])).toEqual([["", "http://x"], ["", "constructor:y"], ["", ":z"]]);
  });

  it("means the same after it was written anew, whatever it was", () => {
    const next = random(20_261_127);
    const signs = ["user:", "state:", "age:", "online", "ada", '"', " ", "  ", "\t", ":", ",", ">5m", "ü", "<", "-", "\\"];
    for (let round = 0; round < 500; round += 1) {
      const text = Array.from({ length: below(next, 12) }, () => one(next, signs)).join("");
      const first = parse(text, QUALIFIERS);
      const again = parse(written(first), QUALIFIERS);
      if (first.terms.some(({ qualifier, value }) => !qualifier && value.includes(":"))) continue; // `"user:"ada` is a word that looks like a term without its quotes
      expect(again.terms, JSON.stringify(text)).toEqual(first.terms);
      expect(again.problems).toEqual([]);
    }
  });
});

describe("completion", () => {
  it("offers qualifiers by their beginning, all of them on nothing", () => {
    expect(offered("us")).toEqual(["user:"]);
    expect(offered("user:ada ")).toEqual(["user:", "state:", "age:", "device:"]);
    expect(offered("zzz")).toEqual([]);
  });

  it("offers values that are known, those that begin so first", () => {
    expect(offered("user:a")).toEqual(["user:ada ", "user:dan ", "user:grace "]);
    expect(offered("user:ada")).toEqual([]);
    expect(offered("device:linux")).toEqual(['device:"Firefox on Linux" ']);
    expect(offered("age:")).toEqual(["age:>5m ", "age:>1h ", "age:>1d ", "age:<5m ", "age:<1h "]);
  });

  it("goes on after a comma with what is not there yet", () => {
    expect(offered("state:online,")).toEqual(["state:online,live ", "state:online,offline "]);
  });

  it("replaces the part at the caret and nothing else", () => {
    const text = "us state:online";
    const completion = complete(text, 2, QUALIFIERS, values);
    expect(completed(text, completion, completion.suggestions[0]!)).toEqual({ text: "user:state:online", caret: 5 });
    const other = complete("user:a state:online", 6, QUALIFIERS, values);
    expect(completed("user:a state:online", other, other.suggestions[0]!)).toEqual({ text: "user:ada state:online", caret: 9 });
  });
});

it("puts a term in, and takes it out again", () => {
  expect(toggled("", "user", "demo:ada")).toBe('user:"demo:ada"');
  expect(toggled("", "state", "online")).toBe("state:online");
  expect(toggled("user:ada", "device", "Firefox on Linux")).toBe('user:ada device:"Firefox on Linux"');
  expect(toggled('user:ada device:"Firefox on Linux"', "device", "Firefox on Linux")).toBe("user:ada");
});
