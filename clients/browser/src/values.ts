/** JSON values as the protocol allows them, and the check that everything entering a change goes through. */

import { SessileError } from "./errors.js";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export const DEPTH_MAX = 32;
export const KEY_BYTES_MAX = 256;
/** 2^53 - 1. Every float beyond it has an integral value, so it bounds all numbers. */
export const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

export const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isList = (value: unknown): value is readonly Json[] => Array.isArray(value);

const refuse = (path: string, why: string): never => {
  throw new SessileError("invalid_change", `${path || "the value"}: ${why}`);
};

const checkedString = (text: string, path: string): string =>
  LONE_SURROGATE.test(text) ? refuse(path, "a string has a lone surrogate") : text;

const checkedNumber = (value: number, path: string): number => {
  if (!Number.isFinite(value) || Math.abs(value) > NUMBER_MAX) refuse(path, "a number is outside the range");
  return value === 0 ? 0 : value; // -0 is 0
};

/** Refuses keys that the protocol refuses. Throws `SessileError` with code `invalid_change`. */
export const checkedKey = (key: string, path: string): string => {
  if (key === "__proto__") refuse(path, "the key __proto__ is not allowed");
  if (utf8Bytes(key) > KEY_BYTES_MAX) refuse(path, `a key is longer than ${KEY_BYTES_MAX} bytes`);
  return checkedString(key, path);
};

/**
 * A deep copy of `value` as plain JSON; a key whose value is undefined is left out, as JSON does.
 * Throws `SessileError` with code `invalid_change` for anything the protocol cannot carry.
 */
export function checkedValue(value: unknown, path = "", depth = 0): Json {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return checkedNumber(value, path);
  if (typeof value === "string") return checkedString(value, path);
  if (depth >= DEPTH_MAX) refuse(path, `nested deeper than ${DEPTH_MAX} levels`);
  if (Array.isArray(value)) return value.map((item, index) => checkedValue(item, `${path}/${index}`, depth + 1));
  if (typeof value === "object") {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && Object.getPrototypeOf(prototype as object) !== null) {
      refuse(path, "only plain objects can be stored");
    }
    const copy: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined) copy[checkedKey(key, path)] = checkedValue(item, `${path}/${key}`, depth + 1);
    }
    return copy;
  }
  return refuse(path, `a ${typeof value} cannot be stored`);
}

/** Deep equality of two JSON values; key order does not matter. */
export function sameValue(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (isList(left)) {
    return isList(right) && left.length === right.length && left.every((item, index) => sameValue(item, right[index]));
  }
  if (!isObject(left) || !isObject(right)) return false;
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length
    && keys.every((key) => Object.hasOwn(right, key) && sameValue(left[key], right[key]));
}
