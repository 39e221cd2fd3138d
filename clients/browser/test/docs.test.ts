// @vitest-environment happy-dom
/** What docs/how-to/browser.md and README.md show runs as it stands there. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { transformSync } from "esbuild";
import * as React from "react";
import * as runtime from "react/jsx-runtime";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import * as core from "../src/entry-core.js";
import * as whole from "../src/index.js";
import * as hooks from "../src/react.js";
import { Browser, type Tab } from "./browser.js";
import { until } from "./clock.js";
import { FakeServer } from "./server.js";

const at = (path: string): string => readFileSync(resolve(import.meta.dirname, "../../..", path), "utf8");
const page = at("docs/how-to/browser.md");
const readme = at("clients/browser/README.md");
const blocks = (text: string, language: string): string[] => [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, "gm"))].map(([, code]) => code as string);
const names = (text: string): Set<string> => new Set([...text.matchAll(/`(\w+)(?:\(\))?`/g)].map(([, name]) => name as string));

vi.setConfig({ testTimeout: 30_000 }); // a script of 80 kB is read, in an imitation of a page: slow where the machine is busy
let server: FakeServer, tab: Tab;
beforeEach(() => {
  server = new FakeServer();
  tab = new Browser(server).tab();
});
afterEach(() => {
  tab.client.close();
  vi.unstubAllGlobals();
});

/** Runs a module as a bundler would give it to a page. */
async function run(code: string, scope: Record<string, unknown>): Promise<void> {
  const environment = new Browser(server).environment();
  const connect = (module: typeof whole | typeof core) => ({ ...module, connect: (options = {}) => module.connect({ url: "https://app.test/", environment, ...options }) });
  const modules: Record<string, unknown> = { sessile: connect(whole), "sessile/core": connect(core), "sessile/react": hooks, react: React, "react/jsx-runtime": runtime };
  // Top-level `await` has no place in the format that can be run here.
  const imports = [...code.matchAll(/^import .*$/gm)].map(([line]) => line).join("\n");
  const body = code.replace(/^import .*$/gm, "");
  const { code: made } = transformSync(`${imports}\nexport default async (${Object.keys(scope).join()}) => {${body}\nreturn { client: typeof client === "object" ? client : null, doc: typeof doc === "object" ? doc : null };}`, { loader: "jsx", jsx: "automatic", format: "cjs" });
  const module = { exports: {} as { default: (...given: unknown[]) => Promise<{ client: { close(): void } | null; doc: unknown }> } };
  new Function("module", "exports", "require", made)(module, module.exports, (name: string) => modules[name] ?? expect.fail(`nothing is known of ${name}`));
  const { client } = await module.exports.default(...Object.values(scope));
  closing.push(() => client?.close());
}
const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

it("a form without writing code, by the served script", async () => {
  const [html] = blocks(page, "html") as [string];
  expect(html).toContain('<script src="/sessile.js"></script>');
  vi.stubGlobal("WebSocket", server.Socket);
  vi.stubGlobal("fetch", server.fetch);
  document.body.innerHTML = html.replace(/<script.*<\/script>/, "");
  new Function(at("src/sessile/server/static/sessile.js"))();
  const { sessile } = globalThis as unknown as { sessile: { client: whole.Client; debug: object } & Record<string, unknown> };
  closing.push(() => sessile.client.close());
  const line = document.querySelector("sessile-status") as HTMLElement;
  await until(() => line.dataset["state"] === "saved" && line.textContent === "Saved");
  const input = document.querySelector("input") as HTMLInputElement;
  input.value = "because";
  for (const type of ["input", "change"]) input.dispatchEvent(new Event(type, { bubbles: true }));
  await until(() => server.document("intake").state["why"] === "because");

  // The same page's script, with code; and the names that it says there are.
  const [script] = blocks(page, "js") as [string];
  await run(script, { sessile });
  expect(server.document("intake").state).toMatchObject({ step: 2 });
  const table = page.slice(page.indexOf("| `await sessile.debug.…`"), page.indexOf("As a module: `debugTools"));
  const tools = names(table);
  expect(tools.size).toBeGreaterThan(7);
  for (const name of tools) expect(sessile.debug, name).toHaveProperty(name);
  const [, one, other] = /`debugSessionSync` \(([^)]*)\) and `sessionDebugTools`\s*\(([^)]*)\)/.exec(page) as unknown as [string, string, string];
  for (const name of names(one)) expect((globalThis as never as { debugSessionSync: object }).debugSessionSync).toHaveProperty(name);
  for (const name of names(other)) expect((globalThis as never as { sessionDebugTools: object }).sessionDebugTools).toHaveProperty(name);
  expect(typeof sessile["bindForm"]).toBe("function");
});

it("the hooks in React", async () => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false);
  const host = document.createElement("div");
  const root = createRoot(host);
  closing.push(() => root.unmount());
  await run(blocks(page, "js").find((code) => code.includes("sessile/react")) as string, { root });
  await until(() => host.querySelector("p")?.textContent === ": Saved" && !host.querySelector("input")?.disabled, "the line says that it is saved");
  server.write("intake", [{ op: "set", path: "/title", value: "theirs" }]);
  await until(() => host.querySelector("input")?.value === "theirs");
});

it("the modules of the README: the whole client, and the core", async () => {
  const said = { log: vi.fn() };
  const scripts = blocks(readme, "js");
  expect(scripts.map((code) => /from "([^"]+)"/.exec(code)?.[1])).toEqual(["sessile", "sessile/core"]);
  for (const script of scripts) await run(script, { console: said });
  await until(() => server.document("intake").state["step"] === 2);
  expect(said.log).toHaveBeenCalled();
});

it("the style sheet styles what there is, and the table has every state of the line", () => {
  const [css] = blocks(page, "css") as [string];
  const source = at("clients/browser/src/status.ts");
  for (const [name] of css.matchAll(/--sessile[\w-]+/g)) expect(source).toContain(`var(${name}`);
  for (const [, part] of css.matchAll(/::part\((\w+)\)/g)) expect(source).toContain(`[part=${part}]`);
  const [, union] = /type SavingState = ([^;]+);/.exec(at("clients/browser/src/saving.ts")) as unknown as [string, string];
  const states = [...union.matchAll(/"([\w-]+)"/g)].map(([, name]) => name).filter((name) => name !== "starting");
  const table = page.slice(page.indexOf("| `data-state` |"), page.indexOf("```css"));
  expect([...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell]) => (cell as string).split(", ")).map((name) => name.slice(1, -1)).filter((name) => name !== "data-state").sort()).toEqual(states.sort());
});

it("what is said of `connect` and of a client by the way is there", async () => {
  const options = at("clients/browser/src/options.ts");
  const calls = [...page.matchAll(/connect\(\{ (\w+):/g)].map(([, name]) => name as string);
  expect(calls).toContain("quietReconnectMs");
  for (const name of calls) expect(options).toMatch(new RegExp(`^  readonly ${name}\\?:`, "m"));
  for (const [, name] of page.matchAll(/`client\.(\w+)/g)) expect(name as string in tab.client, name).toBe(true);
  const doc = await tab.client.document("d");
  for (const [, name] of page.matchAll(/`doc\.(\w+)/g)) expect(name as string in doc, name).toBe(true);
});
