/**
 * Timers that keep time while their page is hidden. Browsers call the timers of a hidden page once a second, and later once a minute; those of
 * a worker run as they were set. The worker is a file of the server, not a blob, which a strict content security policy forbids. It runs only while it is
 * needed, and where it cannot run the page's own timers go on.
 */

import type { Timers, WorkerLike } from "./environment.js";

interface Waiting {
  readonly due_ms: number;
  readonly callback: () => void;
  /** The handle of the page's own timer; null while the worker has it. */
  own: unknown;
}

export class HiddenTimers implements Timers {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #worker: WorkerLike | null = null;
  #isBroken = false;

  /** `start` gives the worker, or null where there is none. It may throw: a policy may forbid it. */
  constructor(private readonly own: Timers, private readonly start: () => WorkerLike | null) {}

  readonly now = (): number => this.own.now();

  readonly set = (callback: () => void, delay_ms: number): unknown => {
    const id = ++this.#last;
    const waiting: Waiting = { due_ms: this.own.now() + delay_ms, callback, own: null };
    this.#waiting.set(id, waiting);
    this.#arm(id, waiting);
    return id;
  };

  readonly clear = (handle: unknown): void => {
    const waiting = this.#waiting.get(handle as number);
    if (waiting?.own !== null) this.own.clear(waiting?.own);
    this.#waiting.delete(handle as number);
  };

  /** Moves what waits to the worker, or back. */
  keepTime(isNeeded: boolean): void {
    if (isNeeded === (this.#worker !== null) || (isNeeded && this.#isBroken)) return;
    if (isNeeded) this.#begin();
    else this.#end();
    for (const [id, waiting] of this.#waiting) this.#arm(id, waiting);
  }

  get isKeepingTime(): boolean {
    return this.#worker !== null;
  }

  #begin(): void {
    try {
      this.#worker = this.start();
    } catch (error) {
      this.#isBroken = true; // forbidden by a policy, which the browser has said in its console
      if (!(error instanceof Error)) throw error;
    }
    const worker = this.#worker;
    if (!worker) return;
    worker.onmessage = ({ data }) => this.#ring(data as number);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.#isBroken = true; // the file is not there
      this.keepTime(false);
    };
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }

  #arm(id: number, waiting: Waiting): void {
    if (waiting.own !== null) this.own.clear(waiting.own);
    const delay_ms = Math.max(0, waiting.due_ms - this.own.now());
    waiting.own = null;
    if (this.#worker) this.#worker.postMessage([id, delay_ms]);
    else waiting.own = this.own.set(() => this.#ring(id), delay_ms);
  }

  #ring(id: number): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.callback();
  }
}
