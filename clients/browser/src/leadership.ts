/** Which tab of a browser has the socket: the one that holds the lock. */

import type { LocksLike } from "./environment.js";

export interface LeadershipHost {
  /** This tab has the lock. */
  lead(): void;
  /** Another tab has taken it. */
  deposed(): void;
  /** There are no locks here after all. */
  failed(error: unknown): void;
}

export class Leadership {
  /** The latest request: what an earlier one brings is too late. */
  #request: AbortController | null = null;
  #release: (() => void) | null = null;

  constructor(private readonly locks: LocksLike, private readonly name: string, private readonly host: LeadershipHost) {}

  get isHeld(): boolean {
    return this.#release !== null;
  }

  /** Queues for the lock. `steal`: takes it from a tab that does not answer, or that is not looked at. */
  enter(steal = false): void {
    this.leave();
    const request = (this.#request = new AbortController());
    const held = () => new Promise<void>((release) => {
      if (request !== this.#request) return release();
      this.#release = release;
      this.host.lead();
    });
    this.locks.request(this.name, steal ? { steal } : { signal: request.signal }, held).catch((error: unknown) => {
      if (request !== this.#request) return; // left while it waited
      const isStolen = this.isHeld;
      this.#request = this.#release = null;
      if (!isStolen) return this.host.failed(error);
      this.host.deposed();
      this.enter();
    });
  }

  /** Lets go, or leaves the queue: a page in the back-forward cache would be given the lock, and never let it go. */
  leave(): void {
    const [request, release] = [this.#request, this.#release];
    this.#request = this.#release = null;
    request?.abort();
    release?.();
  }
}
