/** One thread of simulated time: what happens next is drawn from a seed, and a run can be repeated exactly. */

import { seeded } from "../clock.js";

/** A promise that something in the simulated world breaks; the message says which, and when. */
export class Broken extends Error {}

/** Every change and every frame is told as well. */
export const isTold = process.env["SIMULATION_TELLS"] === "1";

/** A tab or a server process. While it is paused, what reaches it is held back. */
export class Process {
  isAlive = true;
  #held: (() => void)[] | null = null;

  get isPaused(): boolean { return this.#held !== null; }

  pause(): void { this.#held ??= []; }

  resume(world: World): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const work of held) world.at(0, work, this);
  }

  /** Runs it now, later, or never. */
  take(work: () => void): void {
    if (!this.isAlive) return;
    if (this.#held) this.#held.push(work);
    else work();
  }
}

interface Due { at: number; order: number; work: (() => void) | null; owner: Process | null }

export class World {
  now = 0;
  events = 0;
  readonly faults: unknown[] = [];
  readonly trace: string[] = [];
  readonly random: () => number;
  readonly #heap: Due[] = [];
  #order = 0;

  constructor(seed: number) { this.random = seeded(seed); }

  between(low: number, high: number): number { return low + this.random() * (high - low); }
  whole(low: number, high: number): number { return Math.floor(this.between(low, high + 1)); }
  chance(probability: number): boolean { return this.random() < probability; }
  pick<T>(some: readonly T[]): T { return some[Math.floor(this.random() * some.length)] as T; }

  note(what: string): void { this.trace.push(`${(this.now / 1000).toFixed(3)} ${what}`); }

  at(delay_ms: number, work: () => void, owner: Process | null = null): Due {
    const due: Due = { at: this.now + Math.max(0, delay_ms), order: this.#order++, work, owner };
    const heap = this.#heap;
    let index = heap.push(due) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(due, heap[parent] as Due)) break;
      heap[index] = heap[parent] as Due;
      heap[(index = parent)] = due;
    }
    return due;
  }

  cancel(due: unknown): void {
    if (due) (due as Due).work = null;
  }

  /** Moves on for so long. Between two events every promise that can go on has gone on. */
  async run(duration_ms: number): Promise<void> {
    const end = this.now + duration_ms;
    for (;;) {
      const first = this.#heap[0];
      if (!first || first.at > end) break;
      this.#pop();
      const { work } = first;
      if (!work) continue;
      this.now = first.at;
      this.events++;
      if (first.owner) first.owner.take(work);
      else work();
      await new Promise((resolve) => setImmediate(resolve));
      if (this.faults.length > 0) throw new Broken(`an error that nobody awaits: ${(this.faults[0] as Error)?.stack ?? String(this.faults[0])}`);
    }
    this.now = end;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Due, heap[child] as Due)) child++;
      if (!before(heap[child] as Due, last)) break;
      heap[index] = heap[child] as Due;
      index = child;
    }
    heap[index] = last;
  }
}

const before = (left: Due, right: Due): boolean => left.at < right.at || (left.at === right.at && left.order < right.order);
