/** Copies of the report: make one, and go from one to another. */

import { ask, nothingPending, told } from "./api.js";
import { byId, el, keyed, say, when } from "./dom.js";
import { copyName, isReport, titleOf } from "./report.js";

export class Copies {
  #list = [];
  #isAsked = false;

  constructor(doc, client, fields) {
    this.doc = doc;
    this.client = client;
    this.fields = fields;
    byId("copy-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#make();
    });
    client.on("reconnectionDetected", () => this.#read());
  }

  render(isOnline) {
    byId("copy-save").disabled = !isOnline;
    if (isOnline && !this.#isAsked) void this.#read();
  }

  async #read() {
    this.#isAsked = true;
    try {
      this.#list = (await ask("/api/v0/documents")).documents.filter(({ name }) => isReport(name));
    } catch (error) {
      if (!(error instanceof sessile.SessileError)) throw error;
      this.#isAsked = false; // again with the next connection
    }
    const list = this.#list.toSorted((a, b) => a.created_at.localeCompare(b.created_at));
    keyed(byId("copies"), list, (copy) => copy.document_id, (copy) => this.#row(copy), () => undefined);
  }

  #row({ name, document_id: id, created_at }) {
    const isHere = name === this.doc.name;
    return el("li", { "data-testid": "copy", "data-id": id },
      el("span", { class: "device-text" },
        el("a", { class: "device-name", href: `/?document=${encodeURIComponent(name)}`, "aria-current": isHere ? "page" : null }, titleOf(name)),
        el("span", { class: "device-note" }, `${isHere ? "here, " : ""}made ${when(created_at)}`)));
  }

  async #make() {
    const input = byId("copy-name");
    const title = input.value.trim() || `Copy ${this.#list.length}`;
    this.fields.flush();
    await nothingPending(this.doc); // a copy has every word
    try {
      const copy = await ask(`/api/v0/documents/${this.doc.id}/fork`, "POST", { name: copyName(title) });
      input.value = "";
      await this.#read();
      say(byId("copies-note"), `“${title}” is a report of its own now. Open it from the list.`);
      byId("copies").querySelector(`[data-id="${copy.document_id}"] a`)?.focus();
    } catch (error) {
      say(byId("copies-note"), error.code === "version_conflict" ? "There is a copy of that name already." : told(error));
    }
  }
}
