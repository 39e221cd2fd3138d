/** Checkpoints: make one, look what going back would change, go back wholly or for some fields. */

import { told } from "./api.js";
import { byId, el, keyed, plural, say, toggle, when } from "./dom.js";
import { labelOf, shown } from "./report.js";

const SHOWN_MAX = 6;
const KINDS = { manual: "Saved by you", step: "After a step", automatic: "Automatic", before_restore: "Before going back" };

export class Checkpoints {
  #list = [];
  #isLong = false;
  #isAsking = false;
  #isStale = true;
  #preview = null;

  /** `changed` is called when the list has been read. */
  constructor(doc, client, changed) {
    this.doc = doc;
    this.client = client;
    this.changed = changed;
    byId("checkpoint-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("checkpoints-more").addEventListener("click", () => {
      this.#isLong = true;
      this.#renderList();
      byId("checkpoints").querySelectorAll("button")[SHOWN_MAX]?.focus();
    });
    byId("restore-all").addEventListener("click", () => this.#restore(undefined));
    byId("restore-chosen").addEventListener("click", () => this.#restore(this.#chosen()));
    byId("differences").addEventListener("change", () => this.#renderChoice());
    for (const event of ["checkpointSaved", "sessionRestored", "reconnectionDetected"]) client.on(event, () => this.refresh());
  }

  /** Newest first. */
  get list() {
    return this.#list;
  }

  titleOf(checkpoint) {
    return `${checkpoint.label || KINDS[checkpoint.kind]}, version ${checkpoint.version}`;
  }

  /** Reads the list again; without a server the known one stays. */
  async refresh() {
    this.#isStale = true;
    if (this.#isAsking || this.client.status !== "connected") return;
    this.#isAsking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        this.#list = await this.doc.checkpoints();
      }
      this.changed();
    } catch (error) {
      if (!(error instanceof sessile.SessileError)) throw error;
      this.#isStale = true; // read again after the next reconnection
    } finally {
      this.#isAsking = false;
    }
    this.#renderList();
  }

  render(isOnline) {
    for (const button of document.querySelectorAll("#checkpoint-form button, #checkpoints button, #restore-all")) button.disabled = !isOnline;
    if (!isOnline) say(byId("checkpoint-note"), "Checkpoints need the server. They are there again when it is.");
    else if (byId("checkpoint-note").textContent.startsWith("Checkpoints need")) say(byId("checkpoint-note"), "");
    this.#renderChoice();
    if (isOnline && this.#isStale) void this.refresh();
  }

  async #save() {
    const label = byId("checkpoint-label");
    try {
      const checkpoint = await this.doc.checkpoint({ label: label.value.trim() });
      label.value = "";
      say(byId("checkpoint-note"), `Saved at version ${checkpoint.version}.`);
    } catch (error) {
      say(byId("checkpoint-note"), told(error));
    }
  }

  #renderList() {
    const visible = this.#isLong ? this.#list : this.#list.slice(0, SHOWN_MAX);
    keyed(byId("checkpoints"), visible, (checkpoint) => checkpoint.checkpoint_id, (checkpoint) => this.#make(checkpoint), () => undefined);
    toggle(byId("checkpoints-more"), this.#list.length > visible.length);
  }

  #make(checkpoint) {
    const name = checkpoint.label || KINDS[checkpoint.kind];
    const note = `${checkpoint.label ? `${KINDS[checkpoint.kind]}, ` : ""}version ${checkpoint.version}, ${when(checkpoint.created_at)}`;
    return el("li", { "data-testid": "checkpoint", "data-kind": checkpoint.kind, "data-version": String(checkpoint.version) },
      el("span", { class: "device-text" }, el("span", { class: "device-name" }, name), el("span", { class: "device-note" }, note)),
      el("button", { type: "button", class: "quiet", "data-testid": "checkpoint-preview", onclick: () => this.#open(checkpoint, name) },
        "Go back", el("span", { class: "unseen" }, ` to ${name}, version ${checkpoint.version}`)));
  }

  async #open(checkpoint, name) {
    try {
      const preview = await this.doc.restore(checkpoint.checkpoint_id, { dryRun: true });
      this.#preview = { checkpoint, differences: preview.differences };
    } catch (error) {
      return say(byId("checkpoint-note"), told(error));
    }
    say(byId("restore-title"), `Go back to “${name}”?`);
    this.#renderDifferences();
    say(byId("restore-problem"), "");
    byId("restore").showModal();
    byId("restore-title").focus();
  }

  #renderDifferences() {
    const own = this.#preview.differences.filter((difference) => labelOf(difference.path) !== null);
    const lead = own.length === 0 ? "Everything you wrote is the same as it was then." : `${plural(own.length, "field differs", "fields differ")} from version ${this.#preview.checkpoint.version}:`;
    say(byId("restore-lead"), lead);
    byId("differences").replaceChildren(...own.map((difference, index) => differenceRow(difference, index)));
    this.#renderChoice();
  }

  #chosen() {
    return [...byId("differences").querySelectorAll("input:checked")].map((box) => box.value);
  }

  #renderChoice() {
    byId("restore-chosen").disabled = this.client.status !== "connected" || this.#chosen().length === 0;
  }

  async #restore(paths) {
    try {
      await this.doc.restore(this.#preview.checkpoint.checkpoint_id, paths ? { paths } : {});
      byId("restore").close();
      say(byId("checkpoint-note"), "Restored. What stood there before is a checkpoint, too.");
    } catch (error) {
      say(byId("restore-problem"), told(error));
    }
  }
}

function differenceRow({ path, current, restored }, index) {
  const id = `difference-${index}`;
  return el("li", { "data-testid": "difference", "data-path": path },
    el("input", { type: "checkbox", id, value: path, "data-testid": "difference-choose" }),
    el("label", { for: id },
      el("span", { class: "device-name" }, labelOf(path)),
      el("span", { class: "before" }, el("span", { class: "side" }, "Now: "), el("s", {}, shown(path, current))),
      el("span", { class: "after" }, el("span", { class: "side" }, "Then: "), shown(path, restored))));
}
