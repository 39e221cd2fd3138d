/** The last step: everything on one page, and sending it off. */

import { nothingPending } from "./api.js";
import { byId, el, keyed, say, toggle, valueAt, when } from "./dom.js";
import { fieldsOfStep, GAPS_STEP, shown, STEPS } from "./report.js";

export class Review {
  constructor(doc, client, fields, steps) {
    this.doc = doc;
    this.client = client;
    this.fields = fields;
    this.steps = steps;
    byId("submit").addEventListener("click", () => this.#submit());
  }

  render(isOnline) {
    const rows = [1, 2, 3, 4].flatMap((step) => [{ key: `step-${step}`, step }, ...fieldsOfStep(step).map((field) => ({ key: field.path, ...field }))]);
    keyed(byId("review"), rows, (row) => row.key, (row) => this.#make(row), (child, row) => {
      if (row.path) say(child.lastElementChild, shown(row.path, valueAt(this.doc.state, row.path)));
    });
    const sent = valueAt(this.doc.state, "/context/submitted");
    const isSent = typeof sent?.number === "string";
    toggle(byId("sent"), isSent);
    if (isSent) this.#renderSent(sent);
    for (const panel of document.querySelectorAll("fieldset.step")) panel.disabled = isSent;
    byId("submit").disabled = !isOnline;
    if (!isOnline) say(byId("submit-note"), "Sending needs the server. The report is safe on this device.");
    else if (byId("submit-note").textContent.startsWith("Sending needs")) say(byId("submit-note"), "");
  }

  #make({ step, path, label }) {
    if (path) return el("div", { "data-path": path }, el("dt", {}, label), el("dd", {}));
    return el("div", { class: "review-step" }, el("dt", {}, STEPS[step - 1]), el("dd", {},
      el("button", { type: "button", class: "link", "data-testid": `edit-${step}`, onclick: () => this.steps.go(step) }, "Change", el("span", { class: "unseen" }, ` ${STEPS[step - 1]}`))));
  }

  #renderSent({ number, at, to }) {
    const text = `Sent as ${number}${typeof to === "string" ? ` to ${to}` : ""}, ${when(at)}. `;
    if (byId("sent").dataset.text === text) return;
    byId("sent").dataset.text = text;
    const reopen = () => this.doc.remove("/context/submitted").local.catch(() => undefined); // the status line says when storage failed
    byId("sent").replaceChildren(text, el("button", { type: "button", class: "link", "data-testid": "reopen", onclick: reopen }, "Take it back and go on editing"));
  }

  async #submit() {
    this.fields.flush();
    say(byId("submit-note"), "Sending…");
    await nothingPending(this.doc); // the server must have every word before the report goes off
    try {
      const response = await fetch(`/report/submit?document_id=${this.doc.id}`, { method: "POST" });
      const answer = await response.json();
      if (response.ok) return say(byId("submit-note"), "");
      say(byId("submit-note"), answer.gaps ? `Not sent yet. Missing: ${answer.gaps.map((gap) => gap.question).join(" ")}` : answer.detail);
      if (answer.gaps) this.steps.go(GAPS_STEP);
    } catch {
      say(byId("submit-note"), "The server could not be reached. The report is safe on this device; send it again.");
    }
  }
}
