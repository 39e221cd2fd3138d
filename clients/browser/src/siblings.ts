/** What the tabs of one browser tell each other. A hint only: the outbox is the truth, and a lost message loses nothing. */

import type { StatusChange } from "./connection.js";
import type { Shared } from "./core.js";
import type { ChannelLike, Environment } from "./environment.js";
import type { Device, NotOpened, SentVerdict, ServerFrame, Session } from "./frames.js";
import type { LastOwner } from "./outbox.js";
import type { JsonObject } from "./values.js";

/** A document that another tab has open. */
export interface Lent {
  readonly name: string;
  readonly default?: JsonObject;
  /** The tab has no state that it could go on from. */
  readonly isNeeded: boolean;
}

/** How the leader stands with the server. */
export interface Standing {
  readonly owner: LastOwner | null;
  readonly session: Session | null;
  readonly device_id: string | null;
  readonly status: StatusChange;
}

export type SiblingMessage =
  | { readonly kind: "outbox"; readonly owner: string; readonly name: string }
  | { readonly kind: "verdicts"; readonly owner: string; readonly name: string; readonly device_id: string; readonly verdicts: readonly SentVerdict[] }
  | { readonly kind: "identity"; readonly owner: string }
  | { readonly kind: "session" }
  /** The same session, with something else in it: for tabs whose socket is not there to say so. */
  | { readonly kind: "session_changed" }
  /** The server answers. */
  | { readonly kind: "connected" }
  // From the leader.
  | { readonly kind: "beat"; readonly tab: string; readonly term: number; readonly visible: boolean }
  | { readonly kind: "standing"; readonly to: string | null; readonly term: number; readonly standing: Standing }
  | { readonly kind: "state"; readonly to: string; readonly owner: string; readonly name: string; readonly shared: Shared; readonly devices: readonly Device[] }
  | { readonly kind: "refused"; readonly to: string; readonly owner: string; readonly name: string; readonly error: NotOpened["error"] }
  | { readonly kind: "frame"; readonly owner: string; readonly frame: ServerFrame }
  // To the leader.
  | { readonly kind: "here"; readonly tab: string; readonly visible: boolean; readonly asks: boolean; readonly documents: readonly Lent[] }
  | { readonly kind: "gone"; readonly tab: string }
  | { readonly kind: "ask"; readonly frame: { readonly request_id: string } }
  | { readonly kind: "probe" }
  | { readonly kind: "wake" };

export class Siblings {
  #channel: ChannelLike | null = null;

  constructor(
    private readonly environment: Pick<Environment, "BroadcastChannel">,
    private readonly name: string,
    private readonly listener: (message: SiblingMessage) => void,
  ) {
    this.open();
  }

  get isOpen(): boolean { return this.#channel !== null; }

  open(): void {
    const { BroadcastChannel } = this.environment;
    if (this.#channel || !BroadcastChannel) return;
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = (event) => this.listener(event.data as SiblingMessage);
  }

  /** A page that goes to sleep has closed its channel, which would keep it out of the back-forward cache, and may still be storing its last words. */
  tell(message: SiblingMessage): void {
    if (this.#channel) return this.#channel.postMessage(message);
    const channel = this.environment.BroadcastChannel && new this.environment.BroadcastChannel(this.name);
    channel?.postMessage(message);
    channel?.close();
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }
}
