/** Switching platforms: at once here, asked once, taken back when refused, and told to other tabs only when it is committed. */

import { afterEach, expect, it } from "vitest";
import { Browser, type Tab } from "./browser.js";
import { rest, until } from "./clock.js";
import { FakeServer, refusal, sessionOf } from "./server.js";

const PLATFORMS = ["a", "b", "c"].map((id) => ({ id, name: `Branch ${id}`, kind: "branch", is_default: id === "a" }));
const platform = (id: string) => PLATFORMS.find((one) => one.id === id) ?? null;
const SWITCH = "POST /api/v0/session/platform";

const tabs: Tab[] = [];
afterEach(() => tabs.splice(0).forEach(({ client }) => client.close()));

/** The server's side: compare-and-set, told to every socket. */
function serverOn(id: string) {
  const server = new FakeServer();
  const at = (wanted: string) => (server.session = { ...sessionOf("u1"), platform: platform(wanted) } as never);
  at(id);
  const commit = (wanted: string) => {
    at(wanted);
    for (const socket of server.open) socket.tell({ type: "session_changed", session_id: "s1", reload: true });
  };
  server.routes.set("GET /api/v0/session/platforms", () => Response.json({ platforms: PLATFORMS }));
  server.routes.set(SWITCH, ({ platform_id, expected_platform_id }) => {
    if (!platform(platform_id)) return refusal(404, "platform_refused", { reason: "missing" });
    const present = (server.session as unknown as { platform: { id: string } }).platform.id;
    if (present !== expected_platform_id) return refusal(409, "version_conflict", { current: { platform_id: present } });
    commit(platform_id);
    return Response.json({ session: server.session });
  });
  const asked = () => server.calls.filter(({ route }) => route === SWITCH).map(({ body }) => body);
  return { server, commit, asked };
}

async function started(id = "a") {
  const world = serverOn(id);
  const browser = new Browser(world.server);
  const open = async () => {
    const tab = browser.tab();
    tabs.push(tab);
    await tab.client.document("d");
    await tab.client.platforms();
    const seen: [string | null | undefined, boolean][] = [];
    tab.client.on("platformSwitched", (detail) => seen.push([detail.platform?.name ?? detail.platform_id, detail.optimistic]));
    return { ...tab, seen };
  };
  return { ...world, ...(await open()), open };
}

// shows: E03
it("shows the click at once, asks after 100 ms, and says when it is committed", async () => {
  const { client, clock, seen, asked } = await started();
  const done = client.switchPlatform("b");
  expect([client.platform?.name, seen]).toEqual(["Branch b", [["Branch b", true]]]);
  clock.advance(99);
  await rest();
  expect(asked()).toEqual([]);
  clock.advance(1);
  expect((await done).platform?.id).toBe("b");
  await rest();
  expect(asked()).toEqual([{ platform_id: "b", expected_platform_id: "a" }]);
  expect(seen).toEqual([["Branch b", true], ["Branch b", false]]);
  expect(client.session?.platform?.name).toBe("Branch b");
});

// shows: E02
it("of rapid clicks only the last one reaches the server, and all of them get its answer", async () => {
  const { client, clock, seen, asked } = await started();
  const clicks = ["c", "b", "a", "b", "c"].map((id) => {
    clock.advance(60);
    return client.switchPlatform(id);
  });
  clock.advance(100);
  expect((await Promise.all(clicks)).map((session) => session.platform?.id)).toEqual(["c", "c", "c", "c", "c"]);
  expect(asked()).toEqual([{ platform_id: "c", expected_platform_id: "a" }]);
  expect(seen.at(-1)).toEqual(["Branch c", false]);
});

it("a click back to where it was asks nothing", async () => {
  const { client, clock, seen, asked } = await started();
  void client.switchPlatform("b");
  const back = client.switchPlatform("a");
  clock.advance(100);
  expect((await back).platform?.id).toBe("a");
  await rest();
  expect([asked(), seen.at(-1)]).toEqual([[], ["Branch a", false]]);
});

it("other tabs see nothing before the commit, and then exactly it", async () => {
  const { client, clock, open, server } = await started();
  const other = await open();
  let answer: () => void = () => undefined;
  const real = server.routes.get(SWITCH) as (body: any) => Response;
  server.routes.set(SWITCH, (body) => new Promise((resolve) => (answer = () => resolve(real(body)))));
  const done = client.switchPlatform("b");
  clock.advance(100);
  await rest();
  expect([other.seen, other.client.platform?.id]).toEqual([[], "a"]);
  answer();
  await done;
  await until(() => other.client.platform?.id === "b");
  expect(other.seen).toEqual([["Branch b", false]]);
});

// shows: E03 E02
it("another tab was faster: the click is taken back, and what the server says is shown", async () => {
  const { client, clock, seen, server, asked } = await started();
  server.session = { ...sessionOf("u1"), platform: platform("c") } as never; // the news is still under way
  const click = client.switchPlatform("b");
  clock.advance(100);
  await expect(click).rejects.toMatchObject({ code: "version_conflict", status: 409 });
  expect(seen).toEqual([["Branch b", true], ["Branch c", false]]);
  expect([client.platform?.id, asked().length]).toEqual(["c", 1]);
});

it("news of another tab's switch between the click and the request does not make the click win", async () => {
  const { client, clock, commit, asked } = await started();
  const click = client.switchPlatform("b");
  commit("c");
  await until(() => client.session?.platform?.id === "c");
  expect(client.platform?.id).toBe("b"); // still this tab's own click
  clock.advance(100);
  await expect(click).rejects.toMatchObject({ code: "version_conflict" });
  expect(asked()).toEqual([{ platform_id: "b", expected_platform_id: "a" }]);
  expect(client.platform?.id).toBe("c");
});

it("a platform that is not there: taken back, with the server's code", async () => {
  const { client, clock, seen } = await started();
  const click = client.switchPlatform("gone");
  clock.advance(100);
  await expect(click).rejects.toMatchObject({ code: "platform_refused", status: 404, reason: "missing" });
  expect(seen).toEqual([["gone", true], ["Branch a", false]]);
});

it("a click during a request goes on from there; after a lost race it does not count", async () => {
  const { client, clock, server, asked, seen } = await started();
  const answers: (() => void)[] = [];
  const real = server.routes.get(SWITCH) as (body: any) => Response;
  server.routes.set(SWITCH, (body) => new Promise((resolve) => answers.push(() => resolve(real(body)))));
  const first = client.switchPlatform("b");
  clock.advance(100);
  await until(() => answers.length === 1);
  const second = client.switchPlatform("c");
  clock.advance(100);
  await rest();
  expect(answers).toHaveLength(1);
  answers[0]?.();
  await first;
  await until(() => answers.length === 2);
  answers[1]?.();
  expect((await second).platform?.id).toBe("c");
  expect(asked()).toEqual([{ platform_id: "b", expected_platform_id: "a" }, { platform_id: "c", expected_platform_id: "b" }]);
  await rest();
  expect(seen).toEqual([["Branch b", true], ["Branch c", true], ["Branch c", false]]);

  server.session = { ...sessionOf("u1"), platform: platform("b") } as never;
  const third = client.switchPlatform("a");
  clock.advance(100);
  await until(() => answers.length === 3);
  const fourth = client.switchPlatform("c");
  answers[2]?.();
  await expect(third).rejects.toMatchObject({ code: "version_conflict" });
  await expect(fourth).rejects.toMatchObject({ code: "version_conflict" });
  clock.advance(100);
  await rest();
  expect([answers.length, client.platform?.id]).toEqual([3, "b"]);
});

it("no answer at all: taken back to what is known, and the next socket says what became of it", async () => {
  const { client, clock, server, commit, seen } = await started();
  server.routes.set(SWITCH, ({ platform_id }) => {
    server.goDown();
    commit(platform_id);
    throw new TypeError("the answer was lost");
  });
  const click = client.switchPlatform("b");
  clock.advance(100);
  await expect(click).rejects.toMatchObject({ code: "not_connected", retryable: true });
  expect(client.platform?.id).toBe("a");
  server.isUp = true;
  await until(() => clock.waiting.length > 0);
  clock.advance(1000);
  await until(() => client.platform?.id === "b");
  expect(seen).toEqual([["Branch b", true], ["Branch a", false], ["Branch b", false]]);
});

it("a closed tab switches nothing", async () => {
  const { client, clock, asked } = await started();
  const click = client.switchPlatform("b");
  client.close();
  await expect(click).rejects.toMatchObject({ code: "closed" });
  clock.advance(1000);
  await rest();
  expect(asked()).toEqual([]);
});

// shows: E05
it("one tab may be on a platform of its own: every request and its own socket say so, and the other tabs stay where they are", async () => {
  const { server } = serverOn("a");
  server.ownPlatform = platform;
  const shared = new Browser(server, { isSharing: true });
  const [left, right] = [shared.tab(), shared.tab()];
  tabs.push(left, right);
  await Promise.all([left, right].map(({ client }) => client.document("d")));
  await until(() => [left, right].some(({ client }) => client.role === "leader"));
  const read = (headers: Headers) => platform(headers.get("sessile-platform") ?? "a");
  server.routes.set("GET /api/v0/session", () => {
    const own = read(new Headers(server.lastInit?.headers));
    if (!own) return refusal(404, "platform_refused");
    return Response.json({ session: { ...server.session, platform: own } });
  });
  const told: (string | null)[] = [];
  right.client.on("platformSwitched", ({ platform_id }) => told.push(platform_id));
  await right.client.showPlatform("b");
  await until(() => server.latest.received[0]?.["platform_id"] === "b");
  expect([right.client.role, right.client.platform?.id, left.client.platform?.id]).toEqual(["solo", "b", "a"]);
  expect(told[0]).toBe("b");
  await expect(right.client.showPlatform("nobody's")).rejects.toMatchObject({ code: "platform_refused" });
  await right.client.switchPlatform("c"); // in such a tab it is the tab's
  await until(() => server.latest.received[0]?.["platform_id"] === "c");
  expect(server.calls.filter(({ route }) => route === SWITCH)).toEqual([]);
  expect(left.client.platform?.id).toBe("a");
});
