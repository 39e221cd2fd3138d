/** The steps: where this tab is, how far the report is, and on which step the other devices are. */

import { byId, el, keyed, listAt, plural, say, toggle, valueAt } from "./dom.js";
import { LAST_STEP, STEPS } from "./report.js";

const KEPT = "sessile-demo:step";

export class Steps {
  #step = null;
  #checkpointVersion = null;
  /** The device whose step was written when the page was opened. */
  #recordedFor = null;

  constructor(doc, fields) {
    this.doc = doc;
    this.fields = fields;
    this.panels = [...document.querySelectorAll("fieldset.step")];
    byId("back").addEventListener("click", () => this.go(this.#step - 1));
    byId("next").addEventListener("click", () => this.go(this.#step + 1));
  }

  get current() {
    return this.#step;
  }

  /** Where this tab was; a new tab or device begins where the person was last. */
  resume() {
    const kept = Number(sessionStorage.getItem(KEPT));
    this.#show(kept || this.doc.state.current_step);
  }

  /** After a restore the page goes where the report says. */
  follow() {
    this.#show(this.doc.state.current_step);
  }

  go(step) {
    this.fields.flush();
    this.#checkpoint(step);
    this.#show(step);
    this.#record([
      { op: "set", path: "/current_step", value: this.#step },
      { op: "max", path: "/context/reached", value: this.#step },
    ]);
    const heading = this.panels[this.#step - 1].querySelector("h1");
    heading.focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  }

  render() {
    if (this.#step === null) return;
    const { state } = this.doc;
    say(byId("progress-text"), `Step ${this.#step} of ${LAST_STEP}: ${STEPS[this.#step - 1]}`);
    byId("progress").value = this.#step;
    const gaps = listAt(state, "/gaps_detected");
    const reached = valueAt(state, "/context/reached") ?? 1;
    const rows = STEPS.map((name, index) => ({
      number: index + 1,
      name,
      note: noteOf(index + 1, gaps, reached),
      others: this.#othersOn(index + 1),
    }));
    keyed(byId("steps"), rows, (row) => row.number, (row) => this.#makeRow(row), (child, row) => this.#updateRow(child, row));
    for (const panel of this.panels) toggle(panel, Number(panel.dataset.step) === this.#step);
    byId("back").disabled = this.#step === 1;
    byId("next").disabled = this.#step === LAST_STEP;
    this.#recordFirst();
  }

  #show(step) {
    this.#step = Math.min(LAST_STEP, Math.max(1, Number(step) || 1));
    sessionStorage.setItem(KEPT, String(this.#step));
    this.render();
  }

  #ownPath() {
    return `/context/devices/${this.doc.deviceNo}/step`;
  }

  #recordFirst() {
    const { deviceNo, state } = this.doc;
    if (deviceNo === null || deviceNo === this.#recordedFor) return;
    this.#recordedFor = deviceNo;
    if (valueAt(state, this.#ownPath()) === undefined) this.#record([]);
  }

  #record(operations) {
    const own = this.doc.deviceNo === null ? [] : [{ op: "set", path: this.#ownPath(), value: this.#step }];
    this.doc.change([...operations, ...own]).local.catch(() => undefined); // the status line says when storage failed
  }

  /** A step that is left forwards gets a checkpoint, when there is something new and a server to make it. */
  #checkpoint(next) {
    const { doc } = this;
    if (next <= this.#step || doc.syncStatus === "behind" || doc.syncStatus === "saved_locally" || doc.version === this.#checkpointVersion) return;
    const step = this.#step;
    doc.checkpoint({ kind: "step", step, label: STEPS[step - 1] }).then(
      (checkpoint) => (this.#checkpointVersion = checkpoint.version),
      (error) => {
        if (!error.retryable && error.code !== "not_connected") throw error; // cut off in this moment: the automatic checkpoints remain
      },
    );
  }

  #othersOn(step) {
    return this.doc.devices
      .filter(({ device_no, tabs }) => device_no !== this.doc.deviceNo && tabs > 0)
      .filter(({ device_no }) => valueAt(this.doc.state, `/context/devices/${device_no}/step`) === step);
  }

  #makeRow({ number, name }) {
    const button = el("button", { type: "button", "data-testid": `step-${number}`, onclick: () => this.go(number) },
      el("span", { class: "number", "aria-hidden": "true" }, String(number)),
      el("span", { class: "step-text" },
        el("span", { class: "step-name" }, el("span", { class: "unseen" }, `Step ${number}: `), name),
        el("span", { class: "step-note" })),
      el("span", { class: "others", "data-testid": `step-devices-${number}` }));
    return el("li", {}, button);
  }

  #updateRow(row, { number, note, others }) {
    const button = row.firstElementChild;
    if (number === this.#step) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    button.dataset.note = note.kind;
    say(row.querySelector(".step-note"), note.text);
    keyed(row.querySelector(".others"), others, (device) => device.device_no,
      (device) => el("span", { class: "other" }, el("span", { class: "unseen" }, "Device "), String(device.device_no), el("span", { class: "unseen" }, " is here")),
      () => undefined);
  }
}

function noteOf(step, gaps, reached) {
  const count = step === 5 ? gaps.length : gaps.filter((gap) => gap?.step === step).length;
  if (count > 0) return { kind: "missing", text: plural(count, step === 5 ? "question" : "gap") };
  return reached > step ? { kind: "done", text: "Done" } : { kind: "open", text: "" };
}
