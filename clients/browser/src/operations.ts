/**
 * The reducer of protocol/README.md, "Operations". It never changes a state: it builds a new one that shares what did not
 * change, and gives back the very same object when nothing did. `protocol/vectors/operations.json` holds it to the server's.
 */

import { SessileError } from "./errors.js";
import { formatPointer, parsePointer } from "./pointer.js";
import { checkedValue, DEPTH_MAX, isList, isObject, type Json, type JsonObject, NUMBER_MAX, sameValue, utf8Bytes } from "./values.js";

export type ItemId = string | number;
export type Item = { readonly id: ItemId; readonly [key: string]: Json };

export type Operation =
  | { op: "set"; path: string; value: Json }
  | { op: "remove"; path: string }
  | { op: "merge"; path: string; value: JsonObject }
  | { op: "increment"; path: string; by: number }
  | { op: "max" | "min"; path: string; value: number }
  | { op: "append"; path: string; item: Item }
  | { op: "insert"; path: string; item: Item; after: ItemId | null }
  | { op: "move"; path: string; id: ItemId; after: ItemId | null }
  | { op: "remove_item"; path: string; id: ItemId }
  | { op: "test"; path?: string; equals?: Json; exists?: boolean; version_at_most?: number }
  | { op: "resolve"; conflict_id: string; choice: "mine" | "theirs" | "value"; value?: Json }
  | { op: "replace"; value: JsonObject };

export type FaultCode =
  | "not_an_object" | "not_a_number" | "not_a_list" | "path_in_list" | "number_out_of_range" | "too_deep";

/** An operation that does not fit the state: the verdict will be `rejected` and the state stays as it was. */
export class OperationFault extends Error {
  constructor(readonly code: FaultCode, readonly path: string) {
    super(`${code} at ${path || "the whole state"}`);
    this.name = "OperationFault";
  }
}

export interface Applied {
  readonly state: JsonObject;
  readonly notices: readonly string[];
}

const OPERATIONS_MAX = 200;
const CHANGE_BYTES_MAX = 64 * 1024;

/** `state` after all of `operations`. Throws `OperationFault` and then nothing has happened: a change is atomic. */
export function applyOperations(state: JsonObject, operations: readonly Operation[]): Applied {
  const notices: string[] = [];
  let next = state;
  for (const operation of operations) next = step(next, operation, notices);
  return { state: next, notices };
}

function step(state: JsonObject, operation: Operation, notices: string[]): JsonObject {
  if (operation.op === "test" || operation.op === "resolve") return state; // the server's judge decides these
  if (operation.op === "replace") return operation.value;
  const keys = parsePointer(operation.path);
  switch (operation.op) {
    case "set":
      return put(state, keys, operation.value);
    case "remove":
      return keys.length === 0 ? put(state, keys, {}) : take(state, keys);
    case "merge":
      return put(state, keys, merged(lookup(state, keys), operation.value));
    case "increment":
      return put(state, keys, sum(numberAt(state, keys) ?? 0, operation.by, operation.path));
    case "max":
      return put(state, keys, Math.max(numberAt(state, keys) ?? operation.value, operation.value));
    case "min":
      return put(state, keys, Math.min(numberAt(state, keys) ?? operation.value, operation.value));
    default:
      return put(state, keys, changedList(listAt(state, keys), operation, notices));
  }
}

/** The value at a path through objects; undefined where there is nothing. */
export function lookup(state: Json, keys: readonly string[]): Json | undefined {
  let value: Json | undefined = state;
  for (const key of keys) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

const depthOf = (value: Json): number =>
  isList(value) || isObject(value) ? 1 + Object.values(value).reduce<number>((most, item) => Math.max(most, depthOf(item as Json)), 0) : 0;

/** `value` undefined means: nothing to write (a list operation on a list that is not there). */
function put(state: JsonObject, keys: readonly string[], value: Json | undefined): JsonObject {
  if (value === undefined) return state;
  if (keys.length === 0 && !isObject(value)) throw new OperationFault("not_an_object", "");
  const current = lookup(state, keys);
  if (current !== undefined && sameValue(current, value)) return state;
  if (keys.length + depthOf(value) > DEPTH_MAX) throw new OperationFault("too_deep", formatPointer(keys));
  return withValue(state, keys, 0, value) as JsonObject;
}

function withValue(container: Json | undefined, keys: readonly string[], index: number, value: Json): Json {
  if (index === keys.length) return value;
  const at = formatPointer(keys.slice(0, index));
  if (isList(container)) throw new OperationFault("path_in_list", at);
  if (container !== undefined && !isObject(container)) throw new OperationFault("not_an_object", at);
  const key = keys[index] as string;
  const child = container !== undefined && Object.hasOwn(container, key) ? container[key] : undefined;
  return { ...container, [key]: withValue(child, keys, index + 1, value) };
}

function take(state: JsonObject, keys: readonly string[]): JsonObject {
  checkParents(state, keys);
  if (lookup(state, keys) === undefined) return state;
  const parents = keys.slice(0, -1);
  const { [keys.at(-1) as string]: _gone, ...rest } = lookup(state, parents) as JsonObject;
  return withValue(state, parents, 0, rest) as JsonObject;
}

/** Refuses a pointer that walks into a list; a parent that is missing or plain is the caller's matter. */
function checkParents(state: JsonObject, keys: readonly string[]): void {
  let value: Json | undefined = state;
  keys.forEach((key, index) => {
    if (isList(value)) throw new OperationFault("path_in_list", formatPointer(keys.slice(0, index)));
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  });
}

/** RFC 7396, section 2. */
function merged(target: Json | undefined, patch: JsonObject): JsonObject {
  const result: Record<string, Json> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = isObject(value) ? merged(Object.hasOwn(result, key) ? result[key] : undefined, value) : value;
  }
  return result;
}

function numberAt(state: JsonObject, keys: readonly string[]): number | undefined {
  checkParents(state, keys);
  const current = lookup(state, keys);
  if (current === undefined || typeof current === "number") return current;
  throw new OperationFault("not_a_number", formatPointer(keys));
}

function sum(current: number, by: number, path: string): number {
  const total = current + by;
  if (!(Math.abs(total) <= NUMBER_MAX)) throw new OperationFault("number_out_of_range", path);
  return total === 0 ? 0 : total; // -0 is 0
}

function listAt(state: JsonObject, keys: readonly string[]): readonly Json[] | undefined {
  checkParents(state, keys);
  const current = lookup(state, keys);
  if (current === undefined || isList(current)) return current;
  throw new OperationFault("not_a_list", formatPointer(keys));
}

type ListOperation = Extract<Operation, { op: "append" | "insert" | "move" | "remove_item" }>;

const indexOf = (items: readonly Json[], id: Json): number => items.findIndex((item) => isObject(item) && Object.hasOwn(item, "id") && item["id"] === id);

function changedList(found: readonly Json[] | undefined, operation: ListOperation, notices: string[]): readonly Json[] | undefined {
  const items = found ?? [];
  if (operation.op === "append") {
    const index = indexOf(items, operation.item.id);
    return index < 0 ? [...items, operation.item] : items.with(index, operation.item);
  }
  if (operation.op === "insert") {
    const id = operation.item.id;
    return placed(items.filter((item) => indexOf([item], id) < 0), operation.item, operation.after, notices);
  }
  const index = indexOf(items, operation.id);
  if (index < 0) return found;
  const rest = items.toSpliced(index, 1);
  return operation.op === "move" ? placed(rest, items[index] as Json, operation.after, notices) : rest;
}

function placed(items: readonly Json[], item: Json, after: ItemId | null, notices: string[]): readonly Json[] {
  if (after === null) return [item, ...items];
  const index = indexOf(items, after);
  if (index < 0) notices.push("unknown_anchor");
  return items.toSpliced(index < 0 ? items.length : index + 1, 0, item);
}

type Rule = Readonly<Record<string, (value: Json | undefined) => boolean>>;

const isNumber = (value: Json | undefined): boolean => typeof value === "number";
const isText = (value: Json | undefined): boolean => typeof value === "string";
const isId = (value: Json | undefined): boolean => isText(value) || Number.isSafeInteger(value);
const isAnchor = (value: Json | undefined): boolean => value === null || isId(value);
const isItem = (value: Json | undefined): boolean => isObject(value) && Object.hasOwn(value, "id") && isId(value["id"]);
const isGiven = (value: Json | undefined): boolean => value !== undefined;

/** What an operation needs beside its path; the server refuses to read anything else, and then nothing behind it gets through. */
const RULES: Readonly<Partial<Record<string, Rule>>> = {
  set: { path: isText, value: isGiven },
  remove: { path: isText },
  merge: { path: isText, value: isObject },
  increment: { path: isText, by: isNumber },
  max: { path: isText, value: isNumber },
  min: { path: isText, value: isNumber },
  append: { path: isText, item: isItem },
  insert: { path: isText, item: isItem, after: isAnchor },
  move: { path: isText, id: isId, after: isAnchor },
  remove_item: { path: isText, id: isId },
  test: {},
  resolve: { conflict_id: isText, choice: (choice) => choice === "mine" || choice === "theirs" || choice === "value" },
};

const TEST_FIELDS = ["path", "equals", "exists", "version_at_most"];

const refuse = (why: string): never => {
  throw new SessileError("invalid_change", why);
};

/**
 * A checked deep copy of operations made by a page, ready to be stored and sent.
 * Throws `SessileError` with code `invalid_change` for what the server would refuse to read.
 */
export function checkedOperations(operations: readonly Operation[]): Operation[] {
  if (!Array.isArray(operations) || operations.length === 0 || operations.length > OPERATIONS_MAX) refuse(`a change has 1 to ${OPERATIONS_MAX} operations`);
  const copy = operations.map(checkedOperation);
  if (utf8Bytes(JSON.stringify(copy)) > CHANGE_BYTES_MAX) refuse(`a change is at most ${CHANGE_BYTES_MAX} bytes`);
  return copy;
}

function checkedOperation(operation: Operation): Operation {
  // The operation itself is no level of its value.
  const checked = checkedValue(operation, "", -1) as { readonly [field: string]: Json };
  const kind = String(checked["op"]);
  const rule = (Object.hasOwn(RULES, kind) ? RULES[kind] : undefined) ?? refuse(`a page cannot make the operation ${JSON.stringify(kind)}`);
  for (const [field, isFit] of Object.entries(rule)) if (!isFit(checked[field])) refuse(`${kind}: ${field} is missing or does not fit`);
  if (kind === "set" && checked["path"] === "" && !isObject(checked["value"])) refuse("the whole state must be an object");
  const hasValue = kind === "resolve" && checked["choice"] === "value";
  if (hasValue && checked["value"] === undefined) refuse("resolve: value is missing");
  if (kind === "test") checkTest(checked);
  // Nothing else is sent: the server would leave it out, and what comes back would not be known for our own.
  const fields = kind === "test" ? TEST_FIELDS : [...Object.keys(rule), ...(hasValue ? ["value"] : [])];
  const kept = Object.fromEntries(fields.flatMap((field) => (checked[field] === undefined ? [] : [[field, checked[field]]])));
  if (typeof kept["path"] === "string" && parsePointer(kept["path"]).length > DEPTH_MAX) refuse(`${kind}: the path is deeper than ${DEPTH_MAX} levels`);
  return { op: kind, ...kept } as unknown as Operation;
}

function checkTest({ path, equals, exists, version_at_most: version }: JsonObject): void {
  const isWhole = version === undefined || (typeof version === "number" && Number.isSafeInteger(version) && version >= 0);
  const isPlaced = path === undefined ? version !== undefined : typeof path === "string";
  const isFull = equals !== undefined || exists !== undefined || version !== undefined;
  if (!isFull || !isPlaced || !isWhole || (exists !== undefined && typeof exists !== "boolean")) refuse("a test says equals or exists of a path, or version_at_most");
}
