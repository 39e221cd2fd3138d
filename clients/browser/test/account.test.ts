/** The person's session: staying logged in, devices, and what other tabs hear of it. */

import { afterEach, expect, it } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer, refusal, sessionOf } from "./server.js";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

async function started(server = new FakeServer(), browser = new Browser(server)) {
  const tab = browser.tab();
  tabs.push(tab);
  await tab.client.document("d");
  return { server, browser, ...tab };
}

it("warns before the end, and says whether staying is possible", async () => {
  const { server, client } = await started();
  const warned: unknown[] = [];
  client.on("sessionExpiring", (detail) => warned.push(detail));
  server.latest.tell({ type: "session_expiring", session_id: "s1", expires_at: "soon", can_extend: false });
  expect(warned).toEqual([{ session_id: "s1", expires_at: "soon", can_extend: false }]);
});

it("stays logged in: a POST as JSON, and the page sees the new end", async () => {
  const { server, client } = await started();
  const told: unknown[] = [];
  client.on("sessionStateChanged", ({ session }) => told.push(session?.expires_at));
  server.routes.set("POST /api/v0/session/extend", () => Response.json({ session: { ...sessionOf("u1"), expires_at: "later" } }));
  expect((await client.extend()).expires_at).toBe("later");
  expect([client.session?.expires_at, told]).toEqual(["later", ["later"]]);
  expect(server.sockets).toHaveLength(1);
});

it("too late to stay: the error says why, and the page is logged out without waiting for the socket", async () => {
  const { server, client } = await started();
  server.session = null;
  server.routes.set("POST /api/v0/session/extend", () => refusal(401, "authentication_required", { reason: "expired:idle" }));
  await expect(client.extend()).rejects.toMatchObject({ code: "authentication_required", status: 401, reason: "expired:idle" });
  await until(() => client.status === "needs_auth");
  expect(client.session).toBe(null);
});

it("an answer that is older than the change is not shown", async () => {
  const { server, client } = await started();
  let answerRead: (response: Response) => void = () => undefined;
  server.routes.set("GET /api/v0/session", () => new Promise((resolve) => (answerRead = resolve)));
  server.routes.set("POST /api/v0/session/extend", () => Response.json({ session: { ...sessionOf("u1"), expires_at: "later" } }));
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true });
  await until(() => server.calls.length === 1);
  await client.extend();
  answerRead(Response.json({ session: { ...sessionOf("u1"), expires_at: "before" } }));
  await rest();
  expect([client.session?.expires_at, client.status, server.sockets.length]).toEqual(["later", "connected", 1]);
});

it("a tab without a socket hears of a change from the tab that made it", async () => {
  const { server, browser, client } = await started();
  const other = await started(server, browser);
  server.latest.shut(1006);
  other.window.fire("offline");
  expect(other.client.status).toBe("reconnecting");
  const later = { ...sessionOf("u1"), expires_at: "later" };
  server.session = later as never;
  server.routes.set("POST /api/v0/session/extend", () => Response.json({ session: later }));
  await client.extend();
  await until(() => other.client.session?.expires_at === "later");
  expect(other.client.status).toBe("reconnecting");
});

it("takes a new cookie when the server asks for it, and reads the session then", async () => {
  const { server, client } = await started();
  server.routes.set("POST /api/v0/session/refresh", () => {
    server.session = { ...sessionOf("u1"), expires_at: "later" } as never;
    return Response.json({ session: server.session });
  });
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true, refresh: false });
  await rest();
  expect(server.calls).toEqual([]);
  server.latest.tell({ type: "session_changed", session_id: "s1", reload: true, refresh: true });
  await until(() => client.session?.expires_at === "later");
  expect(server.sockets).toHaveLength(1);
});

it("lists the person's devices, ends one, ends all others", async () => {
  const { server, client } = await started();
  const entry = { ...sessionOf("u1", "s2"), device: { label: "Phone" }, is_current: false, is_connected: true };
  server.routes.set("GET /api/v0/sessions", () => Response.json({ sessions: [entry] }));
  server.routes.set("DELETE /api/v0/sessions/s2", () => new Response(null, { status: 204 }));
  server.routes.set("POST /api/v0/session/logout-others", () => Response.json({ ended: 3 }));
  expect(await client.sessions()).toEqual([entry]);
  expect(await client.endSession("s2")).toBe(undefined);
  expect(await client.logoutOthers()).toBe(3);
  expect(server.calls.map(({ route }) => route)).toEqual(["GET /api/v0/sessions", "DELETE /api/v0/sessions/s2", "POST /api/v0/session/logout-others"]);
});
