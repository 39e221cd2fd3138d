/** The script that the server hands out: `sessile.connect`, and `sessile.client`, which is made when it is first used. */

import { Client, connect } from "./client.js";
import { debugOf, publish } from "./compatibility.js";
import type { DebugTools } from "./debug.js";
import { bindOnce, startElements } from "./elements.js";
import { SessileError } from "./errors.js";
import { baseOf } from "./session.js";
import { redeemHandoff } from "./handoff.js";
import { formatPointer } from "./pointer.js";

const script = document.currentScript as HTMLScriptElement | null;
/** The script lies where the server is mounted; `data-url` says so where it does not. */
const url = script?.dataset["url"] ?? (script?.src ? new URL(".", script.src).href : "/");
let client: Client | null = null;

let tools: Promise<DebugTools> | undefined;
/** Loaded when they are asked for. */
function loadTools(): Promise<DebugTools> {
  const file = new URL("api/v0/client/debug.js", baseOf(url)).href;
  tools ??= (import(file) as Promise<typeof import("./debug.js")>).then(({ debugTools }) => debugTools(sessile.client, { url }));
  tools.catch(() => (tools = undefined)); // without a network: the next call tries again
  return tools;
}

const sessile = {
  connect,
  /** The page's client. */
  get client(): Client {
    return (client ??= connect({ url }));
  },
  /** Binds a form that was added after the page had been read. */
  bindForm: (form: HTMLFormElement) => bindOnce(sessile.client, form),
  /** For a page without a session: comes with a code, and waits for the first device. */
  redeemHandoff: (code: string) => redeemHandoff(url, code),
  formatPointer,
  /** Self-tests and a look inside: `await sessile.debug.check()`. */
  debug: debugOf(loadTools),
  SessileError,
};

(globalThis as { sessile?: typeof sessile }).sessile ??= sessile;
publish(globalThis, () => sessile.client, loadTools);
startElements(document, () => sessile.client);
