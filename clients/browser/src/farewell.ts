/**
 * The last words of a page: what the server has not answered goes out once more as requests that outlive the page. The outbox keeps it all the same,
 * and the server counts it once.
 */

import type { Pending } from "./core.js";
import { utf8Bytes } from "./values.js";

/** A browser lets 64 KiB of such requests outlive their page (Fetch, section 4.5); the rest is for what surrounds the changes. */
export const FAREWELL_BYTES_MAX = 60_000;

export interface Leaving {
  readonly id: string | null;
  readonly unanswered: readonly Pending[];
  /** For changes made before the document was ever seen; null while it has not been. */
  readonly seenGeneration: number | null;
}

/** The requests for `docs`: path and body, together no longer than `bytes_max`. Of each document the oldest changes of one device, without a gap. */
export function farewells(docs: readonly Leaving[], bytes_max = FAREWELL_BYTES_MAX): { path: string; text: string; bytes: number }[] {
  const requests: { path: string; text: string; bytes: number }[] = [];
  let left = bytes_max;
  for (const { id, unanswered, seenGeneration } of docs) {
    const device_id = unanswered[0]?.device_id;
    if (id === null || !device_id) continue;
    const parts: string[] = [];
    const frame = (changes: string) => `{"device_id":${JSON.stringify(device_id)},"changes":[${changes}]}`;
    let bytes = utf8Bytes(frame(""));
    for (const { device_id: device, seq, base_version, generation, operations } of unanswered) {
      const known = generation ?? seenGeneration;
      const part = JSON.stringify({ seq, base_version, generation: known, operations });
      const size = utf8Bytes(part) + 1;
      if (device !== device_id || seq === null || known === null || bytes + size > left) break;
      parts.push(part);
      bytes += size;
    }
    if (parts.length === 0) continue;
    left -= bytes;
    requests.push({ path: `api/v0/documents/${id}/changes`, text: frame(parts.join(",")), bytes });
  }
  return requests;
}
