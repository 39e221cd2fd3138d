/** The switcher between platforms: shows a choice at once, and takes it back when the server refuses. */

import { told } from "./api.js";
import { byId, el, say, toggle } from "./dom.js";

const REFUSED = {
  version_conflict: "Another tab or device was faster.",
  platform_refused: "That insurer is not yours any more.",
};

export class Insurers {
  #list = [];
  #isAsked = false;

  constructor(client) {
    this.client = client;
    byId("insurer").addEventListener("change", (event) => this.#switch(event.target.value));
    client.on("platformSwitched", (detail) => this.#switched(detail));
  }

  render(isOnline) {
    const select = byId("insurer");
    if (isOnline && !this.#isAsked) void this.#read();
    select.disabled = !isOnline;
    const id = this.client.platform?.id;
    if (id !== undefined && select.value !== id) select.value = id;
    toggle(byId("insurer-part"), this.#list.length > 0 && this.client.session !== null);
  }

  /** Read again after a refusal: it may not be on the list any more. */
  async #read() {
    this.#isAsked = true;
    try {
      this.#list = await this.client.platforms();
    } catch (error) {
      this.#isAsked = false; // again with the next connection
      return void told(error);
    }
    byId("insurer").replaceChildren(...this.#list.map(({ id, name }) => el("option", { value: id }, name)));
    this.render(this.client.status === "connected");
  }

  async #switch(id) {
    try {
      await this.client.switchPlatform(id);
    } catch (error) {
      const why = REFUSED[error.code] ?? told(error);
      await this.#read();
      say(byId("insurer-note"), `Not switched. ${why} You still work for ${this.client.platform?.name ?? "nobody"}.`);
    }
  }

  #switched({ platform, optimistic }) {
    byId("insurer-part").toggleAttribute("data-optimistic", optimistic);
    say(byId("insurer-note"), optimistic || !platform ? "" : `You work for ${platform.name} now.`);
  }
}
