/** Continue on another device: shows a code, asks whether the one that came with it may in, and says what became of it. */

import { isThisMachine, told } from "./api.js";
import { byId, el, say, toggle } from "./dom.js";

const TITLE = "Continue on another device";
/** The server's SVG as an element that takes the size of its place. */
function pictureOf(text) {
  const svg = document.importNode(new DOMParser().parseFromString(text, "text/html").querySelector("svg"), true);
  if (!svg.hasAttribute("viewBox")) svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
  return svg;
}

/** Where the two clocks disagree so much that the end makes no sense: what the server gives a code. */
const LIFETIME_MS = 120_000;

export class HandoffDialog {
  #offer = null;
  #status = null;
  #device = "";
  #endsAt_ms = 0;
  #timer = null;

  constructor(client) {
    this.client = client;
    byId("handoff-open").addEventListener("click", () => this.#open());
    byId("handoff-again").addEventListener("click", () => this.#make());
    byId("handoff-allow").addEventListener("click", () => this.#answer(true));
    byId("handoff-refuse").addEventListener("click", () => this.#answer(false));
    byId("handoff-close").addEventListener("click", () => byId("handoff").close());
    byId("handoff").addEventListener("close", () => this.#closed());
    client.on("handoffChanged", (state) => this.#changed(state));
    client.on("reconnectionDetected", () => this.#look()); // what happened meanwhile was told to nobody
  }

  close() {
    byId("handoff").close();
  }

  #open() {
    byId("handoff").showModal();
    void this.#make();
  }

  async #make() {
    this.#show("wait", "Making a code…");
    try {
      this.#offer = await this.client.handoff.offer(location.pathname + location.search);
    } catch (error) {
      return this.#show("over", told(error));
    }
    if (!byId("handoff").open) return;
    const { code, qr_svg, expires_at } = this.#offer;
    byId("handoff-picture").replaceChildren(pictureOf(qr_svg));
    say(byId("handoff-code"), code);
    byId("handoff-where").replaceChildren("Scan the picture with it. Or open ", el("strong", {}, location.origin), " there, choose “I have a code”, and type:");
    toggle(byId("handoff-local"), isThisMachine());
    const left_ms = new Date(expires_at).getTime() - Date.now();
    this.#endsAt_ms = performance.now() + (left_ms > 0 && left_ms <= LIFETIME_MS ? left_ms : LIFETIME_MS);
    this.#show("offered", "");
  }

  /** One of: wait, offered, redeemed, confirmed, over. */
  #show(status, note) {
    const isOther = this.#status !== status;
    this.#status = status;
    toggle(byId("handoff-offer"), status === "offered");
    toggle(byId("handoff-ask"), status === "redeemed");
    toggle(byId("handoff-again"), status === "over");
    toggle(byId("handoff-close"), status !== "redeemed");
    say(byId("handoff-title"), status === "redeemed" ? `${this.#device} wants in` : TITLE);
    say(byId("handoff-note"), note);
    clearInterval(this.#timer);
    if (status === "offered") {
      this.#timer = setInterval(() => this.#count(), 1000);
      this.#count();
    }
    if (isOther && byId("handoff").open) byId("handoff-title").focus();
  }

  #count() {
    const left_s = Math.ceil((this.#endsAt_ms - performance.now()) / 1000);
    if (left_s <= 0) return this.#show("over", "Nobody used the code. It is not good any more.");
    say(byId("handoff-left"), `Good for ${Math.floor(left_s / 60)}:${String(left_s % 60).padStart(2, "0")}, and once.`);
  }

  #changed({ handoff_id, status, device }) {
    if (handoff_id !== this.#offer?.handoff_id || status === this.#status) return;
    this.#device = device?.label || "A device";
    if (status === "redeemed") {
      if (!byId("handoff").open) byId("handoff").showModal(); // closed in between: the question is still there
      this.#show("redeemed", "");
    } else if (status === "confirmed") this.#show("confirmed", `${this.#device} is being logged in…`);
    else if (status === "refused") this.#show("over", `${this.#device} was refused.`);
    else if (status === "completed") {
      this.#offer = null;
      this.#show("over", `${this.#device} is logged in, and goes on where you are.`);
    }
  }

  async #look() {
    if (!this.#offer) return;
    try {
      this.#changed(await this.client.handoff.status(this.#offer.handoff_id));
    } catch (error) {
      this.#show("over", error.code === "handoff_refused" ? "The code is not good any more." : told(error));
    }
  }

  async #answer(accept) {
    try {
      this.#changed(await this.client.handoff.confirm(this.#offer.handoff_id, accept));
    } catch (error) {
      this.#show("over", error.code === "handoff_refused" ? "Too late: it has stopped waiting." : told(error));
    }
  }

  /** No answer is a no. */
  #closed() {
    clearInterval(this.#timer);
    if (this.#status === "redeemed") void this.#answer(false);
    byId("handoff-open").focus();
  }
}
