/** Time that stands still until a test moves it. */

import type { Timers } from "../src/environment.js";

export class Clock implements Timers {
  #now = Date.UTC(2026, 0, 1);
  #next = 1;
  readonly #due = new Map<number, { at: number; callback: () => void }>();

  now = (): number => this.#now;

  set = (callback: () => void, delay_ms: number): number => {
    this.#due.set(this.#next, { at: this.#now + delay_ms, callback });
    return this.#next++;
  };

  clear = (handle: unknown): void => {
    this.#due.delete(handle as number);
  };

  /** Delays until the timers that are set, shortest first. */
  get waiting(): number[] {
    return [...this.#due.values()].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Moves on, calling what becomes due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [first] = [...this.#due].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b);
      if (!first) break;
      this.#due.delete(first[0]);
      this.#now = Math.max(this.#now, first[1].at);
      first[1].callback();
    }
    this.#now = end;
  }

  /** As a laptop that sleeps: time passes and no timer runs. */
  sleep(ms: number): void {
    this.#now += ms;
  }
}

/** The same numbers in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Lets promises and the fake IndexedDB go on until `isSo`; a test that waits in vain fails with `what`. */
export async function until(isSo: () => unknown, what = isSo.toString()): Promise<void> {
  const deadline = performance.now() + 3000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets everything that is under way come to rest: for proving that something does not happen. */
export async function rest(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setImmediate(resolve));
}
