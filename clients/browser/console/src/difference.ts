// What differs between two JSON values, path by path. Pure.

import { plural } from "./format";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export interface Difference { readonly path: string; readonly before: Json | undefined; readonly after: Json | undefined }

const DIFFERENCES_MAX = 2000;

const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } => typeof value === "object" && value !== null && !isList(value);
/** A key as a part of a JSON pointer (RFC 6901). */
const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

/** Entries of lists by their `id`, where each has one of its own: then a moved entry is no difference of its neighbours. */
function byId(list: readonly Json[]): Map<string, Json> | null {
  const found = new Map<string, Json>();
  for (const entry of list) {
    const id = isObject(entry) ? entry["id"] : undefined;
    if (typeof id !== "string" || found.has(id)) return null;
    found.set(id, entry);
  }
  return found;
}

function keyed(before: readonly Json[], after: readonly Json[]): readonly [Map<string, Json>, Map<string, Json>] {
  const [left, right] = [byId(before), byId(after)];
  if (left && right) return [left, right];
  const numbered = (list: readonly Json[]) => new Map(list.map((entry, index) => [String(index), entry]));
  return [numbered(before), numbered(after)];
}

function walk(path: string, before: Json | undefined, after: Json | undefined, found: Difference[]): void {
  if (found.length >= DIFFERENCES_MAX || Object.is(before, after)) return;
  const sides = isList(before) && isList(after) ? keyed(before, after)
    : isObject(before) && isObject(after) ? [new Map(Object.entries(before)), new Map(Object.entries(after))] as const : null;
  if (!sides) {
    found.push({ path, before, after });
    return;
  }
  for (const key of new Set([...sides[0].keys(), ...sides[1].keys()])) walk(`${path}/${escaped(key)}`, sides[0].get(key), sides[1].get(key), found);
}

/** At most 2,000 differences, in the order of the keys. `undefined`: nothing there. */
export function differences(before: Json | undefined, after: Json | undefined): readonly Difference[] {
  const found: Difference[] = [];
  walk("", before, after, found);
  return found;
}

/** One line for a value: a text as it is in JSON, an object or list by its size. */
export function summary(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (isList(value)) return value.length ? `list of ${value.length}` : "[]";
  if (isObject(value)) return Object.keys(value).length ? `object with ${plural(Object.keys(value).length, "key")}` : "{}";
  return JSON.stringify(value);
}
