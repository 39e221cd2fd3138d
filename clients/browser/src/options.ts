/** What `connect` and `document` take, and what `stats` gives. */

import type { ConnectionStatus, Transport } from "./connection.js";
import type { Environment } from "./environment.js";
import type { Platform, Session } from "./frames.js";
import type { Token } from "./session.js";
import type { Role } from "./tabs.js";
import type { JsonObject } from "./values.js";

export interface ConnectOptions {
  /** Where Sessile is mounted; by default the page's origin. */
  readonly url?: string;
  /** Name of the IndexedDB database and of the channel between tabs. */
  readonly storageName?: string;
  /** Gives up after this many tries in a row; by default never. */
  readonly maxReconnectAttempts?: number;
  /** For pages on another origin: a bearer token, sent in headers and in the first frame, never in an address. */
  readonly token?: Token;
  /** The platform of this tab alone, where it is another than the session's. */
  readonly platform?: string;
  /** What other devices see of this one. */
  readonly device?: { readonly label?: string; readonly screen?: string; readonly time_zone?: string; readonly language?: string; readonly platform?: string };
  /**
   * Asks the browser, with the first change that is stored, to keep this site's storage when the disk is full. On by default. Chromium and Safari decide by
   * themselves; Firefox asks the person.
   */
  readonly persist?: boolean;
  /** Asks before the page is left while changes are not stored anywhere. On by default. */
  readonly leaveGuard?: boolean;
  /** A connection that is back within so many milliseconds was never away, as far as the page is told; by default 1000. */
  readonly quietReconnectMs?: number;
  /** The file that keeps time while the page is hidden; by default the one that the server has. */
  readonly workerUrl?: string;
  /** For tests. */
  readonly environment?: Partial<Environment>;
}

export interface DocumentOptions {
  /** The state of a document that does not exist yet. */
  readonly default?: JsonObject;
}

/** What `client.getSnapshot()` gives: one object for as long as all of it is the same. */
export interface CoreSnapshot {
  readonly status: ConnectionStatus;
  readonly session: Session | null;
  readonly isOffline: boolean;
  readonly isStorageDurable: boolean;
  /** Changes of all documents that the server has not answered yet. */
  readonly pendingCount: number;
  /** Those that would be lost with this tab. */
  readonly unstoredCount: number;
}

/** The same of the whole client. */
export interface ClientSnapshot extends CoreSnapshot {
  readonly transport: Transport;
  readonly role: Role;
  readonly platform: Platform | null;
}

export interface Stats {
  readonly connects: number;
  readonly framesIn: number;
  readonly framesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly pending: number;
  /** False when changes are kept in memory only; `storageFailure` says why. */
  readonly durable: boolean;
  readonly storageFailure: string | null;
  /** Whether the browser keeps the storage when the disk is full; null while it has not been asked, or does not say. */
  readonly persisted: boolean | null;
  readonly hashesMatched: number;
  readonly hashesDiffered: number;
  /** Not checked, because this browser offers no `crypto.subtle` here (an insecure origin). */
  readonly hashesSkipped: number;
}
