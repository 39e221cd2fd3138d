// @vitest-environment happy-dom
/** `<form data-sessile="...">`: restored, saved, and never overwritten under the person's fingers. */

import { afterEach, beforeEach, expect, it } from "vitest";
import { bindOnce } from "../src/elements.js";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

const HTML = `
<form data-sessile="intake">
  <input name="why"> <input name="a/b~c" value="page default"> <textarea name="notes"></textarea>
  <input name="age" type="number"> <input name="agree" type="checkbox">
  <input name="days" type="checkbox" value="mon"><input name="days" type="checkbox" value="tue">
  <input name="size" type="radio" value="s"><input name="size" type="radio" value="m">
  <select name="color"><option value="red">r</option><option value="blue">b</option></select>
  <select name="tags" multiple><option>x</option><option>y</option><option>z</option></select>
  <input name="pin" type="password"> <input name="csrf" type="hidden" value="t"> <input name="card" autocomplete="cc-number">
  <input name="private" data-sessile-ignore> <input>
  <button name="go">Go</button>
</form> <input name="outside" form="other">`;

let server: FakeServer;
let tab: Tab;
let form: HTMLFormElement;
const field = (name: string): HTMLInputElement => form.elements.namedItem(name) as unknown as HTMLInputElement;
const all = (name: string): HTMLInputElement[] => Array.from(form.querySelectorAll<HTMLInputElement>(`[name="${name}"]`));
const fire = (element: Element, type: string) => element.dispatchEvent(new Event(type, { bubbles: true }));
const state = () => server.document("intake").state;

function type(name: string, text: string): void {
  field(name).focus();
  field(name).value = text;
  fire(field(name), "input");
}

async function bind(initial: Record<string, never> | Record<string, unknown> = {}): Promise<void> {
  server.document("intake", initial as never);
  tab = new Browser(server).tab();
  bindOnce(tab.client, form);
  await until(() => tab.client.status === "connected" && tab.client.open("intake").syncStatus === "synchronized");
}

beforeEach(() => {
  server = new FakeServer();
  document.body.innerHTML = HTML;
  form = document.querySelector("form") as HTMLFormElement;
});
afterEach(() => tab.client.close());

it("restores every kind of control, and leaves the page's default where nothing was saved", async () => {
  await bind({ why: "because", notes: "one\ntwo", age: 41.5, agree: true, days: ["tue"], size: "m", color: "blue", tags: ["x", "z"], pin: "1234", csrf: "stolen", card: "4111", private: "no" });
  expect([field("why").value, field("notes").value, field("age").value, field("color").value]).toEqual(["because", "one\ntwo", "41.5", "blue"]);
  expect(field("agree").checked).toBe(true);
  expect(all("days").map((box) => box.checked)).toEqual([false, true]);
  expect(all("size").map((radio) => radio.checked)).toEqual([false, true]);
  expect(Array.from((field("tags") as unknown as HTMLSelectElement).options, (option) => option.selected)).toEqual([true, false, true]);
  expect([field("pin").value, field("csrf").value, field("card").value, field("private").value]).toEqual(["", "t", "", ""]);
  expect(field("a/b~c").value).toBe("page default");
});

it("saves typed text after a pause of 150 ms, as one change", async () => {
  await bind();
  for (const text of ["h", "he", "hel"]) {
    type("why", text);
    tab.clock.advance(149);
  }
  expect(tab.client.open("intake").pendingCount).toBe(0);
  tab.clock.advance(1);
  await until(() => state()["why"] === "hel");
  expect(server.document("intake").version).toBe(1);
});

it("saves every kind of control under its name", async () => {
  await bind();
  type("a/b~c", "escaped");
  type("age", "7.5");
  const toggles = [field("agree"), ...all("days"), all("size")[1] as HTMLInputElement];
  for (const toggle of toggles) {
    toggle.checked = true;
    fire(toggle, "input");
    fire(toggle, "change");
  }
  field("color").value = "blue";
  fire(field("color"), "change");
  for (const option of Array.from((field("tags") as unknown as HTMLSelectElement).options)) option.selected = option.text !== "y";
  fire(field("tags"), "change");
  await until(() => Object.keys(state()).length === 7);
  expect(state()).toEqual({ "a/b~c": "escaped", age: 7.5, agree: true, days: ["mon", "tue"], size: "m", color: "blue", tags: ["x", "z"] });
});

it("an emptied number is taken out, an emptied text is empty", async () => {
  await bind({ age: 5, why: "x" });
  type("age", "");
  type("why", "");
  fire(field("why"), "change");
  await until(() => !("age" in state()) && state()["why"] === "");
});

it("what is not a number yet is neither saved nor taken for nothing", async () => {
  await bind({ age: 5 });
  type("age", "");
  Object.defineProperty(field("age"), "validity", { value: { badInput: true }, configurable: true }); // "1e" was typed
  tab.clock.advance(150);
  expect(tab.client.open("intake").state).toEqual({ age: 5 });
  Object.defineProperty(field("age"), "validity", { value: { badInput: false } });
  type("age", "1e3");
  tab.clock.advance(150);
  await until(() => state()["age"] === 1000);
});

it("never saves passwords, hidden fields, cards, or what is marked", async () => {
  await bind();
  for (const name of ["pin", "csrf", "card", "private"]) {
    type(name, "secret");
    fire(field(name), "change");
  }
  fire(document.querySelector("[name=outside]") as Element, "input");
  type("why", "x");
  fire(field("why"), "change");
  await until(() => server.document("intake").version === 1);
  expect(state()).toEqual({ why: "x" });
});

it.each([
  ["leaving the field", () => fire(field("why"), "focusout")],
  ["the form being sent", () => fire(form, "submit")],
  ["the page being hidden", () => tab.window.fire("pagehide")],
  ["the page going to the background", () => document.dispatchEvent(new Event("visibilitychange"))],
])("%s does not wait for the pause", async (_name, act) => {
  await bind();
  type("why", "quick");
  act();
  expect(tab.client.open("intake").state).toEqual({ why: "quick" });
});

it("shows what others write, but not in the field that the person is in", async () => {
  await bind({ why: "old", notes: "old" });
  field("why").focus();
  server.write("intake", [{ op: "merge", path: "", value: { why: "theirs", notes: "theirs", agree: true } }]);
  expect([field("why").value, field("notes").value, field("agree").checked]).toEqual(["old", "theirs", true]);
  field("why").blur();
  tab.clock.advance(0);
  expect(field("why").value).toBe("theirs");
});

it("what is being typed survives a change by others, and is saved", async () => {
  await bind({ why: "old" });
  type("why", "mine");
  server.write("intake", [{ op: "set", path: "/why", value: "theirs" }]);
  expect(field("why").value).toBe("mine");
  tab.clock.advance(150);
  await until(() => state()["why"] === "mine");
  expect(field("why").value).toBe("mine");
});

it("what others take out empties its control", async () => {
  await bind({ why: "x", agree: true, days: ["mon"] });
  server.write("intake", [{ op: "set", path: "", value: {} }]);
  expect([field("why").value, field("agree").checked, all("days")[0]?.checked]).toEqual(["", false, false]);
});

it("a reset form is saved", async () => {
  await bind({ why: "x" });
  field("why").value = "";
  fire(form, "reset");
  tab.clock.advance(0);
  await until(() => state()["why"] === "");
});

it("text that does not fit stays in the control, and the document says why", async () => {
  await bind();
  const reported: unknown[] = [];
  globalThis.reportError = (error: unknown) => reported.push(error);
  type("notes", "x".repeat(70_000));
  tab.clock.advance(150);
  expect(tab.client.open("intake").problem).toMatch(/65536 bytes/);
  expect(reported).toHaveLength(1);
  field("notes").blur();
  server.write("intake", [{ op: "set", path: "/notes", value: "theirs" }]);
  tab.clock.advance(0);
  expect(field("notes").value).toHaveLength(70_000);
  type("notes", "shorter");
  tab.clock.advance(150);
  await until(() => state()["notes"] === "shorter" && tab.client.open("intake").problem === null);
});

it("saves what is typed before the document is there, over what comes from the server", async () => {
  server.document("intake", { why: "from the server", notes: "kept" });
  tab = new Browser(server).tab();
  bindOnce(tab.client, form);
  type("why", "typed early");
  await until(() => field("notes").value === "kept");
  expect(field("why").value).toBe("typed early");
  tab.clock.advance(150);
  await until(() => state()["why"] === "typed early");
});

it("binds a form once, and not any more after it was let go", async () => {
  await bind();
  const end = bindOnce(tab.client, form);
  type("why", "once");
  fire(field("why"), "change");
  await until(() => server.document("intake").version === 1);
  end();
  type("why", "unbound");
  tab.clock.advance(1000);
  expect(tab.client.open("intake").state).toEqual({ why: "once" });
});

it("asks before the page is left in mid-word, saves meanwhile, and asks no more then", async () => {
  await bind();
  const leave = () => {
    const event = new Event("beforeunload", { cancelable: true });
    tab.window.dispatchEvent(event);
    return event.defaultPrevented;
  };
  expect(leave()).toBe(false);
  type("why", "half a wor");
  expect(leave()).toBe(true);
  expect(tab.client.open("intake").state).toEqual({ why: "half a wor" });
  await until(() => state()["why"] === "half a wor");
  expect(leave()).toBe(false);
});

it("does not ask where the page wants no questions", async () => {
  tab = new Browser(server).tab({ leaveGuard: false });
  bindOnce(tab.client, form);
  await until(() => tab.client.status === "connected");
  type("why", "half a wor");
  const event = new Event("beforeunload", { cancelable: true });
  tab.window.dispatchEvent(event);
  expect(event.defaultPrevented).toBe(false);
  await until(() => state()["why"] === "half a wor");
});
