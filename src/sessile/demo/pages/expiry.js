/** The bar that says when the person will be logged out, and how to stay. */

import { told } from "./api.js";
import { byId, clock, say, toggle } from "./dom.js";

/** Typing moves the end, too; while the bar is there, the session is read this often. */
const LOOK_MS = 5000;

export class Expiry {
  #warning = null;
  #timer = null;
  #problem = "";

  constructor(client, signInAgain) {
    this.client = client;
    client.on("sessionExpiring", (warning) => this.#warn(warning));
    client.on("sessionStateChanged", ({ session }) => {
      if (this.#warning && (!session || session.expires_at > this.#warning.expires_at)) this.#warn(null);
    });
    byId("extend").addEventListener("click", () => this.#extend());
    byId("extend-not").addEventListener("click", signInAgain);
  }

  #warn(warning) {
    const hadFocus = byId("expiry").contains(document.activeElement);
    this.#warning = warning;
    this.#problem = "";
    clearInterval(this.#timer);
    if (warning) this.#timer = setInterval(() => void this.client.refresh(), LOOK_MS);
    else if (hadFocus) byId("work").focus();
    this.#render();
  }

  #render() {
    toggle(byId("expiry"), this.#warning !== null);
    if (!this.#warning) return;
    const { expires_at, can_extend } = this.#warning;
    toggle(byId("extend"), can_extend);
    toggle(byId("extend-not"), !can_extend);
    const more = can_extend ? "" : " This cannot be put off. What you wrote is kept.";
    say(byId("expiry-text"), `You will be logged out at ${clock(expires_at)}.${more}${this.#problem && ` ${this.#problem}`}`);
  }

  async #extend() {
    try {
      await this.client.extend();
      say(byId("expiry-note"), `You stay logged in until ${clock(this.client.session.expires_at)}.`);
    } catch (error) {
      this.#problem = told(error);
      this.#render();
    }
  }
}
