/** Page events: on the client object and, as CustomEvents, on window. The names are those of the wire's documentation. */

import type { StatusChange } from "./connection.js";
import { reportError } from "./errors.js";
import type { Checkpoint, Conflict, Detail, Device, Logged, Maintenance, Platform, Session, SessionRestored, VerdictName } from "./frames.js";
import type { HandoffState } from "./handoff.js";
import type { Operation } from "./operations.js";
import type { Role } from "./tabs.js";
import type { JsonObject } from "./values.js";

export type SyncStatus = "saved_locally" | "syncing" | "synchronized" | "behind" | "diverged" | "needs_auth";

interface OfDocument {
  readonly document_id: string | null;
  readonly name: string;
}

export interface Events {
  connectionStatusChanged: StatusChange;
  disconnectionDetected: { readonly at_ms: number; readonly reason: string };
  reconnectionDetected: { readonly at_ms: number; readonly away_ms: number; readonly attempts: number };
  maxReconnectAttemptsReached: { readonly attempts: number };
  stateRestored: OfDocument & { readonly state: JsonObject; readonly version: number };
  initialStateReceived: OfDocument & { readonly state: JsonObject; readonly version: number };
  stateUpdateReceived: OfDocument & { readonly version: number; readonly changes: readonly Logged[] };
  checkpointSaved: OfDocument & { readonly checkpoint: Checkpoint };
  sessionRestored: OfDocument & Pick<SessionRestored, "checkpoint_id" | "before_checkpoint_id" | "device_no" | "version">;
  /** Anything in what the server says of the session, or nobody is logged in any more. */
  sessionStateChanged: { readonly session: Session | null };
  /** Soon over. Without `can_extend` only a new login helps. */
  sessionExpiring: { readonly session_id: string; readonly expires_at: string; readonly can_extend: boolean };
  sessionExpired: { readonly session_id: string | null };
  sessionEnded: { readonly session_id: string | null; readonly reason: string };
  /**
   * What this tab shows now. `optimistic`: a click that the server has not answered; the same event without it follows, with the platform
   * that the session is on then. `platform` is null when there is none, or when the list of them was never read here.
   */
  platformSwitched: { readonly platform_id: string | null; readonly platform: Platform | null; readonly optimistic: boolean };
  /** Another device came with the code, was answered, or is logged in. */
  handoffChanged: HandoffState;
  conflictDetected: OfDocument & { readonly conflict: Conflict };
  changeRejected: OfDocument & { readonly seq: number; readonly verdict: VerdictName; readonly detail: Detail | null; readonly operations: readonly Operation[] };
  syncStatusChanged: OfDocument & { readonly from: SyncStatus; readonly to: SyncStatus };
  presenceChanged: OfDocument & { readonly devices: readonly Device[] };
  /** Which tab of this browser has the socket: this one for all (`leader`), another one (`follower`), or this one for itself (`solo`). */
  leaderChanged: { readonly role: Role; readonly term: number };
  /** Maintenance was announced or has begun: who is here goes on, nobody new is let in. Null: it is over, or was called off. */
  maintenanceChanged: { readonly maintenance: Maintenance | null };
  /** The browser's storage failed: changes are kept in memory until the server has them. */
  storageUnavailable: { readonly reason: string };
  /** The server refused something that no answer can be tied to. */
  serverError: { readonly code: string; readonly message: string; readonly retryable: boolean; readonly ref: string | null };
}

export type EventName = keyof Events;
type Listener = (detail: never) => void;

export class Emitter {
  readonly #listeners = new Map<EventName, Set<Listener>>();

  constructor(private readonly window: EventTarget | undefined) {}

  /** Returns the function that takes the listener off again. */
  on<Name extends EventName>(name: Name, listener: (detail: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit<Name extends EventName>(name: Name, detail: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      guarded(() => (listener as (detail: Events[Name]) => void)(detail));
    }
    this.window?.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** A page's listener that throws must not stop the client; its error is reported as an uncaught one. */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    reportError(error);
  }
}
