// @vitest-environment happy-dom
import { expect, it } from "vitest";
import type { Client } from "../src/client.js";
import type { Doc } from "../src/document.js";
import { savingOf } from "../src/saving.js";
import { defineStatusElement } from "../src/status.js";
import { Browser } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

type ClientView = Pick<Client, "status" | "isOffline" | "isStorageDurable">;
const online: ClientView = { status: "connected", isOffline: false, isStorageDurable: true };
const offline: ClientView = { status: "reconnecting", isOffline: true, isStorageDurable: true };
const connecting: ClientView = { status: "connecting", isOffline: false, isStorageDurable: true };
const doc = (over: object = {}) => ({ pendingCount: 0, unstoredCount: 0, conflicts: [], problem: null, ...over }) as unknown as Doc;

it.each([
  [connecting, [doc()], "starting", ""],
  [online, [doc()], "saved", "Saved"],
  [online, [doc({ pendingCount: 1 })], "saving", "Saving…"],
  [connecting, [doc({ pendingCount: 1 })], "local", "Saved on this device"],
  [offline, [doc({ pendingCount: 1 })], "offline", "Offline: saved on this device"],
  [offline, [doc()], "offline", "Offline: saved on this device"],
  [offline, [doc({ pendingCount: 1, unstoredCount: 1 })], "saving", "Saving…"],
  [{ ...offline, isStorageDurable: false }, [doc({ pendingCount: 1, unstoredCount: 1 })], "refused", "Not saved: this browser keeps nothing"],
  [{ ...online, status: "degraded" as const }, [doc()], "degraded", "Saved, slow connection"],
  [{ ...online, status: "degraded" as const }, [doc({ pendingCount: 1 })], "degraded", "Slow connection: saved on this device"],
  [online, [doc({ problem: "too long" })], "refused", "Not saved: too long"],
  [online, [doc({ conflicts: [{}, {}] }), doc({ conflicts: [{}] })], "conflict", "Conflict: 3"],
  [{ ...offline, status: "needs_auth" as const }, [doc({ pendingCount: 1 })], "sign-in", "Sign in to continue"],
])("%#: %o says %s", (client, docs, state, text) => {
  expect(savingOf(client, docs)).toEqual({ state, text });
});

it("is a polite status line without inline styles that follows the document", async () => {
  const server = new FakeServer();
  const { client, window } = new Browser(server).tab();
  defineStatusElement(() => client);
  document.body.innerHTML = '<sessile-status></sessile-status><sessile-status for="other" role="note"></sessile-status>';
  const [all, other] = Array.from(document.querySelectorAll<HTMLElement>("sessile-status")) as [HTMLElement, HTMLElement];
  expect([all.getAttribute("role"), all.getAttribute("aria-live"), other.getAttribute("role")]).toEqual(["status", "polite", "note"]);
  const texts: string[] = [];
  client.subscribe(() => texts.at(-1) !== all.textContent && texts.push(all.textContent ?? ""));

  const intake = await client.document("intake");
  await intake.set("/a", 1).durable;
  expect(texts.slice(-2)).toEqual(["Saving…", "Saved"]);
  expect(all.dataset["state"]).toBe("saved");
  server.goDown();
  window.fire("offline");
  await intake.set("/a", 2).local;
  expect(all.textContent).toBe("Offline: saved on this device");
  server.isUp = true;
  window.fire("online");
  await until(() => all.textContent === "Saved");
  const writes = new MutationObserver(() => undefined);
  writes.observe(all, { childList: true, characterData: true, subtree: true });
  server.write("intake", [{ op: "set", path: "/b", value: 1 }]);
  expect(writes.takeRecords()).toEqual([]); // a text that stays is not announced again

  expect(all.shadowRoot?.querySelector("[part=dot]")).toBeTruthy();
  expect(all.shadowRoot?.querySelector("style")).toBeNull();
  expect(all.shadowRoot?.adoptedStyleSheets).toHaveLength(1);
  expect(document.querySelector("[style]")).toBeNull();
  all.remove();
  server.goDown();
  expect(all.textContent).toBe("Saved");
  client.close();
});
