/** Devices: who has the report open now, and on which step. */

import { isThisMachine } from "./api.js";
import { byId, el, keyed, plural, say, toggle, valueAt, when } from "./dom.js";
import { STEPS } from "./report.js";

export class Devices {
  /** By number, as last heard: without a server the client knows of no device. */
  #labels = new Map();

  constructor(doc, client, fields, steps) {
    this.doc = doc;
    this.client = client;
    this.fields = fields;
    this.steps = steps;
  }

  /** What people call a device. 0 is the application itself. */
  nameOf(deviceNo) {
    if (deviceNo === 0) return "The application";
    const given = valueAt(this.doc.state, `/context/devices/${deviceNo}/name`);
    const known = this.#labels.get(deviceNo);
    return given || (known ? `${known} (${deviceNo})` : `Device ${deviceNo}`);
  }

  render(isOnline) {
    const own = this.doc.deviceNo;
    for (const { device_no, label } of this.doc.devices) this.#labels.set(device_no, label);
    const devices = this.doc.devices.length > 0 ? this.doc.devices : own === null ? [] : [{ device_no: own, label: "This browser", tabs: 1, visible: true, behind: 0, isAlone: !isOnline }];
    keyed(byId("devices"), devices, (device) => device.device_no, (device) => this.#make(device), (row, device) => this.#update(row, device));
    const name = byId("device-name");
    name.disabled = own === null;
    if (own !== null) this.fields.rebind(name, `/context/devices/${own}/name`);
    this.#renderHint();
  }

  #make({ device_no: no }) {
    const follow = () => this.steps.go(valueAt(this.doc.state, `/context/devices/${no}/step`));
    return el("li", { "data-testid": "device", "data-device-no": String(no) },
      el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", { class: "device-text" }, el("span", { class: "device-name", "data-testid": "device-label" }), el("span", { class: "device-note", "data-testid": "device-note" })),
      el("button", { type: "button", class: "quiet", "data-testid": `follow-${no}`, onclick: follow }, "Go there", el("span", { class: "unseen" }, `, to the step of device ${no}`)));
  }

  #update(row, device) {
    const isOwn = device.device_no === this.doc.deviceNo;
    const step = valueAt(this.doc.state, `/context/devices/${device.device_no}/step`);
    row.dataset.self = String(isOwn);
    row.dataset.step = String((isOwn ? this.steps.current : step) ?? "");
    row.dataset.presence = device.isAlone || device.tabs === 0 ? "away" : device.visible ? "here" : "background";
    say(row.querySelector(".device-name"), this.nameOf(device.device_no));
    say(row.querySelector(".device-note"), this.#note(device, isOwn, step));
    toggle(row.querySelector("button"), !isOwn && typeof step === "number" && step !== this.steps.current && step <= STEPS.length);
  }

  #note(device, isOwn, step) {
    const parts = [isOwn ? "this device" : typeof step === "number" ? `on step ${step}` : "here"];
    if (device.isAlone) parts.push("offline; others are not known");
    else if (device.tabs === 0) parts.push(`left ${when(device.last_seen_at)}`);
    else parts.push(plural(device.tabs, "tab"));
    if (!isOwn && device.tabs > 0 && !device.visible) parts.push("in the background");
    return parts.join(", ");
  }

  #renderHint() {
    const name = this.client.session?.user?.name ?? "the same name";
    const there = `open ${location.origin} and sign in as ${name}.`;
    say(byId("add-device"), isThisMachine()
      ? `Another browser or a private window of this machine: ${there} For a phone, start the demo with HOST=0.0.0.0 and open the address that it prints.`
      : `On the phone ${there}`);
  }
}
