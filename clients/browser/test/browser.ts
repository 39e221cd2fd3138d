/** A browser profile with tabs: they share storage and a channel, and each has its own page and socket. */

import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { Client } from "../src/client.js";
import type { ChannelLike, Environment, LocksLike } from "../src/environment.js";
import type { ConnectOptions } from "../src/options.js";
import { Clock, seeded } from "./clock.js";
import type { FakeServer } from "./server.js";

export class Page extends EventTarget {
  visibilityState = "visible";
  fire(type: string): void { this.dispatchEvent(new Event(type, { cancelable: true })); }
}

/** One lock, as Web Locks keep it: first come, first served, unless it is stolen. */
export class Locks implements LocksLike {
  #held: { fail: (error: Error) => void } | null = null;
  readonly #queue: { run: () => void; signal: AbortSignal | undefined }[] = [];

  get waiting(): number { return this.#queue.filter(({ signal }) => !signal?.aborted).length; }

  request(_name: string, options: { steal?: boolean; signal?: AbortSignal }, held: () => Promise<void>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const run = () => {
        const mine = (this.#held = { fail: reject });
        void held().then(() => {
          if (this.#held === mine) this.#next();
          resolve(undefined);
        });
      };
      if (options.steal) {
        this.#held?.fail(new DOMException("stolen", "AbortError"));
        return queueMicrotask(run);
      }
      options.signal?.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
      this.#queue.push({ run, signal: options.signal });
      if (!this.#held) queueMicrotask(() => this.#held || this.#next());
    });
  }

  #next(): void {
    this.#held = null;
    for (let first = this.#queue.shift(); first; first = this.#queue.shift()) if (!first.signal?.aborted) return first.run();
  }
}

export interface Tab {
  readonly client: Client;
  readonly clock: Clock;
  readonly window: Page;
  readonly document: Page;
  /** Hears nothing, runs no timer. */
  hang(isHung: boolean): void;
}

export class Browser {
  static #made = 0;
  indexedDB: IDBFactory | null = new IDBFactory();
  readonly #channels = new Set<ChannelLike & { name: string; hear(data: unknown): void }>();
  readonly #random: () => number;

  /** Null: every tab has its own socket, as in browsers without Web Locks. */
  readonly locks: Locks | undefined;

  constructor(readonly server: FakeServer, { isSharing = false } = {}) {
    this.locks = isSharing ? new Locks() : undefined;
    this.#random = seeded(++Browser.#made);
  }

  environment(clock = new Clock(), window = new Page(), document = new Page(), isHung = () => false): Environment {
    const channels = this.#channels;
    return {
      WebSocket: this.server.Socket,
      fetch: this.server.fetch,
      indexedDB: this.indexedDB,
      BroadcastChannel: class implements ChannelLike {
        onmessage: ((event: MessageEvent) => void) | null = null;
        constructor(readonly name: string) { channels.add(this); }
        postMessage(message: unknown): void {
          if (!channels.has(this)) throw new DOMException("closed", "InvalidStateError");
          for (const other of channels) {
            const data: unknown = structuredClone(message);
            if (other !== this && other.name === this.name) queueMicrotask(() => channels.has(other) && other.hear(data));
          }
        }
        hear(data: unknown): void { if (!isHung()) this.onmessage?.({ data } as MessageEvent); }
        close(): void { channels.delete(this); }
      },
      locks: this.locks,
      subtle: crypto.subtle,
      timers: clock,
      startWorker: undefined,
      persist: undefined,
      random: this.#random,
      page: { window, document },
    };
  }

  tab(options: ConnectOptions = {}): Tab {
    const [clock, window, document] = [new Clock(), new Page(), new Page()];
    let isHung = false;
    const environment = { ...this.environment(clock, window, document, () => isHung), ...options.environment };
    return { clock, window, document, hang: (now) => void (isHung = now), client: new Client({ url: "https://app.test/", ...options, environment }) };
  }
}
