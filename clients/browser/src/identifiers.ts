/** Identifiers made in the browser. They identify; none of them is a secret. */

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

/** A UUIDv7 (RFC 9562, section 5.7) for the time `now_ms`. `random` is in [0, 1). */
export function uuid7(now_ms: number, random: () => number): string {
  const bits = (count: number) => Math.floor(random() * 2 ** count);
  const time = hex(Math.floor(now_ms), 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(bits(12), 3)}-${hex(0x8000 + bits(14), 4)}-${hex(bits(24), 6)}${hex(bits(24), 6)}`;
}
