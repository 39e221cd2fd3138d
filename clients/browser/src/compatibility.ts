/** Names that pages may know already: `sessionSync` and the tools of the console, on top of the client. */

import type { Client } from "./client.js";
import { isUp } from "./connection.js";
import type { DebugTools } from "./debug.js";
import type { Session } from "./frames.js";

/** `window.SessionSync`; `window.sessionSync` is the page's one. */
export class SessionSync {
  constructor(readonly client: Client) {}

  /** True when it is known who is here, even if it is nobody. */
  get isInitialized(): boolean { return this.client.session !== null || this.client.status === "needs_auth"; }
  get isOnline(): boolean { return isUp(this.client.status); }
  getTabId(): string { return this.client.tabId; }

  /** Reads the session again, and asks for what documents may have missed. Every tab shows what comes of it. */
  syncSessionState(): Promise<Session | null> {
    for (const doc of this.client.documents) doc.requestSync();
    return this.client.refresh();
  }
}

type Call = (...given: never[]) => Promise<unknown>;
type Names<T> = { readonly [Name in keyof T as T[Name] extends Call ? Name : never]: T[Name] };
export type Debug = Names<DebugTools>;

const TOOLS: readonly (keyof Debug)[] = ["runAll", "check", "testSync", "testStorage", "testApi", "testCookies", "monitorEvents", "stats", "overlay"];
const SYNC_NAMES = { checkInit: "check", testSync: "testSync", testStorage: "testStorage" } as const;
const TOOL_NAMES = {
  runAllTests: "runAll", testSessionSync: "check", testLocalStorage: "testStorage", testAPIEndpoints: "testApi", testCookies: "testCookies", monitorEvents: "monitorEvents",
} as const;

/** Each loads the tools when it is called. */
export function debugOf(load: () => Promise<DebugTools>): Debug {
  return named(Object.fromEntries(TOOLS.map((name) => [name, name])), load) as unknown as Debug;
}

/** Puts the names on `scope`. The client is made when one of them is used, not before. */
export function publish(scope: object, clientOf: () => Client, load: () => Promise<DebugTools>): void {
  let sync: SessionSync | undefined;
  if ("sessionSync" in scope) return;
  Object.defineProperty(scope, "sessionSync", { configurable: true, get: () => (sync ??= new SessionSync(clientOf())) });
  Object.assign(scope, { SessionSync, debugSessionSync: named(SYNC_NAMES, load), sessionDebugTools: named(TOOL_NAMES, load) });
}

const named = (names: Readonly<Record<string, keyof Debug>>, load: () => Promise<DebugTools>): Record<string, () => Promise<unknown>> =>
  Object.fromEntries(Object.entries(names).map(([name, tool]) => [name, async () => (await load())[tool]()]));
