/** A browser profile and its tabs, each with the client as it is shipped. */

import { createHash } from "node:crypto";
import type { BaseDoc } from "../../src/base-document.js";
import { Client } from "../../src/client.js";
import { CoreClient } from "../../src/core-client.js";
import type { ChannelLike, Environment, LocksLike } from "../../src/environment.js";
import { sessionOf } from "../server.js";
import { SimulatedSocket } from "./network.js";
import { isTold, Process, type World } from "./scheduler.js";
import type { Node } from "./server.js";
import { Disk } from "./storage.js";

class Page extends EventTarget {
  visibilityState = "visible";
  fire(type: string): void { this.dispatchEvent(new Event(type, { cancelable: true })); }
}

const EPOCH_MS = Date.UTC(2026, 0, 1);
const CHANNEL_MS = 1;
/** The client of `sessile/core` instead of the whole one: every tab has a socket of its own. */
const isCore = process.env["SIMULATION_CLIENT"] === "core";

const subtle = {
  digest: async (_name: string, data: Uint8Array) => createHash("sha256").update(data).digest(),
} as unknown as SubtleCrypto;

interface Claim { tab: Tab; held: () => Promise<void>; resolve: (value: unknown) => void; reject: (error: Error) => void }

/** One Web Lock. It outlives the tab that had it. */
class Lock {
  #holder: Claim | null = null;
  readonly #queue: Claim[] = [];

  constructor(private readonly world: World) {}

  for(tab: Tab): LocksLike {
    return {
      request: (_name, { steal, signal }, held) => new Promise((resolve, reject) => {
        const claim: Claim = { tab, held, resolve, reject };
        if (steal) {
          const former = this.#holder;
          if (former) this.world.at(0.3, () => former.reject(new DOMException("stolen", "AbortError")), former.tab);
          return this.#grant(claim);
        }
        signal?.addEventListener("abort", () => {
          const index = this.#queue.indexOf(claim);
          if (index < 0) return;
          this.#queue.splice(index, 1);
          reject(new DOMException("left", "AbortError"));
        });
        this.#queue.push(claim);
        this.#next();
      }),
    };
  }

  gone(tab: Tab): void {
    for (const claim of this.#queue.filter((each) => each.tab === tab)) this.#queue.splice(this.#queue.indexOf(claim), 1);
    if (this.#holder?.tab === tab) this.#release(this.#holder);
  }

  #next(): void {
    const first = this.#holder ? undefined : this.#queue.shift();
    if (first) this.#grant(first);
  }

  #grant(claim: Claim): void {
    this.#holder = claim;
    this.world.at(0.3, () => void claim.held().then(() => {
      this.#release(claim);
      claim.resolve(undefined);
    }), claim.tab);
  }

  #release(claim: Claim): void {
    if (this.#holder !== claim) return;
    this.#holder = null;
    this.#next();
  }
}

interface Ear extends ChannelLike { readonly tab: Tab; readonly name: string }

export class Tab extends Process {
  readonly sockets = new Set<SimulatedSocket>();
  readonly window = new Page();
  readonly document = new Page();
  readonly client: Client | CoreClient;
  /** What its page has opened. */
  readonly docs: BaseDoc[] = [];
  isAway = false;
  isClosing = false;

  constructor(readonly profile: Profile, readonly number: number) {
    super();
    this.client = new (isCore ? CoreClient : Client)({ url: "https://app.test/", environment: this.#environment() });
  }

  get role(): string { return this.client instanceof Client ? this.client.role : "solo"; }

  get name(): string { return `${this.profile.name}.${this.number}`; }

  #environment(): Partial<Environment> {
    const { profile } = this;
    const { world, ears } = profile;
    const tab = this;
    return {
      WebSocket: class extends SimulatedSocket { constructor() { super(tab); } },
      fetch: ((url: string, init: RequestInit) => profile.fetch(tab, new URL(url).pathname, init.signal)) as unknown as typeof fetch,
      indexedDB: profile.disk.factoryFor(tab),
      BroadcastChannel: class implements Ear {
        onmessage: ChannelLike["onmessage"] = null;
        readonly tab = tab;
        constructor(readonly name: string) { ears.add(this); }
        postMessage(message: unknown): void {
          const data: unknown = structuredClone(message);
          if (isTold) world.note(`${tab.name} tells ${JSON.stringify(message)}`);
          for (const ear of ears) {
            if (ear !== this && ear.name === this.name) world.at(CHANNEL_MS, () => ears.has(ear) && ear.onmessage?.({ data } as MessageEvent), ear.tab);
          }
        }
        close(): void { ears.delete(this); }
      },
      locks: profile.lock?.for(this),
      subtle,
      startWorker: undefined, // its timers are the page's own here
      timers: {
        now: () => Math.floor(EPOCH_MS + world.now + profile.clock_ms),
        set: (work, delay_ms) => world.at(delay_ms, work, tab),
        clear: (handle) => world.cancel(handle),
      },
      random: world.random,
      page: { window: this.window, document: this.document },
    };
  }

  show(isVisible: boolean): void {
    this.document.visibilityState = isVisible ? "visible" : "hidden";
    this.document.fire("visibilitychange");
  }

  /** Without a word. */
  crash(): void {
    this.isAlive = false;
    for (const ear of [...this.profile.ears]) if (ear.tab === this) this.profile.ears.delete(ear);
    this.profile.disk.crashed(this);
    this.profile.lock?.gone(this);
    for (const socket of [...this.sockets]) socket.link?.tabDied();
    this.profile.tabs.delete(this);
  }

  /** As people close it; it dies a moment later. */
  close(): void {
    this.isClosing = true;
    this.window.fire("pagehide");
    this.client.close();
    this.profile.world.at(30, () => this.isAlive && this.crash());
  }
}

export class Profile {
  network: "up" | "down" | "hole" = "up";
  slow_ms = 0;
  clock_ms = 0;
  readonly tabs = new Set<Tab>();
  readonly ears = new Set<Ear>();
  /** What goes on when the network is there again. */
  readonly waiting: (() => void)[] = [];
  readonly disk: Disk;
  readonly lock: Lock | null;
  readonly session: object;
  #made = 0;

  constructor(readonly world: World, readonly name: string, private readonly nodes: readonly Node[], isSharing: boolean) {
    this.disk = new Disk(world);
    this.lock = isSharing && !isCore ? new Lock(world) : null;
    this.session = sessionOf("u1", `s-${name}`);
  }

  latency(): number { return this.world.between(1, 30) + this.slow_ms; }

  /** The server that a new connection comes to. */
  balanced(): Node | null {
    const alive = this.nodes.filter(({ isAlive }) => isAlive);
    return alive.length ? this.world.pick(alive) : null;
  }

  open(): Tab {
    const tab = new Tab(this, ++this.#made);
    this.tabs.add(tab);
    return tab;
  }

  /** All links of this browser, on whatever server. */
  get links() { return [...this.tabs].flatMap((tab) => [...tab.sockets].flatMap(({ link }) => link ?? [])); }

  lose(how: "down" | "hole"): void {
    this.network = how;
    if (how === "down") for (const tab of this.tabs) tab.take(() => tab.window.fire("offline"));
  }

  regain(): void {
    const wasDown = this.network === "down";
    this.network = "up";
    for (const link of this.links) link.revive();
    for (const work of this.waiting.splice(0)) work();
    if (wasDown) for (const tab of this.tabs) tab.take(() => tab.window.fire("online"));
  }

  fetch(tab: Tab, path: string, signal: AbortSignal | null | undefined): Promise<Response> {
    return new Promise((resolve, reject) => {
      const { world } = this;
      const settle = (work: () => void) => world.at(this.latency(), work, tab);
      const fail = () => settle(() => reject(new TypeError("fetch failed")));
      signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      const arrive = () => {
        if (this.network === "hole") return void this.waiting.push(arrive);
        const node = this.network === "up" ? this.balanced() : null;
        if (!node) return fail();
        world.at(this.latency(), () => settle(() => resolve(this.#answer(path))), node);
      };
      arrive();
    });
  }

  #answer(path: string): Response {
    const isSession = path === "/api/v0/session";
    // Streams are shown in a real browser; here the way back to sockets is.
    const body = isSession ? { authenticated: true, session: this.session } : { code: "unavailable", detail: "not here" };
    return { ok: isSession, status: isSession ? 200 : 503, json: async () => body } as Response;
  }
}
