/** Who is here: read from the server before the first socket, remembered for the time without one. */

import { SessileError } from "./errors.js";
import type { Session } from "./frames.js";
import type { LastOwner } from "./outbox.js";

/** `none`: the server says nobody is logged in. `unknown`: it could not be asked, which is a different thing. */
export type SessionAnswer =
  | { readonly kind: "session"; readonly session: Session }
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly error: SessileError };

export type Token = () => string | Promise<string>;

export class Http {
  constructor(private readonly fetch: typeof globalThis.fetch, private readonly base: URL, private readonly token: Token | undefined) {}

  async session(): Promise<SessionAnswer> {
    let response: Response;
    try {
      response = await this.#get("api/v0/session");
    } catch (error) {
      return { kind: "unknown", error: unreachable(error) };
    }
    if (response.status === 401) return { kind: "none" };
    if (!response.ok) return { kind: "unknown", error: await problem(response) };
    const body = (await response.json()) as { session: Session | null };
    return body.session ? { kind: "session", session: body.session } : { kind: "none" };
  }

  /** The JSON at `path`. Throws `SessileError` with the server's code, or `not_connected` when it cannot be reached. */
  async json(path: string): Promise<unknown> {
    const response = await this.#get(path).catch((error: unknown) => {
      throw unreachable(error);
    });
    if (!response.ok) throw await problem(response);
    return response.json();
  }

  async #get(path: string): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (this.token) headers["authorization"] = `Bearer ${await this.token()}`;
    return this.fetch(new URL(path, this.base), { headers, credentials: "same-origin", cache: "no-store" });
  }
}

const unreachable = (cause: unknown): SessileError => new SessileError("not_connected", "the server cannot be reached", true, cause);

async function problem(response: Response): Promise<SessileError> {
  const body = (await response.json().catch(() => ({}))) as { code?: string; detail?: string }; // a proxy's page is not JSON
  const code = body.code ?? "http_error";
  return new SessileError(code, body.detail ?? `the server answered ${response.status}`, response.status >= 500 || response.status === 429);
}

/** Whose outbox it is. Prefixed, so that no user id can be taken for an anonymous session. */
export function ownerOf(session: Session): LastOwner {
  const user_id = session.user?.id ?? null;
  return { owner: user_id === null ? anonymousOwner(session) : `user:${user_id}`, user_id, session };
}

export const anonymousOwner = (session: Session): string => `anonymous:${session.session_id}`;
