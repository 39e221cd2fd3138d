/** Live documents with a durable outbox, for browsers. */

export { Client, connect, type ConnectOptions, type DocumentOptions, type Stats } from "./client.js";
export type { ConnectionStatus, StatusChange } from "./connection.js";
export { type ChangeHandle, Doc, type DocSnapshot, type Refusal, type Resolution, type Verdict } from "./document.js";
export { bindForms, bindOnce as bindForm } from "./elements.js";
export type { Environment } from "./environment.js";
export { SessileError } from "./errors.js";
export type { EventName, Events, SyncStatus } from "./events.js";
export type { Checkpoint, Conflict, Detail, Device, Difference, Logged, RestorePreview, Session, SessionRestored, VerdictName } from "./frames.js";
export type { Item, ItemId, Operation } from "./operations.js";
export { formatPointer, parsePointer } from "./pointer.js";
export { defineStatusElement } from "./status.js";
export type { Json, JsonObject } from "./values.js";
