// @vitest-environment happy-dom
/** The built script as a page loads it: `<script src="/sessile.js"></script>` and nothing else. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it, vi } from "vitest";

const bundle = readFileSync(resolve(import.meta.dirname, "../../../src/sessile/server/static/sessile.js"), "utf8");
const run = () => new Function(bundle)();

it("starts nothing on a page that has nothing to bind, and is there when it is asked for", () => {
  const opened = vi.fn();
  vi.stubGlobal("WebSocket", opened);
  const asked = vi.fn(async () => Response.json({ authenticated: false, session: null }));
  vi.stubGlobal("fetch", asked);
  document.body.innerHTML = "<form><input name='a'></form>";
  run();
  const { sessile } = globalThis as unknown as { sessile: { connect: unknown; client: { status: string; close(): void } } };
  expect(typeof sessile.connect).toBe("function");
  expect(asked).not.toHaveBeenCalled();

  const { client } = sessile;
  expect(client.status).toBe("connecting");
  expect(sessile.client).toBe(client);
  expect(customElements.get("sessile-status")).toBeTypeOf("function");
  client.close();
  expect(opened).not.toHaveBeenCalled();
  run(); // the same script twice
  expect((globalThis as unknown as { sessile: unknown }).sessile).toBe(sessile);
});

it("needs no eval and no inline style, and no other file before it is asked for", () => {
  expect(bundle).not.toMatch(/\beval\(|new Function|innerHTML|sourceMappingURL|https?:\/\//);
  expect(bundle.match(/\bimport\(/g)).toHaveLength(2); // the tools of the console, and what goes where no socket gets through
});
