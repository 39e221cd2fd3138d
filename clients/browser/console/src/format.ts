// Times, durations, numbers and ids as people read them. Pure: what time it is comes as an argument.

export const MISSING = "–";
const STEPS: readonly (readonly [limit: number, seconds: number, unit: string])[] = [
  [60, 1, "s"], [3600, 60, "min"], [86_400, 3600, "h"], [30 * 86_400, 86_400, "d"], [365 * 86_400, 30 * 86_400, "mo"], [Infinity, 365 * 86_400, "y"],
];

/** "12 s", "5 min", "3 h", "2 d". */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return MISSING;
  const whole = Math.max(0, Math.floor(seconds));
  const [, size, unit] = STEPS.find(([limit]) => whole < limit)!;
  return `${Math.floor(whole / size)} ${unit}`;
}

/** "now", "12 s ago", "in 5 min". `at` and `now` in milliseconds. */
export function relative(at: number | null | undefined, now: number): string {
  if (at === null || at === undefined || !Number.isFinite(at)) return MISSING;
  const seconds = (now - at) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** "2026-11-27 14:03:05.120 UTC": what a log has, so that it can be found there. */
export function absolute(at: number | null | undefined): string {
  if (at === null || at === undefined || !Number.isFinite(at)) return MISSING;
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return MISSING;
  const day = `${time.getUTCFullYear()}-${two(time.getUTCMonth() + 1)}-${two(time.getUTCDate())}`;
  return `${day} ${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())}.${String(time.getUTCMilliseconds()).padStart(3, "0")} UTC`;
}

/** "14:03:05" of the UTC day, for charts and tooltips. */
export const clock = (at: number): string => absolute(at).slice(11, 19);

/** 1234 as "1,234", 12.345 as "12.3". */
export function number(value: number | null | undefined, digits = 1): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const isWhole = Number.isInteger(value) || Math.abs(value) >= 100;
  const [whole, part] = (isWhole ? String(Math.round(value)) : value.toFixed(digits)).split(".");
  return whole!.replace(/\B(?=(\d{3})+$)/g, ",") + (part === undefined ? "" : `.${part}`);
}

/** "1.5 kB". Steps of 1000, as disks and networks count. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  return `${number(value / 1000 ** step)} ${units[step]}`;
}

/** "3.2 ms", "1.5 s". */
export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return value >= 1000 ? `${number(value / 1000)} s` : `${number(value)} ms`;
}

/** "1 session", "2,000 sessions". */
export const plural = (count: number, one: string, many = `${one}s`): string => `${number(count)} ${count === 1 ? one : many}`;

/** The beginning and the end of a long id. A handle begins with its time, so its end is what tells two apart. */
export const shortId = (id: string): string => id.length <= 14 ? id : `${id.slice(0, 8)}…${id.slice(-4)}`;

/** A time from the API in milliseconds; null for none. Takes RFC 3339 text or a number of milliseconds. */
export function moment(value: string | number | null | undefined): number | null {
  if (value === null || value === undefined) return null;
  const at = typeof value === "number" ? value : Date.parse(value);
  return Number.isFinite(at) ? at : null;
}
