/** Frames for a document named `d`, as short as a test wants them. */

import { DocumentCore } from "../src/core.js";
import type { Conflict, InitialState, Logged, Opened, StateUpdate } from "../src/frames.js";
import type { Operation } from "../src/operations.js";
import type { JsonObject } from "../src/values.js";

export const ME = "me";
export const MY_NUMBER = 1;
export const set = (path: string, value: JsonObject[string]): Operation => ({ op: "set", path, value });

export const opened = (last_seq = 0, over: Partial<Opened> = {}): Opened =>
  ({ document_id: "d", name: "d", device_no: MY_NUMBER, last_seq, epoch: "e1", version: 0, ...over });

export const snapshot = (version: number, state: JsonObject, over: Partial<InitialState> = {}): InitialState => ({
  type: "initial_state", document_id: "d", name: "d", epoch: "e1", version, generation: 0, timestamp: "", state, hash: "", last_seq: 0, conflicts: [], ...over,
});

export const logged = (version: number, operations: Operation[], over: Partial<Logged> = {}): Logged =>
  ({ version, generation: 0, device_no: 2, seq: version, operations, verdict: "applied", at: "", ...over });

export const update = (from: number, changes: Logged[], over: Partial<StateUpdate> = {}): StateUpdate =>
  ({ type: "state_update", document_id: "d", epoch: "e1", generation: 0, from, to: from + changes.length, timestamp: "", changes, ...over });

export const conflict = (conflict_id: string, path: string): Conflict =>
  ({ conflict_id, path, reason: "concurrent", winner_device_no: 2, loser_device_no: 1, version: 1, opened_at: "" });

/** A core that is open and stands at `version`. */
export function openCore(version = 0, state: JsonObject = {}, lastSeq = 0): DocumentCore {
  const core = new DocumentCore();
  core.opened(opened(lastSeq), ME, 0);
  core.snapshot(snapshot(version, state, { last_seq: lastSeq }));
  return core;
}

/** A change of this device as it stands in the outbox. */
export function pend(core: DocumentCore, seq: number, ...operations: Operation[]): string {
  const nonce = `n${seq}`;
  core.stored({ ...core.draft(nonce, operations), device_id: ME, seq });
  return nonce;
}

export const kinds = (effects: readonly { kind: string }[]): string[] => effects.map(({ kind }) => kind);
