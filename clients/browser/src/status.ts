/** `<sessile-status>`: one line that says how safe the person's work is. */

import type { Client } from "./client.js";
import type { Doc } from "./document.js";

export type SavingState = "starting" | "saved" | "saving" | "local" | "offline" | "refused" | "conflict" | "sign-in";

export interface Saving {
  readonly state: SavingState;
  readonly text: string;
}

/** What is to be said of `documents`; the worst comes first. */
export function savingOf(client: Pick<Client, "status" | "isOffline" | "isStorageDurable">, documents: readonly Doc[]): Saving {
  const sum = (count: (doc: Doc) => number) => documents.reduce((total, doc) => total + count(doc), 0);
  const pending = sum((doc) => doc.pendingCount);
  const conflicts = sum((doc) => doc.conflicts.length);
  const problem = documents.map((doc) => doc.problem).find((text) => text !== null) ?? null;
  if (client.status === "needs_auth") return { state: "sign-in", text: "Sign in to continue" };
  if (problem !== null) return { state: "refused", text: `Not saved: ${problem}` };
  if (pending > 0 && !client.isStorageDurable && client.status !== "connected") return { state: "refused", text: "Not saved: this browser keeps nothing" };
  if (conflicts > 0) return { state: "conflict", text: `Conflict: ${conflicts}` };
  if (sum((doc) => doc.unstoredCount) > 0) return { state: "saving", text: "Saving…" };
  if (client.isOffline) return { state: "offline", text: "Offline: saved on this device" };
  if (pending > 0) return client.status === "connected" ? { state: "saving", text: "Saving…" } : { state: "local", text: "Saved on this device" };
  return client.status === "connected" ? { state: "saved", text: "Saved" } : { state: "starting", text: "" };
}

const STYLE = `
:host { display: inline-flex; align-items: center; gap: .4em; font: var(--sessile-status-font, inherit); color: var(--sessile-status-color, inherit);
  --state: var(--sessile-status-quiet, #777) }
:host([hidden]) { display: none }
:host([data-state=saved]) { --state: var(--sessile-status-saved, #1a7f37) }
:host([data-state=offline]), :host([data-state=local]) { --state: var(--sessile-status-offline, #9a6700) }
:host([data-state=refused]), :host([data-state=conflict]), :host([data-state=sign-in]) { --state: var(--sessile-status-problem, #cf222e) }
[part=dot] { flex: none; width: .6em; height: .6em; border-radius: 50%; background: var(--state) }
`;

/**
 * Defines the element for `clientOf()`, which is asked when the first one appears. `for="name"` limits it to one document.
 * The text is the element's own content, so that it can be read, styled and announced like any other.
 */
export function defineStatusElement(clientOf: () => Client, tag = "sessile-status"): void {
  if (customElements.get(tag)) return;
  let sheet: CSSStyleSheet | null = null;

  class StatusElement extends HTMLElement {
    #off: (() => void) | null = null;

    connectedCallback(): void {
      if (!this.shadowRoot) this.#build();
      if (!this.hasAttribute("role")) this.setAttribute("role", "status");
      if (!this.hasAttribute("aria-live")) this.setAttribute("aria-live", "polite");
      const client = clientOf();
      const show = () => this.#show(client);
      this.#off = client.subscribe(show);
      show();
    }

    disconnectedCallback(): void {
      this.#off?.();
      this.#off = null;
    }

    #build(): void {
      const root = this.attachShadow({ mode: "open" });
      const dot = this.ownerDocument.createElement("span");
      dot.setAttribute("part", "dot");
      root.append(dot, this.ownerDocument.createElement("slot"));
      // A constructed sheet: a content security policy without 'unsafe-inline' lets it be.
      sheet ??= new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
    }

    #show(client: Client): void {
      const name = this.getAttribute("for");
      const { state, text } = savingOf(client, client.documents.filter((doc) => name === null || doc.name === name));
      if (this.dataset["state"] !== state) this.dataset["state"] = state;
      if (this.textContent !== text) this.textContent = text; // only then: every write is announced
    }
  }

  customElements.define(tag, StatusElement);
}
