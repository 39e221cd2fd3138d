// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { me } from "../src/api";
import type { Me } from "../src/model";
import { askToEnd, askToEndOne } from "../src/pages/ending";
import { question } from "../src/parts/dialog";
import { toasts } from "../src/toasts";

interface Call { readonly path: string; readonly body: Record<string, unknown>; readonly csrf: string | null }
let calls: Call[];
let answers: ((call: Call) => Response)[];
const ended = (count: number, remaining = 0): Response => Response.json({ ended: count, already_over: 0, sockets: 1, remaining });
const more = (count: number): Response => Response.json({ code: "confirmation_needed", count, detail: `Type ${count}.` }, { status: 409 });

beforeEach(() => {
  calls = [];
  answers = [];
  toasts.value = [];
  me.value = { csrf: "token", server: { confirm_above: 20 } } as Me;
  vi.stubGlobal("fetch", async (url: string, { body, headers }: { body: string; headers: Record<string, string> }) => {
    const call = { path: new URL(url).pathname, body: JSON.parse(body) as Record<string, unknown>, csrf: headers["X-CSRF-Token"] ?? null };
    calls.push(call);
    return answers.shift()!(call);
  });
});

afterEach(() => vi.unstubAllGlobals());

it("names the count, and has it typed above 20", () => {
  askToEnd({ count: 20, body: { session_ids: [] } }, () => undefined);
  expect([question.value!.action, question.value!.typed]).toEqual(["End 20 sessions", undefined]);
  askToEnd({ count: 10_000, body: { q: "state:live" } }, () => undefined);
  expect([question.value!.action, question.value!.typed]).toEqual(["End 10,000 sessions", "10000"]);
  askToEndOne("a/b", "ada", () => undefined);
  expect(question.value!.title).toBe("End 1 session of ada?");
});

it("ends all that match, a part at a time", async () => {
  answers = [() => ended(1000, 1500), () => ended(1000, 500), () => ended(500)];
  const done = vi.fn();
  askToEnd({ count: 2500, body: { q: "user:ada" } }, done);
  await question.value!.run("because");
  expect(calls.map(({ body }) => body["confirm"])).toEqual([2500, 1500, 500]);
  expect(calls[0]).toEqual({ path: "/api/console/sessions/end", body: { q: "user:ada", reason: "because", confirm: 2500 }, csrf: "token" });
  expect(toasts.value.at(-1)!.text).toBe("Ended 2,500 sessions, closed 3 sockets.");
  expect(done).toHaveBeenCalledOnce();
});

it("goes on where some ended by themselves meanwhile", async () => {
  answers = [() => more(28), () => ended(28)];
  askToEnd({ count: 30, body: { q: "user:ada" } }, () => undefined);
  await question.value!.run("because");
  expect(calls.map(({ body }) => body["confirm"])).toEqual([30, 28]);
});

it("ends nothing that was not confirmed", async () => {
  answers = [() => more(31)];
  askToEnd({ count: 30, body: { q: "user:ada" } }, () => undefined);
  await expect(question.value!.run("because")).rejects.toThrow("Type 31.");
  answers = [() => ended(1000, 1500), () => more(1600)];
  askToEnd({ count: 2500, body: { q: "user:ada" } }, () => undefined);
  await expect(question.value!.run("because")).rejects.toThrow("Type 1600.");
});

it("asks again with their number of now, and says what was ended by then", async () => {
  answers = [() => ended(1000, 1500), () => more(1600)];
  askToEnd({ count: 2500, body: { q: "user:ada" } }, () => undefined);
  await expect(question.value!.run("because")).rejects.toThrow("Type 1600.");
  expect(toasts.value.at(-1)!.text).toBe("Ended 1,000 sessions, closed 1 socket.");
  const again = question.value!.again!(1600);
  expect([again.title, again.typed]).toEqual(["End 1,600 sessions?", "1600"]);
  answers = [() => ended(1000, 600), () => ended(600)];
  calls = [];
  await again.run("because");
  expect(calls.map(({ body }) => body["confirm"])).toEqual([1600, 600]);
});

it("says so when somebody else was first", async () => {
  answers = [() => Response.json({ ended: 0, already_over: 1, sockets: 0 })];
  askToEndOne("a", "ada", () => undefined);
  await question.value!.run("because");
  expect(toasts.value.at(-1)!.text).toBe("It was over already: nothing was ended.");
});

it("does not go round for ever where a part ends none", async () => {
  answers = [() => ended(0, 5)];
  askToEnd({ count: 5, body: { q: "user:ada" } }, () => undefined);
  await question.value!.run("because");
  expect(calls.length).toBe(1);
});

it("sends chosen sessions in parts of a thousand", async () => {
  answers = [() => ended(1000), () => ended(1)];
  askToEnd({ count: 1001, body: { session_ids: Array.from({ length: 1001 }, (_none, index) => String(index)) } }, () => undefined);
  await question.value!.run("because");
  expect(calls.map(({ body }) => [body["confirm"], (body["session_ids"] as string[]).length])).toEqual([[1000, 1000], [1, 1]]);
});
