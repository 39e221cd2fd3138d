/** What changed between two points: a checkpoint and another one, or now. */

import { ask, nothingPending, told } from "./api.js";
import { byId, el, plural, say } from "./dom.js";
import { labelOf, shown } from "./report.js";

const NOW = "now";

export class Changes {
  #turn = 0;

  constructor(doc, fields, checkpoints) {
    this.doc = doc;
    this.fields = fields;
    this.checkpoints = checkpoints;
    byId("changes-open").addEventListener("click", () => this.#open());
    for (const id of ["changes-from", "changes-to"]) byId(id).addEventListener("change", () => this.#compare());
    byId("changes").addEventListener("close", () => byId("changes-open").focus());
  }

  render(isOnline) {
    byId("changes-open").disabled = !isOnline || this.checkpoints.list.length === 0;
  }

  async #open() {
    const points = this.checkpoints.list.map((checkpoint) => [checkpoint.checkpoint_id, this.checkpoints.titleOf(checkpoint)]);
    fill("changes-from", points);
    fill("changes-to", [[NOW, "Now"], ...points]);
    byId("changes").showModal();
    byId("changes-title").focus();
    this.fields.flush();
    await nothingPending(this.doc);
    await this.#compare();
  }

  async #compare() {
    const turn = ++this.#turn;
    const [from, to] = ["changes-from", "changes-to"].map((id) => byId(id).value);
    let differences = [];
    let lead;
    try {
      ({ differences } = await ask(`/api/v0/documents/${this.doc.id}/diff?${new URLSearchParams({ from, to })}`));
      differences = differences.filter(({ path }) => labelOf(path) !== null);
      lead = differences.length === 0 ? "Nothing you wrote differs." : `${plural(differences.length, "field differs", "fields differ")}:`;
    } catch (error) {
      lead = told(error);
    }
    if (turn !== this.#turn) return; // another choice was made meanwhile
    say(byId("changes-lead"), lead);
    byId("changes-list").replaceChildren(...differences.map(row));
  }
}

function fill(id, points) {
  byId(id).replaceChildren(...points.map(([value, text]) => el("option", { value }, text)));
}

function row({ path, from, to }) {
  return el("li", { "data-testid": "changed", "data-path": path },
    el("div", { class: "difference" },
      el("span", { class: "device-name" }, labelOf(path)),
      el("span", { class: "before" }, el("span", { class: "side" }, "Before: "), el("s", {}, shown(path, from))),
      el("span", { class: "after" }, el("span", { class: "side" }, "After: "), shown(path, to))));
}
