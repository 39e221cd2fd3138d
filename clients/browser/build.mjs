// Builds dist/index.js and dist/core.js (ESM) and the bundle that the server hands out as /sessile.js, and holds each to its size.
import { writeFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const shared = { bundle: true, target: "es2022", legalComments: "none", charset: "utf8", logLevel: "warning", write: false, external: ["react"] };
const banner = { js: "/* Sessile browser client. Apache-2.0. Built from clients/browser; do not edit. */" };

/** Bytes of gzip, minified. `budget`: what it had when it was last looked at, and 2 %. `goal`: what it was meant to have (see README.md). */
const ENTRIES = [
  { name: "sessile.js", entry: "src/global.ts", format: "iife", out: "../../src/sessile/server/static/sessile.js", banner, budget: 28_400, goal: 12 * 1024 },
  { name: "clock.js", entry: "src/worker.ts", format: "iife", out: "../../src/sessile/server/static/clock.js", banner, budget: 400 },
  { name: "debug.js", entry: "src/debug.ts", format: "esm", out: "../../src/sessile/server/static/debug.js", banner, budget: 4_000 },
  { name: "sessile/react", entry: "src/react.ts", format: "esm", budget: 1_500 },
  { name: "sessile/core", entry: "src/entry-core.ts", format: "esm", budget: 25_800, goal: 8 * 1024 },
];
/** Left readable: who bundles them minifies them. */
const MODULES = [["src/index.ts", "dist/index.js"], ["src/entry-core.ts", "dist/core.js"], ["src/react.ts", "dist/react.js"], ["src/debug.ts", "dist/debug.js"]];

async function bundled(entry, options) {
  const { outputFiles } = await build({ ...shared, ...options, entryPoints: [here(entry)] });
  return outputFiles[0].contents;
}

async function save(path, contents) {
  await mkdir(dirname(here(path)), { recursive: true });
  await writeFile(here(path), contents);
}

for (const [entry, out] of MODULES) await save(out, await bundled(entry, { format: "esm" }));
for (const { name, entry, format, out, banner, budget, goal } of ENTRIES) {
  const code = await bundled(entry, { format, minify: true, ...(banner && { banner }) });
  if (out) await save(out, code);
  const gzip = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${code.length} bytes, ${gzip} gzip (budget ${budget}${goal ? `, goal ${goal}` : ""}), ${brotliCompressSync(code).length} brotli`);
  if (gzip <= budget) continue;
  console.error(`${name} is over its budget: make it smaller, or say in README.md what the bytes are for and raise the budget`);
  process.exitCode = 1;
}
