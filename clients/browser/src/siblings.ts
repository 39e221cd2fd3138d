/** What the tabs of one browser tell each other. A hint only: the outbox is the truth, and a lost message loses nothing. */

import type { ChannelLike, Environment } from "./environment.js";
import type { SentVerdict } from "./frames.js";

export type SiblingMessage =
  | { readonly kind: "outbox"; readonly owner: string; readonly name: string }
  | { readonly kind: "verdicts"; readonly owner: string; readonly name: string; readonly device_id: string; readonly verdicts: readonly SentVerdict[] }
  | { readonly kind: "identity"; readonly owner: string }
  | { readonly kind: "session" }
  /** The same session, with something else in it: for tabs whose socket is not there to say so. */
  | { readonly kind: "session_changed" }
  /** The server answers. */
  | { readonly kind: "connected" };

export class Siblings {
  readonly #channel: ChannelLike | null;

  constructor(environment: Pick<Environment, "BroadcastChannel">, name: string, listener: (message: SiblingMessage) => void) {
    this.#channel = environment.BroadcastChannel ? new environment.BroadcastChannel(name) : null;
    if (this.#channel) this.#channel.onmessage = (event) => listener(event.data as SiblingMessage);
  }

  tell(message: SiblingMessage): void {
    this.#channel?.postMessage(message);
  }

  close(): void {
    this.#channel?.close();
  }
}
