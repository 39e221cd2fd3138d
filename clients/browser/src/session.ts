/** Who is here: read from the server before the first socket, remembered for the time without one. */

import type { Timers } from "./environment.js";
import { SessileError } from "./errors.js";
import type { Session } from "./frames.js";
import type { LastOwner } from "./outbox.js";

/** `none`: the server says nobody is logged in. `unknown`: it could not be asked, which is a different thing. */
export type SessionAnswer =
  | { readonly kind: "session"; readonly session: Session }
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly error: SessileError };

export type Token = () => string | Promise<string>;

/** A call that answers with JSON; rejected with `SessileError`. */
export type Call = <T>(path: string, method?: "GET" | "POST" | "DELETE", body?: object) => Promise<T>;

/** Where the server is mounted, as a folder. */
export function baseOf(url = "/"): URL {
  const base = new URL(url, globalThis.location?.href ?? url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}

/** A network that swallows everything must not keep a page from showing what it has. */
const TIMEOUT_MS = 5000;
/** What has much to say has longer: a slow network is not a dead one. */
const CHARACTERS_PER_MS = 4;

/** Requests of a page. */
export class Http {
  /** The tab's own platform, which every request names; null: the session's. */
  platformId: string | null = null;

  constructor(
    protected readonly fetch: typeof globalThis.fetch,
    private readonly timers: Timers,
    protected readonly base: URL,
    protected readonly token: Token | undefined,
  ) {}

  /** True when requests carry a token instead of the cookie. */
  get hasToken(): boolean { return this.token !== undefined; }

  async session(): Promise<SessionAnswer> {
    try {
      const { session } = (await this.json("api/v0/session")) as { session?: Session | null };
      return session ? { kind: "session", session } : { kind: "none" };
    } catch (error) {
      if (!(error instanceof SessileError)) throw error;
      if (error.code === "platform_refused" && this.platformId !== null) {
        this.platformId = null; // no longer the person's: back to the session's
        return this.session();
      }
      return error.status === 401 ? { kind: "none" } : { kind: "unknown", error };
    }
  }

  /**
   * The JSON at `path`, or null for an empty answer. Throws `SessileError` with the server's code, or `not_connected` when it cannot be reached.
   * An answer with one of the statuses `expected` is one like any other.
   */
  async json(path: string, method = "GET", body?: object, expected: readonly number[] = []): Promise<unknown> {
    const abort = new AbortController();
    const text = body && JSON.stringify(body);
    const timer = this.timers.set(() => abort.abort(), TIMEOUT_MS + (text?.length ?? 0) / CHARACTERS_PER_MS);
    try {
      const response = await this.ask(path, method, "application/json", abort.signal, text);
      if (!response.ok && !expected.includes(response.status)) throw await problem(response);
      return response.status === 204 ? null : await response.json();
    } catch (error) {
      // Anything else came from the network, or from somebody in it who answers every request with a page.
      throw error instanceof SessileError ? error : unreachable(error);
    } finally {
      this.timers.clear(timer);
    }
  }

  protected async ask(path: string, method: string, accept: string, signal: AbortSignal, body?: string): Promise<Response> {
    const headers: Record<string, string> = { accept, ...(body && { "content-type": "application/json" }) };
    if (this.platformId !== null) headers["sessile-platform"] = encodeURIComponent(this.platformId);
    if (this.token) headers["authorization"] = `Bearer ${await this.token()}`;
    const { fetch } = this; // called as `this.fetch` it would not be the window that it is called on
    return fetch(new URL(path, this.base).href, {
      method, headers, credentials: "same-origin", cache: "no-store", signal, ...(body && { body }),
    });
  }
}

const unreachable = (cause: unknown): SessileError => new SessileError("not_connected", "the server cannot be reached", true, cause);

export async function problem(response: Response): Promise<SessileError> {
  const body = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; reason?: string }; // a proxy's page is not JSON
  const code = body.code ?? "http_error";
  const error = new SessileError(code, body.detail ?? `the server answered ${response.status}`, response.status >= 500 || response.status === 429);
  error.status = response.status;
  error.reason = body.reason ?? null;
  return error;
}

/** Whose outbox it is. Prefixed, so that no user id can be taken for an anonymous session. */
export function ownerOf(session: Session): LastOwner {
  const user_id = session.user?.id ?? null;
  return { owner: user_id === null ? anonymousOwner(session) : `user:${user_id}`, user_id, session };
}

export const anonymousOwner = (session: Session): string => `anonymous:${session.session_id}`;
