/** The two lists of the report: people, and text files that are read in the browser. */

import { byId, el, keyed, listAt, plural, say, valueAt } from "./dom.js";

const FILE_BYTES_MAX = 24 * 1024;
const FILES_MAX = 8;

export class Entries {
  constructor(doc, fields) {
    this.doc = doc;
    this.fields = fields;
    byId("add-person").addEventListener("click", () => this.#addPerson());
    for (const id of ["person-name", "person-contact"]) {
      byId(id).addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        this.#addPerson();
      });
    }
    byId("file").addEventListener("change", () => this.#addFiles([...byId("file").files]));
  }

  render() {
    this.#renderList("people", "/people", "person", (person) => [person.name, person.contact].filter(Boolean).join(", "));
    this.#renderList("files", "/attachments", "file", (file) => `${file.name} (${size(file.size)})`);
  }

  #renderList(id, path, what, textOf) {
    const items = listAt(this.doc.state, path).filter((item) => item && typeof item === "object");
    const remove = (item) => {
      this.#change(() => this.doc.removeItem(path, item.id));
      byId(what === "person" ? "person-name" : "file").focus();
    };
    keyed(byId(id), items, (item) => item.id,
      (item) => el("li", { "data-testid": what, "data-id": String(item.id) }, el("span", { class: "entry" }),
        el("button", { type: "button", class: "link", "data-testid": `remove-${what}`, onclick: () => remove(item) }, "Remove", el("span", { class: "unseen" }, ` ${item.name}`))),
      (row, item) => say(row.firstElementChild, textOf(item)));
  }

  #addPerson() {
    this.fields.flush();
    const name = valueAt(this.doc.state, "/context/drafts/person_name");
    const contact = valueAt(this.doc.state, "/context/drafts/person_contact");
    if (!name) {
      say(byId("people-note"), "Type a name first.");
      return byId("person-name").focus();
    }
    this.#change(() => this.doc.change([
      { op: "append", path: "/people", item: { id: newId(), name, ...(contact && { contact }) } },
      { op: "remove", path: "/context/drafts" },
    ]));
    say(byId("people-note"), `${name} is on the list.`);
    byId("person-name").focus();
  }

  async #addFiles(files) {
    const notes = [];
    for (const file of files) notes.push(await this.#addFile(file));
    byId("file").value = "";
    say(byId("file-note"), notes.join(" "));
  }

  /** What became of it, in words. */
  async #addFile(file) {
    if (listAt(this.doc.state, "/attachments").length >= FILES_MAX) return `${file.name} was not added: there are ${FILES_MAX} files already.`;
    if (file.size > FILE_BYTES_MAX) return `${file.name} was not added: it has ${size(file.size)}, and a file may have ${size(FILE_BYTES_MAX)}.`;
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    } catch (error) {
      if (error instanceof TypeError) return `${file.name} was not added: it is not a text file.`;
      return `${file.name} was not added: it cannot be read.`;
    }
    if (text.includes("\0")) return `${file.name} was not added: it is not a text file.`;
    try {
      this.#change(() => this.doc.append("/attachments", { id: newId(), name: file.name.slice(0, 120), size: file.size, text }));
    } catch (error) {
      if (!(error instanceof sessile.SessileError)) throw error;
      return `${file.name} was not added: ${error.message}`;
    }
    return `${file.name} is in the report.`;
  }

  #change(make) {
    make().local.catch(() => undefined); // the status line says when storage failed
  }
}

function size(bytes) {
  return bytes < 1024 ? plural(bytes, "byte") : `${(bytes / 1024).toFixed(bytes < 10240 ? 1 : 0)} kB`;
}

/** An id for a list item. `crypto.randomUUID` is missing on plain http, `getRandomValues` is not. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
