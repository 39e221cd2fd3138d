// @vitest-environment happy-dom
/** The hooks, in React 19 itself. */

import { act, createElement, type FunctionComponent, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Client } from "../src/client.js";
import { SessileProvider, useClientSnapshot, useDocument, useSession, useStatus } from "../src/react.js";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

let server: FakeServer, tab: Tab, root: Root, host: HTMLElement;
beforeEach(() => {
  server = new FakeServer();
  tab = new Browser(server).tab();
  host = document.createElement("div");
  root = createRoot(host);
});
afterEach(async () => {
  await act(async () => root.unmount());
  tab.client.close();
});

const show = (component: FunctionComponent, client: Client = tab.client) =>
  act(async () => root.render(createElement(StrictMode, null, createElement(SessileProvider, { client }, createElement(component)))));
const shows = (text: string) => act(() => until(() => host.textContent === text, `shows ${text}, not ${host.textContent}`));

it("a document is shown, changed and followed", async () => {
  const Title: FunctionComponent = () => {
    const { doc, state, isReady, pendingCount } = useDocument("d", { default: { title: "new" } });
    return createElement("button", { onClick: () => doc.set("/title", "mine") }, isReady ? `${String(state["title"])} ${pendingCount}` : "…");
  };
  await show(Title);
  await shows("new 0");
  await act(async () => host.querySelector("button")?.click());
  await shows("mine 0");
  await act(async () => server.write("d", [{ op: "set", path: "/title", value: "theirs" }]));
  await shows("theirs 0");
});

it("session and status are shown, and a component renders only when what it uses has changed", async () => {
  const rendered = vi.fn();
  const Line: FunctionComponent = () => {
    const { session } = useSession();
    const { saving, text, isOffline } = useStatus();
    rendered();
    return createElement("p", null, `${session?.user?.id ?? "nobody"}: ${saving}, ${text}${isOffline ? "!" : ""}`);
  };
  const doc = await tab.client.document("d");
  await show(Line);
  await shows("u1: saved, Saved");
  const count = rendered.mock.calls.length;
  await act(async () => server.write("d", [{ op: "set", path: "/a", value: 1 }]));
  await act(() => until(() => doc.state["a"] === 1));
  expect(rendered.mock.calls.length).toBe(count);
  await act(async () => {
    server.goDown();
    tab.window.fire("offline");
  });
  await shows("u1: offline, Offline: saved on this device!");
});

it("the client's snapshot is shown, too", async () => {
  const Pending: FunctionComponent = () => {
    const { status, role, pendingCount } = useClientSnapshot();
    return createElement("p", null, `${status} ${role} ${pendingCount}`);
  };
  const doc = await tab.client.document("d");
  await show(Pending);
  await shows("connected solo 0");
  server.isAnswering = false;
  server.latest.documents.clear(); // neither an answer nor news
  await act(async () => void doc.set("/a", 1));
  await shows("connected solo 1");
});

it("listens no more when it is gone", async () => {
  const seen: number[] = [];
  const Count: FunctionComponent = () => {
    seen.push(useDocument("d").version);
    return null;
  };
  await show(Count);
  await act(() => until(() => server.documents.has("d") && tab.client.status === "connected"));
  await act(async () => root.unmount());
  const count = seen.length;
  await tab.client.open("d").set("/a", 1).durable;
  expect(seen.length).toBe(count);
});

it("says what is missing where there is no provider", async () => {
  const Alone: FunctionComponent = () => createElement("p", null, String(useSession()));
  await expect(act(async () => root.render(createElement(Alone)))).rejects.toThrow("SessileProvider");
});
