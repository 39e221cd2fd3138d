/**
 * Self-tests and a look inside, for the console of the browser. A file of its own, loaded when it is asked for. Nothing that it says holds a token, a CSRF
 * value or what people have written: a report may be pasted into a ticket.
 */

import type { Client } from "./client.js";
import { baseOf } from "./session.js";
import { showOverlay } from "./overlay.js";
import { redacted } from "./redaction.js";

export { redacted } from "./redaction.js";

export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** In words, or figures. */
  readonly detail: string;
}

const EVENTS = [
  "connectionStatusChanged", "disconnectionDetected", "reconnectionDetected", "maxReconnectAttemptsReached", "stateRestored", "initialStateReceived",
  "stateUpdateReceived", "checkpointSaved", "sessionRestored", "sessionStateChanged", "sessionExpiring", "sessionExpired", "sessionEnded", "platformSwitched",
  "handoffChanged", "conflictDetected", "changeRejected", "syncStatusChanged", "presenceChanged", "leaderChanged", "maintenanceChanged", "storageUnavailable", "serverError",
] as const;
const PROBE_KEY = "sessile_debug_test";

export interface DebugOptions {
  /** Where Sessile is mounted; by default the page's origin. */
  readonly url?: string;
  readonly log?: (...words: unknown[]) => void;
  readonly fetch?: typeof fetch;
}

export class DebugTools {
  readonly #log: (...words: unknown[]) => void;
  readonly #base: URL;
  readonly #fetch: typeof fetch;

  constructor(private readonly client: Client, options: DebugOptions = {}) {
    this.#log = options.log ?? ((...words) => console.log(...words));
    this.#base = baseOf(options.url);
    this.#fetch = options.fetch ?? ((...call) => fetch(...call));
  }

  /** All of them, one after the other. */
  async runAll(): Promise<Finding[]> {
    const findings: Finding[] = [];
    for (const test of [this.check, this.testStorage, this.testApi, this.testCookies, this.testSync]) findings.push(...(await test.call(this)));
    return findings;
  }

  /** How the client stands. */
  async check(): Promise<Finding[]> {
    const { status, role, transport, isStorageDurable, documents, session, tabId } = this.client;
    return this.#tell([
      finding("client", true, `tab ${tabId.slice(-8)}, ${role}, ${transport}`),
      finding("connection", ["connected", "degraded"].includes(status), status),
      finding("session", session !== null, session ? `${session.session_id.slice(0, 8)}…, until ${session.expires_at}` : "nobody is logged in, as far as is known"),
      finding("storage", isStorageDurable, isStorageDurable ? "changes survive the tab" : `in memory only: ${this.client.stats().storageFailure}`),
      ...documents.map((doc) => finding(`document ${doc.name}`, doc.problem === null, `version ${doc.version}, ${doc.syncStatus}, ${doc.pendingCount} to send${doc.problem ? `: ${doc.problem}` : ""}`)),
    ]);
  }

  /** Reads the session again, and asks for every document whether anything is missing. Writes nothing. */
  async testSync(): Promise<Finding[]> {
    const session = await this.client.refresh();
    for (const doc of this.client.documents) doc.requestSync();
    return this.#tell([finding("sync", session !== null, session ? "the session was read again; documents were asked for" : "the session could not be read")]);
  }

  /** Writes and removes something in local storage and in a database of its own. */
  async testStorage(): Promise<Finding[]> {
    const estimate = await globalThis.navigator?.storage?.estimate?.();
    return this.#tell([
      await attempt("local storage", () => {
        const value = String(Math.random());
        localStorage.setItem(PROBE_KEY, value);
        const isSame = localStorage.getItem(PROBE_KEY) === value;
        localStorage.removeItem(PROBE_KEY);
        if (!isSame) throw new Error("it gives back something else than was written");
        return "writes and reads";
      }),
      await attempt("IndexedDB", async () => {
        await done(indexedDB.open(PROBE_KEY, 1)).then((database) => database.close());
        await done(indexedDB.deleteDatabase(PROBE_KEY));
        return estimate?.quota ? `opens; ${Math.round((estimate.usage ?? 0) / 1024)} of ${Math.round(estimate.quota / 1024)} KiB are used` : "opens";
      }),
    ]);
  }

  /** Asks the service with GET requests, which prolong nothing. */
  async testApi(): Promise<Finding[]> {
    const findings: Finding[] = [];
    for (const path of ["api/session_state", "api/v0/session", "api/v0/session/check-connection"]) {
      findings.push(await attempt(`GET /${path}`, async () => {
        const began_ms = performance.now();
        const response = await this.#fetch(new URL(path, this.#base).href, { credentials: "same-origin", cache: "no-store" });
        const { reason } = (await response.json().catch(() => ({}))) as { reason?: string };
        const words = `${response.status} in ${Math.round(performance.now() - began_ms)} ms${reason ? `, ${reason}` : ""}`;
        if (!response.ok) throw new Error(words);
        return words;
      }));
    }
    return this.#tell(findings);
  }

  /** Names of the cookies that scripts see, never their values. The session's must not be among them. */
  async testCookies(): Promise<Finding[]> {
    const names = document.cookie.split(";").map((cookie) => cookie.split("=")[0]?.trim() ?? "").filter(Boolean);
    const seen = names.filter((name) => /session|sessile/i.test(name));
    return this.#tell([
      finding("cookies are on", navigator.cookieEnabled, navigator.cookieEnabled ? "yes" : "this browser sends none"),
      finding("session cookie", seen.length === 0, seen.length === 0 ? "not to be seen by scripts, as it should be" : `scripts can read ${seen.join(", ")}: HttpOnly is missing`),
      finding("other cookies", true, names.filter((name) => !seen.includes(name)).join(", ") || "none"),
    ]);
  }

  /** Says every event of the page from now on; the returned function ends it. */
  async monitorEvents(): Promise<() => void> {
    const say = (event: Event) => this.#log(`sessile ${event.type}`, redacted((event as CustomEvent).detail));
    for (const name of EVENTS) window.addEventListener(name, say);
    return () => EVENTS.forEach((name) => window.removeEventListener(name, say));
  }

  async stats(): Promise<Readonly<Record<string, unknown>>> {
    const { status, role, transport } = this.client;
    return { status, role, transport, ...this.client.stats() };
  }

  /** A small window in a corner of the page; the returned function takes it away. */
  async overlay(): Promise<() => void> {
    return showOverlay(this.client);
  }

  #tell(findings: Finding[]): Finding[] {
    for (const { name, ok, detail } of findings) this.#log(`${ok ? "✓" : "✗"} ${name}: ${detail}`);
    return findings;
  }
}

/** The tools for a client: `(await import("sessile/debug")).debugTools(client).runAll()`. */
export const debugTools = (client: Client, options?: DebugOptions): DebugTools => new DebugTools(client, options);

const finding = (name: string, ok: boolean, detail: string): Finding => ({ name, ok, detail });

async function attempt(name: string, work: () => string | Promise<string>): Promise<Finding> {
  try {
    return finding(name, true, await work());
  } catch (error) {
    return finding(name, false, error instanceof Error ? error.message : String(error)); // what went wrong is the finding
  }
}

const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error as DOMException);
});
