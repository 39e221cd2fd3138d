/** The one error class of the client. Codes of the server are in protocol/codes.json; the client's own are listed here. */

export type ClientErrorCode =
  | "invalid_change" // refused before it was queued
  | "not_connected" // needs the server, and there is no connection
  | "connection_lost" // the answer may have been lost with the connection
  | "not_stored" // kept in memory only: the browser's storage cannot be used
  | "closed" // the client was closed
  | "http_error"; // an HTTP answer without a code of ours

export class SessileError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  /** Of the HTTP answer, where there was one. */
  status: number | null = null;
  /** A word that says more than the code, for example `expired:idle`. */
  reason: string | null = null;

  constructor(code: ClientErrorCode | (string & {}), message: string, retryable = false, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SessileError";
    this.code = code;
    this.retryable = retryable;
  }
}

/** Also for an error of another file of ours, which has a class of its own. */
export const isSessileError = (error: unknown): error is SessileError => error instanceof Error && error.name === "SessileError";

/** Reports a fault that nobody awaits, as the browser reports an uncaught error; nothing is swallowed and nothing stops. */
export function reportError(error: unknown): void {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else globalThis.setTimeout(() => {
    throw error;
  });
}
