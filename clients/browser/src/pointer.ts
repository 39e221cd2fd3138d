/** JSON Pointer (RFC 6901). `""` is the whole state. */

import { SessileError } from "./errors.js";
import { checkedKey } from "./values.js";

/** The reference tokens of `pointer`. Throws `SessileError` with code `invalid_change` when it is not a pointer. */
export function parsePointer(pointer: string): string[] {
  if (pointer === "") return [];
  if (!pointer.startsWith("/") || /~(?![01])/.test(pointer)) {
    throw new SessileError("invalid_change", `not a JSON Pointer: ${JSON.stringify(pointer)}`);
  }
  return pointer
    .slice(1)
    .split("/")
    .map((token) => checkedKey(token.replaceAll("~1", "/").replaceAll("~0", "~"), pointer));
}

/** The pointer whose reference tokens are `tokens`. */
export const formatPointer = (tokens: readonly string[]): string =>
  tokens.map((token) => `/${token.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
