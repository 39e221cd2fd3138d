/** The frames of protocol/README.md, as far as the client reads or makes them. */

import type { HandoffState } from "./handoff.js";
import type { Operation } from "./operations.js";
import type { Json, JsonObject } from "./values.js";

/** `known`: the server has the change, but this tab was not told the verdict. */
export type VerdictName = "applied" | "noop" | "rejected" | "conflict" | "known";

export interface Detail {
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  readonly current?: Json;
  readonly notices?: readonly string[];
}

export interface SentVerdict {
  readonly seq: number;
  readonly version: number | null;
  readonly verdict: VerdictName;
  readonly detail?: Detail;
  readonly conflicts?: readonly string[];
}

export interface Conflict {
  readonly conflict_id: string;
  readonly path: string;
  readonly reason: "concurrent" | "superseded" | "parent_removed";
  readonly base?: Json;
  readonly winner?: Json;
  readonly loser?: Json;
  readonly winner_device_no: number;
  readonly loser_device_no: number;
  readonly version: number;
  readonly opened_at: string;
}

export interface Logged {
  readonly version: number;
  readonly generation: number;
  readonly device_no: number;
  readonly seq: number | null;
  readonly operations: readonly Operation[];
  readonly verdict: VerdictName;
  readonly at: string;
  readonly detail?: Detail;
  readonly conflicts?: readonly Conflict[];
  readonly resolved?: readonly string[];
  readonly hash?: string;
}

/** What pages may know of a user: the id, and what the application made public. */
export interface User {
  readonly id: string;
  readonly [key: string]: Json;
}

export interface Platform {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly is_default: boolean;
}

export interface Session {
  readonly session_id: string;
  readonly user: User | null;
  readonly platform: Platform | null;
  readonly created_at: string;
  readonly last_activity: string;
  readonly idle_expires_at: string;
  readonly absolute_expires_at: string;
  /** The nearer of the two. */
  readonly expires_at: string;
  /** Would activity move it? */
  readonly can_extend: boolean;
  readonly remembered: boolean;
}

/** One of the person's sessions, as the list of them shows it. */
export interface OwnSession extends Session {
  readonly device: { readonly label?: string; readonly [fact: string]: Json | undefined };
  readonly is_current: boolean;
  readonly is_connected: boolean;
  readonly disconnected_at: string | null;
  readonly reconnected_at: string | null;
}

export interface Opened {
  readonly document_id: string;
  readonly name: string;
  readonly device_no: number;
  readonly last_seq: number;
  readonly epoch: string;
  readonly version: number;
}

export interface NotOpened {
  readonly document_id?: string;
  readonly name?: string;
  readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean };
}

export interface Wanted {
  name: string;
  default?: JsonObject;
  epoch?: string;
  version?: number;
}

export interface Checkpoint {
  readonly checkpoint_id: string;
  readonly document_id: string;
  readonly version: number;
  readonly kind: "manual" | "step" | "automatic" | "before_restore";
  readonly label: string | null;
  readonly step: number | null;
  readonly created_at: string;
  readonly device_no: number | null;
}

export interface Device {
  readonly device_no: number;
  readonly label: string;
  readonly tabs: number;
  readonly visible: boolean;
  readonly behind: number;
  readonly last_seen_at: string;
  readonly is_primary: boolean;
}

export interface InitialState {
  readonly type: "initial_state";
  readonly document_id: string;
  readonly name: string;
  readonly epoch: string;
  readonly version: number;
  readonly generation: number;
  readonly timestamp: string;
  readonly state: JsonObject;
  readonly hash: string;
  readonly last_seq: number;
  readonly conflicts: readonly Conflict[];
}

export interface StateUpdate {
  readonly type: "state_update";
  readonly document_id: string;
  readonly epoch: string;
  readonly generation: number;
  readonly from: number;
  readonly to: number;
  readonly timestamp: string;
  readonly changes: readonly Logged[];
}

export interface Ack {
  readonly type: "ack";
  readonly document_id: string;
  readonly epoch: string;
  readonly seq: number;
  readonly verdicts: readonly SentVerdict[];
}

export interface Nack {
  readonly type: "nack";
  readonly document_id: string;
  readonly expected_seq: number;
  readonly reason: "gap" | "rate" | "identity_reused" | "unavailable";
  readonly retry_after_ms?: number;
}

export interface Difference {
  readonly path: string;
  readonly current?: Json;
  readonly restored?: Json;
}

export interface RestorePreview {
  readonly type: "restore_preview";
  readonly request_id: string;
  readonly document_id: string;
  readonly checkpoint_id: string;
  readonly version: number;
  readonly differences: readonly Difference[];
}

export interface SessionRestored {
  readonly type: "session_restored";
  readonly document_id: string;
  readonly epoch: string;
  readonly generation: number;
  readonly version: number;
  readonly timestamp: string;
  readonly checkpoint_id: string;
  readonly before_checkpoint_id: string;
  readonly device_no: number;
  readonly request_id?: string;
}

/** Nobody new is let in from `since` on, which can lie ahead; `until` is null when nobody knows. */
export interface Maintenance {
  readonly message: string;
  readonly since: string;
  readonly until: string | null;
}

export type ServerFrame =
  /** Of `StreamSocket`: what a request of the page was answered over HTTP. */
  | { readonly type: "answer"; readonly request_id: string; readonly value: unknown }
  | {
      readonly type: "welcome";
      readonly connection_id: string;
      readonly server_time: string;
      readonly session: Session;
      readonly ping_interval_ms: number;
      readonly lost_after_ms: number;
      readonly limits: JsonObject;
      readonly documents: readonly (Opened | NotOpened)[];
    }
  | { readonly type: "subscribed"; readonly request_id: string; readonly documents: readonly (Opened | NotOpened)[] }
  | InitialState
  | StateUpdate
  | Ack
  | Nack
  | {
      readonly type: "checkpoint_saved";
      readonly document_id: string;
      readonly epoch: string;
      readonly version: number;
      readonly timestamp: string;
      readonly checkpoint: Checkpoint;
      readonly request_id?: string;
    }
  | RestorePreview
  | SessionRestored
  | { readonly type: "presence_state"; readonly document_id: string; readonly devices: readonly Device[] }
  | { readonly type: "presence_diff"; readonly document_id: string; readonly devices: readonly Device[]; readonly left: readonly number[] }
  | { readonly type: "session_changed"; readonly session_id: string; readonly reload: true; readonly refresh?: boolean }
  | { readonly type: "session_expiring"; readonly session_id: string; readonly expires_at: string; readonly can_extend: boolean }
  | { readonly type: "session_ended"; readonly session_id: string; readonly reason: string; readonly clock?: "idle" | "absolute" }
  | ({ readonly type: "handoff_changed"; readonly session_id: string } & HandoffState)
  | { readonly type: "ping"; readonly at: string; readonly heads: { readonly [document_id: string]: readonly [string, number] } }
  | { readonly type: "maintenance"; readonly maintenance: Maintenance | null }
  | { readonly type: "goaway"; readonly reason: string; readonly retry_min_ms: number; readonly retry_max_ms: number }
  | { readonly type: "error"; readonly code: string; readonly message: string; readonly retryable: boolean; readonly ref?: string }
  | { readonly type: "part"; readonly ref: string; readonly part: number; readonly of: number; readonly chunk: string };
