/** RFC 8785 canonical JSON and the state hash made from it. */

import { isList, type Json } from "./values.js";

const HASH_HEX_DIGITS = 16;

/**
 * `value` in the form of RFC 8785. JavaScript's own number and string output is what the RFC prescribes, and `sort`
 * without a comparator orders by UTF-16 code units, as it must be.
 */
export function canonical(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonical).join(",")}]`;
  const object = value as { readonly [key: string]: Json };
  const members = Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(object[key] as Json)}`);
  return `{${members.join(",")}}`;
}

/** The first 16 hex digits of SHA-256 over the canonical form, or null where the browser offers no `crypto.subtle`. */
export async function stateHash(value: Json, subtle: SubtleCrypto | undefined): Promise<string | null> {
  if (!subtle) return null;
  const digest = await subtle.digest("SHA-256", new TextEncoder().encode(canonical(value)));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .slice(0, HASH_HEX_DIGITS);
}
