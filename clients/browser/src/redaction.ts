/** What may be shown of a value: its shape, and nothing that opens a door or that a person has written. */

const SECRET = /token|csrf|secret|cookie|authori[sz]ation|password|claim|^code$|qr_svg|^url$/i;
/** What people write. */
const CONTENT = new Set(["state", "operations", "changes", "value", "base", "winner", "loser", "current", "restored", "public", "data"]);
const ID = /(^|_)id$/;
const ID_SHOWN = 8;
const DEPTH_MAX = 6;

/** A copy without secrets and contents; ids are cut to eight characters. */
export function redacted(value: unknown, key = "", depth = 0): unknown {
  if (value === null || value === undefined) return value;
  if (SECRET.test(key)) return "[redacted]";
  if (CONTENT.has(key)) return `[${JSON.stringify(value)?.length ?? 0} characters]`;
  if (typeof value === "string") return ID.test(key) && value.length > ID_SHOWN ? `${value.slice(0, ID_SHOWN)}…` : value;
  if (typeof value !== "object") return value;
  if (depth >= DEPTH_MAX) return "[…]";
  if (Array.isArray(value)) return value.map((item) => redacted(item, key, depth + 1));
  if (key === "user") return { id: redacted((value as { id?: unknown }).id, "user_id") };
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, redacted(item, name, depth + 1)]));
}
