/** Live documents with a durable outbox, for browsers: all of it. */

export { Client, connect } from "./client.js";
export type { ConnectionStatus, StatusChange, Transport } from "./connection.js";
export { Doc } from "./document.js";
export type { Environment } from "./environment.js";
export { SessileError } from "./errors.js";
export type { EventName, Events, SyncStatus } from "./events.js";
export type { Checkpoint, Conflict, Detail, Device, Difference, Logged, OwnSession, Platform, RestorePreview, Session, SessionRestored, User, VerdictName } from "./frames.js";
export type { ChangeHandle, DocSnapshot, Refusal, Resolution, Verdict } from "./host.js";
export type { Item, ItemId, Operation } from "./operations.js";
export type { ClientSnapshot, ConnectOptions, CoreSnapshot, DocumentOptions, Stats } from "./options.js";
export type { Role } from "./tabs.js";
export { formatPointer, parsePointer } from "./pointer.js";
export type { Json, JsonObject } from "./values.js";
export { bindForms, bindOnce as bindForm } from "./elements.js";
export { type HandoffOffer, type HandoffState, redeemHandoff, type RedeemedHandoff } from "./handoff.js";
export { defineStatusElement } from "./status.js";
