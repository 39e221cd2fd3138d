/** Calls to the server's HTTP interface that the client has no method for. What goes wrong is a `SessileError`, like the client's own. */

export async function ask(path, method = "GET", body) {
  let response;
  try {
    const headers = { accept: "application/json", ...(body && { "content-type": "application/json" }) };
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch (error) {
    throw new sessile.SessileError("not_connected", "The server cannot be reached.", true, error);
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({})); // a proxy's page is not JSON
  const text = problem.detail ?? `The server answered ${response.status}.`;
  throw Object.assign(new sessile.SessileError(problem.code ?? "http_error", text, response.status >= 500), { status: response.status });
}

/** The message of an error that the server or the connection gave; anything else is a fault of this page. */
export function told(error) {
  if (!(error instanceof sessile.SessileError)) throw error;
  return error.retryable || error.code === "not_connected" ? "The server cannot be reached just now. Nothing was changed." : error.message;
}

/** Settles when the server has every word of the document. */
export function nothingPending(doc) {
  return new Promise((resolve) => {
    const look = () => {
      if (doc.pendingCount > 0) return;
      off();
      resolve();
    };
    const off = doc.subscribe(look);
    look();
  });
}

/** Does no other machine reach this page's address? */
export function isThisMachine({ hostname } = location) {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname.startsWith("127.") || hostname === "[::1]";
}
