import { describe, expect, it } from "vitest";
import canonicalVectors from "../../../protocol/vectors/canonical.json" with { type: "json" };
import operationVectors from "../../../protocol/vectors/operations.json" with { type: "json" };
import { canonical, stateHash } from "../src/canonical.js";
import { applyOperations, checkedOperations, type Operation, OperationFault } from "../src/operations.js";
import type { Json, JsonObject } from "../src/values.js";

interface Case {
  name: string;
  state: JsonObject;
  operations: Operation[];
  expected?: JsonObject;
  fault?: string;
  notices?: string[];
}

/** Every object and list in it throws when it is written to. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

describe("the reducer follows protocol/vectors/operations.json", () => {
  const cases = operationVectors.cases as unknown as Case[];

  it("has enough of them", () => expect(cases.length).toBeGreaterThan(80));

  it.each(cases.map((each) => [each.name, each] as const))("%s", (_name, each) => {
    const operations = frozen(checkedOperations(each.operations));
    const before = JSON.stringify(each.state);
    const run = () => applyOperations(frozen(each.state), operations);
    if (each.fault !== undefined) {
      expect(run).toThrow(OperationFault);
      expect(run).toThrow(expect.objectContaining({ code: each.fault }));
    } else {
      const applied = run();
      expect(canonical(applied.state)).toBe(canonical(each.expected as Json));
      if (each.notices) expect(applied.notices).toEqual(each.notices);
      if (canonical(applied.state) === canonical(each.state)) expect(applied.state).toBe(each.state);
    }
    expect(JSON.stringify(each.state)).toBe(before);
  });
});

describe("canonical JSON follows protocol/vectors/canonical.json", () => {
  const cases = canonicalVectors.cases as unknown as { value: Json; canonical: string; hash: string }[];

  it("has enough of them", () => expect(cases.length).toBeGreaterThan(25));

  it.each(cases.map((each) => [each.canonical, each] as const))("%s", async (_text, each) => {
    expect(canonical(each.value)).toBe(each.canonical);
    expect(await stateHash(each.value, crypto.subtle)).toBe(each.hash);
  });

  it("makes no hash where the browser cannot", async () => {
    expect(await stateHash({}, undefined)).toBeNull();
  });
});
