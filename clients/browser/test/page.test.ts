/** What the browser knows of page and network, and what is made of it. */

import { beforeEach, expect, it } from "vitest";
import { PageSignals } from "../src/page.js";
import { Page } from "./browser.js";

let window: Page, document: Page, told: string[], signals: PageSignals;

beforeEach(() => {
  [window, document, told] = [new Page(), new Page(), []];
  signals = new PageSignals({ window, document }, {
    awake: (mayBeElsewhere) => told.push(mayBeElsewhere ? "awake, elsewhere" : "awake"), offline: () => told.push("offline"), asleep: () => told.push("asleep"), flush: () => told.push("flush"),
    visible: (isVisible) => told.push(isVisible ? "visible" : "hidden"),
  });
});

function after(target: Page, event: string): string[] {
  told.length = 0;
  target.fire(event);
  return [...told];
}

function isAsked(): boolean {
  const event = new Event("beforeunload", { cancelable: true });
  window.dispatchEvent(event);
  return event.defaultPrevented;
}

function turn(visibilityState: string): string[] {
  document.visibilityState = visibilityState;
  return after(document, "visibilitychange");
}

// shows: H03
it("a network or a page that is back is no reason to wait any longer", () => {
  for (const [target, event] of [[window, "online"], [window, "pageshow"], [document, "resume"]] as const) expect(after(target, event)).toEqual(["awake, elsewhere"]);
  expect(after(window, "offline")).toEqual(["offline"]);
});

// shows: H03
it("a page that is frozen or left saves first and puts its socket down", () => {
  for (const [target, event] of [[document, "freeze"], [window, "pagehide"]] as const) expect(after(target, event)).toEqual(["flush", "asleep"]);
});

// shows: H03
it("a page in the background saves and says so, and wakes in front", () => {
  expect(turn("hidden")).toEqual(["hidden", "flush"]);
  expect(signals.isVisible).toBe(false);
  expect(turn("visible")).toEqual(["visible", "awake"]);
});

// shows: H03
it("asks before it is left exactly while there is something to lose", () => {
  expect(isAsked()).toBe(false);
  signals.guard(true);
  signals.guard(true);
  expect(isAsked()).toBe(true);
  signals.guard(false);
  expect(isAsked()).toBe(false);
});

it("hears nothing any more once it is closed", () => {
  signals.guard(true);
  signals.close();
  for (const event of ["online", "pageshow", "pagehide"]) expect(after(window, event)).toEqual([]);
  for (const event of ["freeze", "resume", "visibilitychange"]) expect(after(document, event)).toEqual([]);
  expect(isAsked()).toBe(false);
});
