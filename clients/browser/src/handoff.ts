/** Going on at another device: the one that is logged in offers a code and agrees, the other one comes with the code and waits. */

import { browserEnvironment, type Environment } from "./environment.js";
import { SessileError } from "./errors.js";
import type { Session } from "./frames.js";
import { deviceFacts } from "./page.js";
import { baseOf, type Call, Http } from "./session.js";
import type { JsonObject } from "./values.js";

export interface HandoffOffer {
  readonly handoff_id: string;
  /** To be typed, like `ABCD-EFGH`. */
  readonly code: string;
  /** What the picture leads to. */
  readonly url: string;
  /** The picture: the text of an SVG. */
  readonly qr_svg: string;
  readonly expires_at: string;
}

export interface HandoffState {
  readonly handoff_id: string;
  readonly status: "offered" | "redeemed" | "confirmed" | "refused" | "completed";
  /** The device that asks. */
  readonly device: { readonly label?: string } | null;
  readonly expires_at: string;
}

/** `client.handoff`: the side of the device that is logged in. */
export class Handoffs {
  constructor(private readonly call: Call) {}

  /** A code that is good once and for two minutes; `path` is where the other device goes on. */
  offer(path?: string): Promise<HandoffOffer> {
    return this.call("api/v0/handoff", "POST", path === undefined ? {} : { path });
  }

  /** For a page that may have missed a `handoffChanged`. */
  status(handoff_id: string): Promise<HandoffState> {
    return this.call(`api/v0/handoff/${encodeURIComponent(handoff_id)}`);
  }

  confirm(handoff_id: string, accept: boolean): Promise<HandoffState> {
    return this.call("api/v0/handoff/confirm", "POST", { handoff_id, accept });
  }
}

export interface RedeemedHandoff {
  /** Whose account it is: what the application made public of the user. */
  readonly user: JsonObject;
  readonly expires_at: string;
  /** Settles when the first device has agreed and this browser is logged in: go to `path`. Rejected when it does not agree in time. */
  readonly completed: Promise<{ readonly session: Session; readonly path: string }>;
}

const POLL_MS = 1000;
/** Longer than the server waits for anybody. */
const PATIENCE_MS = 300_000;

/** For a page without a session. Rejected with `handoff_refused` for a wrong code, and `too_many` after some of them. */
export async function redeemHandoff(url: string | undefined, code: string, environment: Partial<Environment> = {}): Promise<RedeemedHandoff> {
  const { fetch, timers } = { ...browserEnvironment(), ...environment };
  const http = new Http(fetch, timers, baseOf(url), undefined);
  const post = (path: string, body: object) => http.json(`api/v0/handoff/${path}`, "POST", body);
  const { handoff_id, claim, user, expires_at } = (await post("redeem", { code, device: deviceFacts() })) as {
    handoff_id: string; claim: string; user: JsonObject; expires_at: string;
  };
  const give_up_at = timers.now() + PATIENCE_MS;
  const complete = async (): Promise<{ session: Session; path: string }> => {
    for (;;) {
      try {
        const answer = (await post("complete", { handoff_id, claim })) as { status: string; session: Session; path: string };
        if (answer.status === "completed") return answer;
      } catch (error) {
        if (!(error instanceof SessileError) || !error.retryable || timers.now() > give_up_at) throw error;
      }
      await new Promise<void>((resolve) => timers.set(resolve, POLL_MS));
    }
  };
  const completed = complete();
  completed.catch(() => undefined); // whoever waits for it gets the error
  return { user, expires_at, completed };
}
