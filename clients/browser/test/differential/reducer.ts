/**
 * The browser's reducer as a program: sequences come as lines of JSON, and what became of each change goes out, a line for a sequence.
 * `tests/differential` bundles it, runs it, and holds it against the server's reducer.
 */

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { canonical } from "../../src/canonical.js";
import { SessileError } from "../../src/errors.js";
import { applyOperations, checkedOperations, type Operation, OperationFault } from "../../src/operations.js";
import type { Json, JsonObject } from "../../src/values.js";

interface Sequence {
  readonly state: JsonObject;
  readonly changes: readonly (readonly Operation[])[];
}

/** Hash of the operations as they would be sent (null: refused), hash of the state after them, fault, notices. */
type Result = [operations: string | null, state: string, fault: string | null, notices: number];

const hash = (value: Json): string => createHash("sha256").update(canonical(value)).digest("hex").slice(0, 16);

function checked(operations: readonly Operation[]): Operation[] | null {
  try {
    return checkedOperations(operations);
  } catch (error) {
    if (error instanceof SessileError) return null;
    throw error;
  }
}

function results({ state, changes }: Sequence): Result[] {
  let now = state;
  let nowHash = hash(now);
  return changes.map((raw): Result => {
    const operations = checked(raw);
    if (operations === null) return [null, nowHash, null, 0];
    const sent = hash(operations as unknown as Json);
    try {
      const { state: next, notices } = applyOperations(now, operations);
      if (next !== now) nowHash = hash((now = next));
      return [sent, nowHash, null, notices.length];
    } catch (error) {
      return [sent, nowHash, error instanceof OperationFault ? error.code : String(error), 0]; // anything else is a difference, too
    }
  });
}

for await (const line of createInterface({ input: process.stdin })) process.stdout.write(`${JSON.stringify(results(JSON.parse(line) as Sequence))}\n`);
