/** A small window in a corner of the page: how the connection stands, for whoever builds or demonstrates something. */

import type { Client } from "./client.js";
import { savingOf } from "./saving.js";

const STYLE = `
:host { position: fixed; inset: auto 8px 8px auto; z-index: 2147483647; max-width: calc(100vw - 16px); font: 12px/1.4 ui-monospace, monospace;
  color: #f0f3f6; background: #0d1117; border: 1px solid #57606a; border-radius: 6px; padding: 8px 10px }
dl { display: grid; grid-template-columns: auto auto; gap: 0 12px; margin: 0 }
dt { color: #b6bfc8 } dd { margin: 0; text-align: right }
button { font: inherit; color: inherit; background: none; border: 1px solid #57606a; border-radius: 4px; margin-top: 6px }
`;
/** Counters move without an event. */
const REFRESH_MS = 1000;

/** Shows it; the returned function takes it away. */
export function showOverlay(client: Client, page: Document = document): () => void {
  const host = page.createElement("aside");
  host.setAttribute("aria-label", "Connection details");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const list = page.createElement("dl");
  const close = page.createElement("button");
  close.textContent = "Close";
  root.append(list, close);

  const show = () => {
    const rows = rowsOf(client).flatMap(([name, value]) => {
      const [term, description] = [page.createElement("dt"), page.createElement("dd")];
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    });
    list.replaceChildren(...rows);
  };
  const off = client.subscribe(show);
  const timer = setInterval(show, REFRESH_MS);
  const end = () => {
    off();
    clearInterval(timer);
    host.remove();
  };
  close.addEventListener("click", end);
  show();
  page.body.append(host);
  return end;
}

function rowsOf(client: Client): [string, string][] {
  const stats = client.stats();
  return [
    ["status", client.status],
    ["role", `${client.role}, ${client.transport}`],
    ["saving", savingOf(client, client.documents).state],
    ["to send", String(stats.pending)],
    ["storage", stats.durable ? "durable" : "memory"],
    ["connections", String(stats.connects)],
    ["received", `${stats.framesIn} frames, ${stats.bytesIn} B`],
    ["sent", `${stats.framesOut} frames, ${stats.bytesOut} B`],
    ...client.documents.map((doc): [string, string] => [doc.name, `v${doc.version} ${doc.syncStatus}`]),
  ];
}
