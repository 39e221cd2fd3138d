/** Reconnection delays: a first try within 250 ms, then full jitter from 0.5 s, doubling, capped at 20 s. */

export const FIRST_MAX_MS = 250;
export const BASE_MS = 500;
export const CAP_MS = 20_000;
/** A connection that lived this long was a good one: the next failure starts from the beginning. */
export const RESET_AFTER_MS = 10_000;

/** A browser tries as often as so many of its tabs would, each for itself. */
export const TABS_COUNTED_MAX = 4;

/**
 * Milliseconds to wait before try number `attempt` (0 is the first one after a loss). `random` is in [0, 1). One socket for several tabs must
 * not mean that each of them waits longer for a server that is back: `tabs` schedules, laid one over another.
 */
export function delayMs(attempt: number, random: () => number, tabs = 1): number {
  const schedules = Math.min(tabs, TABS_COUNTED_MAX);
  const level = Math.floor(attempt / schedules);
  const ceiling = level === 0 ? FIRST_MAX_MS : Math.min(CAP_MS, BASE_MS * 2 ** Math.min(level - 1, 30));
  return Math.floor((random() * ceiling) / schedules);
}
