/** What a page needs no script for: `<form data-sessile="name">` and `<sessile-status>`. */

import type { Client } from "./client.js";
import { bindForm } from "./form.js";
import { defineStatusElement } from "./status.js";

const SELECTOR = "form[data-sessile]";

/** Binds the forms under `root` that are not bound yet; each to the document that its `data-sessile` names. */
export function bindForms(client: Client, root: ParentNode): void {
  for (const form of Array.from(root.querySelectorAll<HTMLFormElement>(SELECTOR))) bindOnce(client, form);
}

const bound = new WeakMap<HTMLFormElement, () => void>();

/** Binds one form; the returned function ends it. */
export function bindOnce(client: Client, form: HTMLFormElement): () => void {
  const known = bound.get(form);
  if (known) return known;
  const doc = client.open(form.dataset["sessile"] as string, { default: {} });
  const unbind = bindForm(form, doc, client.formOptions);
  const end = () => {
    bound.delete(form);
    unbind();
  };
  bound.set(form, end);
  return end;
}

/** Binds what is on the page once it has been read, and starts a client only if there is something to bind. */
export function startElements(page: Document, clientOf: () => Client): void {
  const start = () => {
    if (page.querySelector(SELECTOR)) bindForms(clientOf(), page);
    defineStatusElement(clientOf); // last: elements on the page come alive here
  };
  if (page.readyState === "loading") page.addEventListener("DOMContentLoaded", start, { once: true });
  else start();
}
