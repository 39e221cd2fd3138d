/** Where the person is logged in, and how to end that. */

import { told } from "./api.js";
import { byId, el, keyed, plural, say, toggle, when } from "./dom.js";

const LOOK_MS = 20_000;

export class Sessions {
  #list = [];
  #isAsking = false;
  #isStale = true;
  #isOnline = true;

  constructor(client) {
    this.client = client;
    byId("end-others").addEventListener("click", () => this.#endOthers());
    for (const event of ["presenceChanged", "sessionStateChanged", "reconnectionDetected", "handoffChanged"]) client.on(event, () => this.#refresh());
    setInterval(() => document.visibilityState === "visible" && this.#refresh(), LOOK_MS);
  }

  render(isOnline) {
    if (isOnline !== this.#isOnline) {
      this.#isOnline = isOnline;
      this.#renderList();
    }
    for (const button of document.querySelectorAll("#sessions button, #end-others")) button.disabled = !isOnline;
    if (isOnline && this.#isStale) void this.#refresh();
  }

  async #refresh() {
    this.#isStale = true;
    if (this.#isAsking || this.client.status !== "connected") return;
    this.#isAsking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        this.#list = await this.client.sessions();
      }
    } catch (error) {
      if (!(error instanceof sessile.SessileError)) throw error;
      this.#isStale = true; // read again with the next connection
    } finally {
      this.#isAsking = false;
    }
    this.#renderList();
  }

  #renderList() {
    const list = this.#list.toSorted((a, b) => b.is_current - a.is_current || b.last_activity.localeCompare(a.last_activity));
    keyed(byId("sessions"), list, (session) => session.session_id, (session) => this.#make(session), (row, session) => update(row, session, this.#isOnline));
    toggle(byId("end-others"), list.length > 1);
  }

  #make({ session_id: id, is_current, device }) {
    return el("li", { "data-testid": "session", "data-session": id, "data-current": String(is_current) },
      el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", { class: "device-text" }, el("span", { class: "device-name" }), el("span", { class: "device-note", "data-testid": "session-note" })),
      !is_current && el("button", { type: "button", class: "quiet", "data-testid": "end-session", onclick: () => this.#end(id) }, "End", el("span", { class: "unseen" }, ` the session of ${labelOf(device)}`)));
  }

  async #end(id) {
    const label = labelOf(this.#list.find((session) => session.session_id === id)?.device);
    await this.#say(async () => {
      await this.client.endSession(id);
      return `${label} is logged out.`;
    });
  }

  async #endOthers() {
    await this.#say(async () => {
      const ended = await this.client.logoutOthers();
      return `${plural(ended, "other session is over", "other sessions are over")}.`;
    });
  }

  async #say(act) {
    try {
      say(byId("sessions-note"), await act());
    } catch (error) {
      say(byId("sessions-note"), told(error));
    }
    byId("sessions-title").focus({ preventScroll: true }); // the button goes with its row
    await this.#refresh();
  }
}

const labelOf = (device, otherwise = "A device") => device?.label || otherwise;

function update(row, session, isOnline) {
  const { device, is_current, is_connected } = session;
  row.dataset.presence = isOnline && (is_current || is_connected) ? "here" : "away";
  say(row.querySelector(".device-name"), labelOf(device, is_current ? "This browser" : "A device"));
  say(row.querySelector(".device-note"), noteOf(session, isOnline));
}

/** What is known of the others is as old as the connection. */
function noteOf({ is_current, is_connected, last_activity, disconnected_at }, isOnline) {
  if (is_current) return isOnline ? "here, now" : "here, offline";
  if (isOnline && is_connected) return `connected, last active ${when(last_activity)}`;
  const seen = disconnected_at && disconnected_at > last_activity ? disconnected_at : last_activity;
  return `${isOnline ? "not connected, " : ""}last seen ${when(seen)}`;
}
