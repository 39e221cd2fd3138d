/** A browser profile with tabs: they share storage and a channel, and each has its own page and socket. */

import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { Client } from "../src/client.js";
import type { ChannelLike, Environment } from "../src/environment.js";
import type { ConnectOptions } from "../src/options.js";
import { Clock, seeded } from "./clock.js";
import type { FakeServer } from "./server.js";

export class Page extends EventTarget {
  visibilityState = "visible";
  fire(type: string): void { this.dispatchEvent(new Event(type, { cancelable: true })); }
}

export interface Tab {
  readonly client: Client;
  readonly clock: Clock;
  readonly window: Page;
  readonly document: Page;
}

export class Browser {
  static #made = 0;
  indexedDB: IDBFactory | null = new IDBFactory();
  readonly #channels = new Set<ChannelLike & { name: string }>();
  readonly #random: () => number;

  constructor(readonly server: FakeServer) {
    this.#random = seeded(++Browser.#made);
  }

  environment(clock = new Clock(), window = new Page(), document = new Page()): Environment {
    const channels = this.#channels;
    return {
      WebSocket: this.server.Socket,
      fetch: this.server.fetch,
      indexedDB: this.indexedDB,
      BroadcastChannel: class implements ChannelLike {
        onmessage: ((event: MessageEvent) => void) | null = null;
        constructor(readonly name: string) { channels.add(this); }
        postMessage(message: unknown): void {
          for (const other of channels) {
            const data: unknown = structuredClone(message);
            if (other !== this && other.name === this.name) queueMicrotask(() => channels.has(other) && other.onmessage?.({ data } as MessageEvent));
          }
        }
        close(): void { channels.delete(this); }
      },
      subtle: crypto.subtle,
      timers: clock,
      random: this.#random,
      page: { window, document },
    };
  }

  tab(options: ConnectOptions = {}): Tab {
    const [clock, window, document] = [new Clock(), new Page(), new Page()];
    const environment = { ...this.environment(clock, window, document), ...options.environment };
    return { clock, window, document, client: new Client({ url: "https://app.test/", ...options, environment }) };
  }
}
