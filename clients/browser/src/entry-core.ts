/** Documents and their outbox on one socket: for pages with a user interface of their own that need no more than that. */

export { BaseDoc as Doc } from "./base-document.js";
export type { ConnectionStatus, StatusChange } from "./connection.js";
export { connect, CoreClient as Client, type CoreOptions as ConnectOptions } from "./core-client.js";
export { SessileError } from "./errors.js";
export type { EventName, Events, SyncStatus } from "./events.js";
export type { Conflict, Detail, Logged, Session, User, VerdictName } from "./frames.js";
export type { ChangeHandle, DocSnapshot, Refusal, Resolution, Verdict } from "./host.js";
export type { Item, ItemId, Operation } from "./operations.js";
export type { CoreSnapshot as ClientSnapshot, DocumentOptions } from "./options.js";
export { formatPointer, parsePointer } from "./pointer.js";
export type { Json, JsonObject } from "./values.js";
