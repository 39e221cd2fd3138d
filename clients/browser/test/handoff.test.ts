/** Going on at another device: the side that offers and agrees, and the side that comes with a code. */

import { expect, it } from "vitest";
import { redeemHandoff } from "../src/handoff.js";
import { Browser } from "./browser.js";
import { Clock, until } from "./clock.js";
import { FakeServer, refusal, sessionOf } from "./server.js";

const COMPLETE = "POST /api/v0/handoff/complete";

it("offers, hears who asks, answers", async () => {
  const server = new FakeServer();
  const { client } = new Browser(server).tab();
  await client.document("d");
  const heard: unknown[] = [];
  client.on("handoffChanged", (detail) => heard.push(detail));
  const state = { handoff_id: "h1", status: "redeemed", device: { label: "Phone" }, expires_at: "soon" };
  server.routes.set("POST /api/v0/handoff", () => Response.json({ handoff_id: "h1", code: "ABCD-EFGH" }, { status: 201 }));
  server.routes.set("GET /api/v0/handoff/h1", () => Response.json(state));
  server.routes.set("POST /api/v0/handoff/confirm", () => Response.json({ ...state, status: "confirmed" }));
  expect(await client.handoff.offer("/?document=d")).toMatchObject({ code: "ABCD-EFGH" });
  server.latest.tell({ type: "handoff_changed", session_id: "s1", ...state });
  expect(heard).toEqual([state]);
  expect(await client.handoff.status("h1")).toEqual(state);
  expect(await client.handoff.confirm("h1", true)).toMatchObject({ status: "confirmed" });
  expect(server.calls.map(({ body }) => body)).toEqual([{ path: "/?document=d" }, null, { handoff_id: "h1", accept: true }]);
  expect(server.calls.map(({ headers }) => headers.get("content-type"))).toEqual(["application/json", null, "application/json"]);
  client.close();
});

function asking() {
  const server = new FakeServer();
  const clock = new Clock();
  const redeemed = { handoff_id: "h1", claim: "proof", user: { name: "Ann" }, expires_at: "soon" };
  server.routes.set("POST /api/v0/handoff/redeem", ({ code }) => (code === "ABCD-EFGH" ? Response.json(redeemed) : refusal(404, "handoff_refused")));
  const redeem = (code: string) => redeemHandoff("https://app.test/", code, { fetch: server.fetch, timers: clock });
  /** Lets the next look at the answer happen. */
  const look = async (tries: number) => {
    await until(() => clock.waiting.some((delay_ms) => delay_ms === 1000));
    clock.advance(1000);
    await until(() => server.calls.filter(({ route }) => route === COMPLETE).length === tries);
  };
  return { server, clock, redeem, look };
}

it("comes with a code, sees whose account it is, and waits for the answer through a gap in the network", async () => {
  const { server, redeem, look } = asking();
  const done = { status: "completed", session: sessionOf("u1", "s2"), path: "/?document=d" };
  const answers = [Response.json({ status: "redeemed" }, { status: 202 }), refusal(503, "store_unavailable"), Response.json(done)];
  server.routes.set(COMPLETE, () => answers.shift() as Response);
  const { user, completed } = await redeem("ABCD-EFGH");
  expect(user).toEqual({ name: "Ann" });
  await look(2);
  await look(3);
  expect(await completed).toMatchObject({ path: "/?document=d", session: { session_id: "s2" } });
  expect(server.calls[0]?.body.device.time_zone).toEqual(expect.any(String));
  expect(server.calls.at(-1)?.body).toEqual({ handoff_id: "h1", claim: "proof" });
});

it("a wrong code and a refusal are told as what they are", async () => {
  const { server, redeem } = asking();
  await expect(redeem("WRNG-CODE")).rejects.toMatchObject({ code: "handoff_refused", status: 404 });
  server.routes.set(COMPLETE, () => refusal(404, "handoff_refused", { reason: "refused" }));
  await expect((await redeem("ABCD-EFGH")).completed).rejects.toMatchObject({ code: "handoff_refused", reason: "refused" });
});

it("does not ask for ever", async () => {
  const { server, clock, redeem } = asking();
  server.routes.set(COMPLETE, () => refusal(503, "store_unavailable"));
  const { completed } = await redeem("ABCD-EFGH");
  await until(() => clock.waiting.includes(1000));
  clock.sleep(300_000);
  clock.advance(1);
  await expect(completed).rejects.toMatchObject({ code: "store_unavailable" });
});
