// What the API of the console answers. Only what the pages use is named; unknown fields are ignored.
import type { Json } from "./difference";
import type { History, HistoryPoint } from "./series";
import type { Entry, Span } from "./timeline";

export type State = "online" | "degraded" | "offline" | "quiet" | "ended" | "expired";
export type Right = "document.state" | "session.end" | "session.extend" | "session.resync" | "session.platform" | "user.end"
  | "document.restore" | "document.fork" | "user.disable" | "audit.export" | "alert.acknowledge" | "settings.read" | "operators.manage";

export interface Me {
  readonly operator: string;
  readonly role: "read_only" | "operator" | "admin";
  readonly rights: readonly string[];
  readonly csrf: string;
  readonly idle_expires_at: string;
  readonly absolute_expires_at: string;
  readonly server: { readonly version: string; readonly node_id: string; readonly now: string; readonly confirm_above: number };
}
export interface Node { readonly node_id: string; readonly is_self: boolean; readonly devices: number; readonly tabs: number; readonly sessions: number }
export interface Counts {
  readonly live: number; readonly online: number; readonly degraded: number; readonly offline: number; readonly quiet: number;
  readonly users: number; readonly anonymous: number; readonly overdue: number;
}
export interface OverviewNow {
  readonly at: string;
  readonly counts: Counts;
  readonly rates: { readonly connects_s: number | null; readonly disconnects_s: number | null; readonly changes_s: number | null };
  readonly heartbeat: { readonly p50_ms: number | null; readonly p95_ms: number | null; readonly samples: number };
  readonly restores?: { readonly done: number; readonly failed?: number };
  readonly nodes: readonly Node[];
  readonly maintenance: { readonly message: string; readonly until: string | null } | null;
}
export interface Overview extends OverviewNow { readonly history: History }
export interface OverviewEvent extends OverviewNow { readonly point?: HistoryPoint }

export interface Row {
  readonly session_id: string;
  readonly user_id: string | null;
  readonly state: State;
  readonly platform_id: string | null;
  readonly device: string | null;
  readonly nodes: readonly string[];
  readonly tabs: number;
  readonly rtt_ms: number | null;
  readonly created_at: string;
  readonly last_seen_at: string;
  readonly expires_at: string;
  readonly disconnected_at: string | null;
  readonly reconnected_at: string | null;
  readonly ended_at: string | null;
  readonly end_reason: string | null;
  readonly is_remembered: boolean;
  readonly version: number;
}
export interface SessionList { readonly sessions: readonly Row[]; readonly total: number; readonly after: string | null }
export interface Platform { readonly id: string; readonly name: string; readonly kind: string; readonly is_default: boolean }
export interface SessionDevice {
  readonly device_id: string | null; readonly label: string | null; readonly node_id: string; readonly tabs: number; readonly visible: boolean;
  readonly seen_at: string; readonly lease_until: string;
}
export interface Doc {
  readonly document_id: string; readonly name: string; readonly kind: string | null; readonly owner_user_id: string | null; readonly version: number;
  readonly status: string; readonly updated_at: string; readonly last_activity_at: string;
}
export interface User { readonly user_id: string; readonly roles: readonly string[]; readonly disabled_at: string | null; readonly sessions_max: number | null; readonly sessions: number }
export interface SessionDetail {
  readonly session: Row & {
    readonly authenticated_at: string | null; readonly idle_expires_at: string; readonly absolute_expires_at: string;
    readonly can_extend: boolean; readonly data_bytes: number; readonly is_bound: boolean;
  };
  readonly platform: Platform | null;
  readonly platforms: readonly Platform[];
  readonly devices: readonly SessionDevice[];
  readonly documents: readonly Doc[];
  readonly documents_truncated?: boolean;
  readonly user: User | null;
}
export interface Timeline { readonly entries: readonly Entry[]; readonly spans: readonly Span[]; readonly before: string | null }
export interface Checkpoint {
  readonly checkpoint_id: string; readonly version: number; readonly kind: string; readonly label: string; readonly step: number | null;
  readonly created_at: string; readonly device_no: number | null;
}
export interface Difference { readonly path: string; readonly from?: Json; readonly to?: Json }
export interface Device extends SessionDevice { readonly session_id: string; readonly user_id: string | null }
export interface AuditEvent {
  readonly id: string; readonly at: string; readonly event: string; readonly type: string; readonly stream: string; readonly position: number;
  readonly user_id: string | null; readonly session_id: string | null; readonly document_id: string | null; readonly by: string | null; readonly reason: string | null;
  readonly data: Readonly<Record<string, Json>>; readonly hash: string;
}
export interface Verified {
  readonly ok: boolean; readonly streams: number; readonly events: number; readonly checked_at: string;
  readonly faults: readonly { readonly stream: string; readonly position: number; readonly problem: string }[];
}
export type Fact = string | number | boolean | null;
export interface Component { readonly name: string; readonly state: string; readonly since: string | null; readonly facts: Readonly<Record<string, Fact>> }
/** Of the process that answers; each has its own. */
export interface Alert {
  readonly rule: string; readonly meaning: string; readonly severity: string; readonly state: string; readonly since: string; readonly value: number | null; readonly threshold: number | null;
  readonly unit: string; readonly told_again_at: string | null; readonly acknowledged_by: string | null; readonly note: string;
}
export interface Health {
  readonly alerts?: readonly Alert[]; readonly at: string; readonly state: string; readonly components: readonly Component[];
  readonly flips: readonly { readonly at: string; readonly name: string; readonly from: string; readonly to: string }[];
}
export interface Setting { readonly name: string; readonly value: Json; readonly is_default: boolean; readonly is_secret: boolean; readonly text: string }
export interface About {
  readonly version: string; readonly python: string; readonly database: string; readonly redis: string; readonly node_id: string; readonly started_at: string;
  readonly licences: readonly { readonly name: string; readonly version: string; readonly licence: string }[];
}
export interface OperatorEntry {
  readonly id: string; readonly operator: string; readonly role: string; readonly kind: string; readonly created_at: string; readonly seen_at: string | null;
  readonly expires_at: string; readonly is_current: boolean;
}
