/** Conflicts: two values for one field, both kept, until somebody chooses. */

import { byId, el, keyed, say, toggle, valueAt } from "./dom.js";
import { labelOf, shown } from "./report.js";

export class Conflicts {
  constructor(doc, nameOf) {
    this.doc = doc;
    this.nameOf = nameOf;
  }

  render() {
    const { conflicts } = this.doc;
    say(byId("conflicts-count"), String(conflicts.length));
    byId("conflicts-panel").toggleAttribute("data-open", conflicts.length > 0);
    toggle(byId("conflicts-none"), conflicts.length === 0);
    keyed(byId("conflicts"), conflicts, (conflict) => conflict.conflict_id, (conflict) => this.#make(conflict), (row, conflict) => this.#update(row, conflict));
    markFields(new Set(conflicts.map((conflict) => conflict.path)));
  }

  #make({ conflict_id: id, path }) {
    const label = labelOf(path) ?? path;
    const own = el("input", { id: `other-${id}`, "data-testid": "conflict-other", maxlength: "20000", autocomplete: "off" });
    const type = this.#control(path)?.type ?? "text";
    const canType = ["text", "textarea", "tel", "number"].includes(type);
    const resolve = (resolution) => this.#resolve(id, resolution);
    return el("li", { class: "conflict", "data-testid": "conflict", "data-path": path },
      el("h3", {}, label),
      el("dl", {},
        el("dt", { class: "mine-name" }), el("dd", { class: "mine", "data-testid": "conflict-mine" }),
        el("dt", { class: "theirs-name" }), el("dd", { class: "theirs", "data-testid": "conflict-theirs" })),
      el("div", { class: "actions" },
        el("button", { type: "button", "data-testid": "keep-mine", onclick: () => resolve("mine") }, "Keep mine", el("span", { class: "unseen" }, `: ${label}`)),
        el("button", { type: "button", "data-testid": "keep-theirs", onclick: () => resolve("theirs") }, "Keep theirs", el("span", { class: "unseen" }, `: ${label}`))),
      canType && el("form", { onsubmit: (event) => { event.preventDefault(); resolve({ value: typed(own.value, type) }); } },
        el("label", { for: own.id }, "Or another text", el("span", { class: "unseen" }, `: ${label}`)),
        el("div", { class: "row" }, own, el("button", { type: "submit", "data-testid": "keep-other" }, "Use this"))));
  }

  #update(row, conflict) {
    const sides = this.#sides(conflict);
    say(row.querySelector(".mine-name"), `${sides.isOwn ? "" : "First: "}${sides.mine.name}`);
    say(row.querySelector(".theirs-name"), `${sides.isOwn ? "" : "Second: "}${sides.theirs.name}`);
    say(row.querySelector(".mine"), shown(conflict.path, sides.mine.value));
    say(row.querySelector(".theirs"), shown(conflict.path, sides.theirs.value));
    const [mine, theirs] = row.querySelectorAll(".actions button");
    say(mine.firstChild, sides.isOwn ? "Keep mine" : "Keep the first");
    say(theirs.firstChild, sides.isOwn ? "Keep theirs" : "Keep the second");
    const other = row.querySelector("input");
    if (other && !row.dataset.filled) {
      other.value = sides.mine.value ?? "";
      row.dataset.filled = "yes";
    }
  }

  /** On a third device neither value is "mine": then the two stand in the order in which they count. */
  #sides({ path, loser, winner_device_no: winnerNo, loser_device_no: loserNo, reason }) {
    const isOwn = winnerNo !== loserNo && [winnerNo, loserNo].includes(this.doc.deviceNo);
    const first = { value: valueAt(this.doc.state, path), name: this.#side(winnerNo, "stands there now") };
    const second = { value: loser, name: this.#side(loserNo, reason === "superseded" ? "written before the restore" : "put aside") };
    return isOwn && loserNo === this.doc.deviceNo ? { isOwn, mine: second, theirs: first } : { isOwn, mine: first, theirs: second };
  }

  #side(deviceNo, what) {
    return `${deviceNo === this.doc.deviceNo ? "This device" : this.nameOf(deviceNo)}, ${what}`;
  }

  #resolve(id, resolution) {
    const conflict = this.doc.conflicts.find((one) => one.conflict_id === id);
    if (!conflict) return;
    const { isOwn, mine, theirs } = this.#sides(conflict);
    const chosen = { mine, theirs }[resolution];
    const wanted = chosen === undefined ? resolution : isOwn ? { choice: resolution } : { value: chosen.value ?? null };
    this.doc.resolve(id, wanted).local.catch(() => undefined); // the status line says when storage failed
    byId("conflicts-title").focus({ preventScroll: true });
  }

  #control(path) {
    return [...document.querySelectorAll("fieldset.step [data-path]")].find((control) => control.dataset.path === path);
  }
}

function typed(text, type) {
  return type === "number" && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The field itself says that there are two versions, in the line that otherwise holds its hint; on a phone the choice is far below. */
function markFields(paths) {
  for (const control of document.querySelectorAll("fieldset.step [data-path]")) {
    const field = control.closest(".field");
    const hint = field?.querySelector(".hint");
    if (!hint) continue;
    const isMarked = paths.has(control.dataset.path);
    field.toggleAttribute("data-conflict", isMarked);
    if (!isMarked) say(hint, hint.dataset.hint ?? "");
    else if (!hint.querySelector("a")) hint.replaceChildren("Two versions of this. ", el("a", { href: "#conflicts-title" }, "Choose under Conflicts"), ".");
  }
}
