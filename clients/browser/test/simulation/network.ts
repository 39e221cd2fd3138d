/** Sockets between tabs and servers: in order and whole while they work; cut, held back, or silent for ever when they do not. */

import type { SocketLike } from "../../src/environment.js";
import type { Profile, Tab } from "./browser.js";
import { isTold } from "./scheduler.js";
import type { Node } from "./server.js";

type Item = { text?: string; code?: number };
type Way = "up" | "down";

/** `held`: what is under way arrives later. `silent`: one end has forgotten it; who writes to it is told so by a reset, if the network is there. */
type State = "connecting" | "open" | "held" | "silent" | "closed";

export class Link {
  state: State = "connecting";
  readonly #last = { up: 0, down: 0 };
  readonly #held: Record<Way, Item[]> = { up: [], down: [] };
  #owesReset = false;

  constructor(readonly node: Node, readonly socket: SimulatedSocket, readonly profile: Profile) {}

  get session(): object { return this.profile.session; }

  up(item: Item): void { this.#send("up", item); }
  down(item: Item): void { this.#send("down", item); }

  #send(way: Way, item: Item): void {
    const { world } = this.node;
    const at = Math.max(this.#last[way], world.now + this.profile.latency());
    this.#last[way] = at;
    world.at(at - world.now, () => this.#arrive(way, item));
  }

  #arrive(way: Way, item: Item): void {
    if (this.state === "closed") return;
    if (this.state === "silent") {
      if (way === "up") this.#reset();
      return;
    }
    if (this.state === "held" || this.profile.network !== "up" || this.#held[way].length > 0) return void this.#held[way].push(item);
    this.#deliver(way, item);
  }

  #deliver(way: Way, item: Item): void {
    const { world } = this.node;
    if (way === "up") {
      if (item.code !== undefined) {
        this.state = "closed";
        return world.at(0, () => this.node.closed(this), this.node) && undefined;
      }
      world.at(0, () => this.node.received(this, item.text as string), this.node);
    } else if (item.code !== undefined) this.#end(item.code);
    else this.socket.heard(item.text as string);
  }

  /** The network is there again, or this link is. */
  revive(): void {
    if (this.state === "held") this.state = "open";
    if (this.profile.network !== "up") return;
    if (this.state === "silent" && this.#owesReset) this.#reset();
    if (this.state !== "open") return;
    for (const way of ["up", "down"] as const) for (const item of this.#held[way].splice(0)) if (this.state === "open") this.#deliver(way, item);
  }

  hold(): void { if (this.state === "open") this.state = "held"; }
  silence(): void { if (this.state === "open" || this.state === "held") this.state = "silent"; }

  /** What was written to a peer that knows nothing of it is answered by a reset, when it is sent again. */
  #reset(): void {
    this.#owesReset = true;
    if (this.profile.network !== "up") return;
    const { world } = this.node;
    world.at(world.between(50, 6000), () => this.state === "silent" && this.profile.network === "up" && this.cut());
  }

  /** Both ends are told. */
  cut(): void {
    if (this.state === "closed") return;
    const { node } = this;
    node.world.at(0, () => node.closed(this), node);
    this.#end(1006);
  }

  serverDied(): void {
    if (this.state === "closed") return;
    if (this.node.world.chance(0.3) || this.profile.network !== "up") this.state = "silent";
    else this.#end(1006);
  }

  /** The tab's process is gone: the kernel closes what it had. */
  tabDied(): void {
    if (this.state === "open" && this.profile.network === "up") this.cut();
    else if (this.state !== "closed") this.state = "silent";
  }

  #end(code: number): void {
    this.state = "closed";
    this.socket.shut(code);
  }
}

export class SimulatedSocket implements SocketLike {
  readyState = 0;
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;
  link: Link | null = null;

  constructor(readonly tab: Tab) {
    tab.sockets.add(this);
    this.#connect();
  }

  #connect(): void {
    const { profile } = this.tab;
    const { world } = profile;
    world.at(profile.latency(), () => {
      if (this.readyState !== 0) return;
      if (profile.network === "hole") return void profile.waiting.push(() => this.#connect()); // SYN again, later
      const node = profile.network === "up" ? profile.balanced() : null;
      if (!node) return this.shut(1006);
      const link = (this.link = new Link(node, this, profile));
      link.state = "open";
      world.at(0, () => node.accepted(link), node);
      world.at(profile.latency(), () => {
        if (this.readyState !== 0) return;
        this.readyState = 1;
        this.onopen?.(new Event("open"));
      }, this.tab);
    });
  }

  send(text: string): void {
    if (isTold) this.tab.profile.world.note(`${this.tab.name} says ${text}`);
    if (this.readyState === 1) this.link?.up({ text });
  }

  close(code = 1005): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.tab.sockets.delete(this);
    this.link?.up({ code });
  }

  heard(text: string): void {
    const { world } = this.tab.profile;
    if (isTold) world.note(`${this.tab.name} hears ${text}`);
    world.at(0, () => this.readyState === 1 && this.onmessage?.({ data: text } as MessageEvent), this.tab);
  }

  shut(code: number): void {
    const { world } = this.tab.profile;
    this.tab.sockets.delete(this);
    world.at(0, () => {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose?.({ code } as CloseEvent);
    }, this.tab);
  }
}
