// Calls of the console's API. A refusal is an ApiError with the sentence that the server wrote for people; a login that is over leads to the login page.
import { signal } from "@preact/signals";
import { learnTime } from "./clock";
import type { Me, Right } from "./model";

const ROOT = new URL("../api/console/", document.baseURI);
const TIMEOUT_MS = 20_000;

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly fields: Readonly<Record<string, unknown>> = {}) {
    super(message);
  }
}

export const me = signal<Me | null>(null);
export const can = (right: Right): boolean => me.value?.rights.includes(right) ?? false;
/** Why a button is disabled, for who lacks the right; undefined for who has it. */
export const refusal = (right: Right): string | undefined => can(right) ? undefined : `Your role (${me.value?.role.replace("_", "-") ?? "unknown"}) may not do this`;

type Parameters = Readonly<Record<string, string | number | null | undefined>>;
export interface Options { readonly query?: Parameters; readonly isBackground?: boolean; readonly signal?: AbortSignal }

export function address(path: string, query: Parameters = {}): string {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, String(value));
  return url.href;
}

/** To the login page, and back here after it. */
export function toLogin(): void {
  const here = location.pathname + location.search;
  location.assign(new URL(`login?next=${encodeURIComponent(here)}`, document.baseURI));
}

async function problemOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const fields = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const text = typeof fields["detail"] === "string" ? fields["detail"] : `The server answered ${response.status}.`;
  return new ApiError(response.status, typeof fields["code"] === "string" ? fields["code"] : "unknown", text, fields);
}

async function call<Answer>(method: string, path: string, body: unknown, { query, isBackground = false, signal }: Options): Promise<Answer> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = me.peek()?.csrf ?? "";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (isBackground) headers["Sessile-Background"] = "1";
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(address(path, query), {
      method, headers, credentials: "same-origin", signal: signal ? AbortSignal.any([signal, limit]) : limit, ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", limit.aborted ? "The server did not answer in time." : "The server cannot be reached.");
  }
  if (response.status === 401) {
    toLogin();
    throw await problemOf(response);
  }
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as Answer;
}

export const get = <Answer>(path: string, options: Options = {}): Promise<Answer> => call("GET", path, undefined, options);
export const post = <Answer>(path: string, body: unknown): Promise<Answer> => call("POST", path, body, {});
export const part = encodeURIComponent;

export async function introduce(): Promise<void> {
  const answer = await get<Me>("session");
  learnTime(Date.parse(answer.server.now));
  me.value = answer;
}

export async function signOut(): Promise<void> {
  await call("DELETE", "session", undefined, {});
  location.assign(new URL("login", document.baseURI));
}
