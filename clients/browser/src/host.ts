/** What a document gives to a page and what it needs from its client. */

import type { BaseDoc } from "./base-document.js";
import type { Timers } from "./environment.js";
import type { Events, SyncStatus } from "./events.js";
import type { Conflict, Detail, Device, SentVerdict } from "./frames.js";
import type { Entry, Outbox } from "./outbox.js";
import type { Json, JsonObject } from "./values.js";

export interface Verdict extends SentVerdict {
  readonly detail?: Detail;
}

/** `seq` is null when the change was refused before it was queued. */
export interface Refusal {
  readonly seq: number | null;
  readonly code: string;
  readonly message: string;
}

export interface ChangeHandle {
  /** Null until the outbox has given the change its number. */
  readonly seq: number | null;
  /** Settles when the change survives this tab; rejected with `not_stored` when it is kept in memory only. */
  readonly local: Promise<void>;
  /** Settles when the server has committed its verdict and `confirmed` shows it. */
  readonly durable: Promise<Verdict>;
}

export interface DocSnapshot {
  readonly state: JsonObject;
  readonly conflicts: readonly Conflict[];
  readonly devices: readonly Device[];
  readonly pendingCount: number;
  readonly syncStatus: SyncStatus;
  readonly version: number;
  /** False while there is nothing to show but the default. */
  readonly isReady: boolean;
  /** Why work is not saved, in words; null when nothing is wrong. */
  readonly problem: string | null;
}

export type Resolution = { readonly choice: "mine" | "theirs" } | { readonly value: Json };

/** What every document needs from its client. */
export interface BaseHost {
  readonly outbox: Outbox;
  readonly timers: Timers;
  readonly random: () => number;
  readonly subtle: SubtleCrypto | undefined;
  readonly owner: string | null;
  /** The device id that the open connection said in its hello. */
  readonly deviceId: string | null;
  readonly isConnected: boolean;
  /** The connection was lost a moment ago, and the page does not know. */
  readonly isQuiet: boolean;
  /** Another tab has the socket. */
  readonly isFollowing: boolean;
  readonly needsAuth: boolean;
  whenOwner(): Promise<string>;
  send(frame: object): boolean;
  emit<Name extends keyof Events>(name: Name, detail: Events[Name]): void;
  /** A change was stored under `entry.device_id`: tell the other tabs, and reconnect if that is a new identity. */
  stored(entry: Entry): void;
  verdicts(name: string, deviceId: string, verdicts: readonly SentVerdict[]): void;
  /** Acknowledged entries have left the outbox, or there were none to send. */
  acknowledged(doc: BaseDoc): void;
  /** This document's changes cannot go on under `deviceId`. */
  renewIdentity(name: string, deviceId: string): void;
  hashChecked(outcome: "hashesMatched" | "hashesDiffered" | "hashesSkipped"): void;
  /** Something changed that the leave-page guard or a status line depends on. */
  touched(): void;
}

/** What checkpoints and restores need besides. */
export interface Host extends BaseHost {
  request<T>(frame: object): Promise<T>;
  /** After a long absence: what a browser kept, for the server to merge. */
  comeBack(body: object): Promise<unknown>;
  getJson(path: string): Promise<unknown>;
}
