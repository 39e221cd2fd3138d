/** The script that the server hands out: `sessile.connect`, and `sessile.client`, which is made when it is first used. */

import { Client, connect } from "./client.js";
import { bindOnce, startElements } from "./elements.js";
import { SessileError } from "./errors.js";
import { redeemHandoff } from "./handoff.js";
import { formatPointer } from "./pointer.js";

const script = document.currentScript as HTMLScriptElement | null;
/** The script lies where the server is mounted; `data-url` says so where it does not. */
const url = script?.dataset["url"] ?? (script?.src ? new URL(".", script.src).href : "/");
let client: Client | null = null;

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
  SessileError,
};

(globalThis as { sessile?: typeof sessile }).sessile ??= sessile;
startElements(document, () => sessile.client);
