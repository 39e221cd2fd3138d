/** Missing facts: one question at a time, answered into the very field that misses it. */

import { byId, el, keyed, listAt, plural, say, toggle } from "./dom.js";
import { shown } from "./report.js";

const KEPT = "sessile-demo:gap";

export class Gaps {
  #id = sessionStorage.getItem(KEPT);
  #control = null;

  constructor(doc, fields, steps) {
    this.doc = doc;
    this.fields = fields;
    this.steps = steps;
    byId("gap-next").addEventListener("click", () => this.#next());
    byId("gap-waive").addEventListener("click", () => {
      this.#change(() => doc.set(`/context/waived/${this.#id}`, true));
      this.#next();
    });
    byId("gap-use").addEventListener("click", () => {
      const { suggestion, path } = this.#current() ?? {};
      if (suggestion) this.#change(() => doc.set(path, suggestion.value));
    });
  }

  render(isOnline) {
    const open = this.#open();
    const gap = this.#current();
    if (gap && gap.id !== this.#id) this.#choose(gap.id);
    this.#renderLead(open, isOnline);
    toggle(byId("question"), gap !== null);
    if (gap) this.#renderCard(gap, open);
    this.#renderLists(open);
  }

  #open() {
    return listAt(this.doc.state, "/gaps_detected").filter((gap) => typeof gap?.id === "string");
  }

  #resolved() {
    return listAt(this.doc.state, "/gaps_resolved").filter((gap) => typeof gap?.id === "string");
  }

  /** The chosen question, also when it has just been answered: it must not vanish under the fingers. */
  #current() {
    const all = [...this.#open(), ...this.#resolved()];
    return all.find((gap) => gap.id === this.#id) ?? this.#open()[0] ?? null;
  }

  #choose(id) {
    this.#id = id;
    if (id === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, id);
  }

  #next() {
    this.fields.flush();
    const open = this.#open();
    const at = open.findIndex((gap) => gap.id === this.#id);
    const next = open[(at + 1) % Math.max(1, open.length)];
    this.#choose(next && next.id !== this.#id ? next.id : null);
    this.render(true);
    (this.#control?.isConnected ? this.#control : byId("gaps-lead")).focus({ preventScroll: false });
  }

  #change(make) {
    this.fields.flush();
    make().local.catch(() => undefined); // the status line says when storage failed
  }

  #renderLead(open, isOnline) {
    const found = open.length === 0 ? "Nothing is missing. Go on to the review." : `${plural(open.length, "thing is", "things are")} missing. Answer one after the other; you may skip.`;
    say(byId("gaps-lead"), isOnline ? found : `${found} This is from when the server was last seen.`);
  }

  #renderCard(gap, open) {
    const at = open.findIndex((one) => one.id === gap.id);
    say(byId("gap-count"), at < 0 ? "Answered" : `Question ${at + 1} of ${open.length}${gap.required ? "" : ", optional"}`);
    say(byId("gap-question"), gap.question);
    this.#placeControl(gap);
    const { suggestion } = at < 0 ? {} : gap;
    toggle(byId("gap-suggestion"), Boolean(suggestion));
    if (suggestion) say(byId("gap-suggestion-text"), `Found in ${suggestion.source}: “${shown(gap.path, suggestion.value)}”`);
    say(byId("gap-next"), at < 0 ? "Next question" : open.length > 1 ? "Skip for now" : "Later");
    toggle(byId("gap-waive"), at >= 0 && !gap.required);
  }

  /** A control like the one in the step, bound to the same path. */
  #placeControl(gap) {
    const field = byId("gap-field");
    if (field.dataset.gap === gap.id) return;
    if (this.#control) this.fields.release(this.#control);
    field.dataset.gap = gap.id;
    this.#control = gap.path === "/people" ? this.#jump(gap) : answerControl(gap.path);
    field.replaceChildren(el("label", { class: "unseen", for: "gap-answer" }, "Answer"), this.#control);
    if (gap.path !== "/people") this.fields.bind(field);
  }

  #jump(gap) {
    return el("button", { type: "button", id: "gap-answer", "data-testid": "gap-answer", onclick: () => this.steps.go(gap.step) }, "Add a person in step 3");
  }

  #renderLists(open) {
    keyed(byId("gaps-open"), open, (gap) => gap.id,
      (gap) => el("li", { "data-testid": "gap", "data-gap": gap.id },
        el("button", { type: "button", class: "link", onclick: () => this.#jumpTo(gap.id) }, gap.question)),
      (row, gap) => row.toggleAttribute("data-required", gap.required === true));
    keyed(byId("gaps-resolved"), this.#resolved(), (gap) => gap.id,
      (gap) => el("li", { "data-testid": "gap-resolved", "data-gap": gap.id }, el("span", {}, gap.question), el("span", { class: "answer" }), this.#again(gap)),
      (row, gap) => this.#renderResolved(row, gap));
  }

  #jumpTo(id) {
    this.#choose(id);
    this.render(true);
    this.#control.focus();
  }

  #again(gap) {
    const again = () => this.#change(() => this.doc.remove(`/context/waived/${gap.id}`));
    return el("button", { type: "button", class: "link", "data-testid": "gap-again", onclick: again }, "Ask again");
  }

  #renderResolved(row, gap) {
    const answer = listAt(this.doc.state, "/user_responses").find((response) => response?.id === gap.id)?.answer;
    const text = { answered: shown(gap.path, answer), does_not_apply: "Does not apply" }[gap.how] ?? "Not needed any more";
    say(row.querySelector(".answer"), text);
    toggle(row.querySelector("button"), gap.how === "does_not_apply");
  }
}

function answerControl(path) {
  const attributes = { id: "gap-answer", "data-testid": "gap-answer", "data-path": path };
  const original = [...document.querySelectorAll("fieldset.step [data-path]")].find((control) => control.dataset.path === path);
  if (original?.tagName === "SELECT") return el("select", attributes, ...[...original.options].map((option) => option.cloneNode(true)));
  if (original?.tagName === "TEXTAREA") return el("textarea", { ...attributes, rows: "4", maxlength: original.getAttribute("maxlength") });
  if (original?.type === "radio") {
    const radios = [...document.querySelectorAll(`input[name="${original.name}"]`)];
    const options = radios.map((radio) => el("option", { value: radio.value }, radio.parentElement.textContent.trim()));
    return el("select", attributes, el("option", { value: "" }, "Choose…"), ...options);
  }
  return el("input", { ...attributes, type: original?.type ?? "text", maxlength: original?.getAttribute("maxlength"), step: original?.getAttribute("step"), autocomplete: "off" });
}
