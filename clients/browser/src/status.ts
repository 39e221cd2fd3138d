/** `<sessile-status>`: one line that says how safe the person's work is. */

import type { Client } from "./client.js";
import { savingOf } from "./saving.js";

const STYLE = `
:host { display: inline-flex; align-items: center; gap: .4em; font: var(--sessile-status-font, inherit); color: var(--sessile-status-color, inherit);
  --state: var(--sessile-status-quiet, #777) }
:host([hidden]) { display: none }
:host([data-state=saved]) { --state: var(--sessile-status-saved, #1a7f37) }
:host([data-state=offline]), :host([data-state=local]), :host([data-state=degraded]) { --state: var(--sessile-status-offline, #9a6700) }
:host([data-state=refused]), :host([data-state=conflict]), :host([data-state=sign-in]) { --state: var(--sessile-status-problem, #cf222e) }
[part=dot] { flex: none; box-sizing: border-box; width: .6em; height: .6em; border: .15em solid var(--state); border-radius: 50%; background: var(--state) }
:host([data-state=offline]) [part=dot], :host([data-state=local]) [part=dot], :host([data-state=degraded]) [part=dot] { background: none }
:host([data-state=refused]) [part=dot], :host([data-state=conflict]) [part=dot], :host([data-state=sign-in]) [part=dot] { border-radius: 0; transform: rotate(45deg) }
`;

/**
 * Defines the element for `clientOf()`, which is asked when the first one appears. `for="name"` limits it to one document.
 * The text is the element's own content, so that it can be read, styled and announced like any other. The dot is full, hollow or a square, so that nobody
 * needs colours to tell them apart, forced colours included.
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
