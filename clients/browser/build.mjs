// Builds the modules of dist/ (ESM) and what the server hands out: /sessile.js and the files that it loads when it needs them. Holds each to its size.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const shared = { bundle: true, target: "es2022", legalComments: "none", charset: "utf8", logLevel: "warning", write: false, external: ["react"] };
const BANNER = "/* Sessile browser client. Apache-2.0. Built from clients/browser; do not edit. */\n";

/** Bytes of gzip, minified. `budget`: what it had when it was last looked at, and 2 %. `goal`: what it was meant to have (see README.md). */
const ENTRIES = [
  { name: "sessile.js", entry: "src/global.ts", isScript: true, isServed: true, budget: 27_200, goal: 12 * 1024 },
  { name: "clock.js", entry: "src/worker.ts", isScript: true, isServed: true, budget: 180 },
  { name: "stream.js", entry: "src/stream.ts", isServed: true, budget: 1_950 },
  { name: "debug.js", entry: "src/debug.ts", isServed: true, budget: 3_330 },
  { name: "sessile/react", entry: "src/react.ts", budget: 940 },
  { name: "core.js", entry: "src/entry-core.ts", isServed: true, budget: 16_700, goal: 8 * 1024 },
];
/** Left readable: who bundles them minifies them. */
const MODULES = { index: "src/index.ts", core: "src/entry-core.ts", react: "src/react.ts", debug: "src/debug.ts" };

/** What is loaded when it is needed lies beside the script on the server; a bundler of its own finds it in dist/. */
const beside = {
  name: "beside",
  setup: (given) => given.onResolve({ filter: /\/stream\.js$/ }, ({ kind, path }) => kind === "dynamic-import" ? { path: `./api/v0/client${path.slice(1)}`, external: true } : null),
};

/** As a bundler makes it of a page that uses all of it. */
async function bundled(entry) {
  const { outputFiles } = await build({ ...shared, plugins: [beside], format: "esm", minify: true, entryPoints: [here(entry)] });
  return outputFiles[0].text;
}

/** What the server hands out goes through a second minifier. A script is a module in a function: esbuild's own has an imitation of `require` for what is loaded later. */
async function served(code, isScript) {
  const { code: smaller } = await minify(code, { module: true, ecma: 2022, compress: { passes: 3 } });
  return isScript ? `${BANNER}"use strict";(()=>{${smaller}})();\n` : `${BANNER}${smaller}\n`;
}

async function save(path, contents) {
  await mkdir(dirname(here(path)), { recursive: true });
  await writeFile(here(path), contents);
}

await rm(here("dist"), { recursive: true, force: true }); // chunks have names that change
const entryPoints = Object.fromEntries(Object.entries(MODULES).map(([name, entry]) => [name, here(entry)]));
const modules = await build({ ...shared, entryPoints, format: "esm", splitting: true, outdir: here("dist") });
for (const { path, contents } of modules.outputFiles) await save(relative(here("."), path), contents);
for (const { name, entry, isScript, isServed, budget, goal } of ENTRIES) {
  const plain = await bundled(entry);
  const code = isServed ? await served(plain, isScript) : plain;
  if (isServed) await save(`../../src/sessile/server/static/${name}`, code);
  const gzip = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${Buffer.byteLength(code)} bytes, ${gzip} gzip (budget ${budget}${goal ? `, goal ${goal}` : ""}), ${brotliCompressSync(code).length} brotli`);
  if (gzip <= budget) continue;
  console.error(`${name} is over its budget: make it smaller, or say in README.md what the bytes are for and raise the budget`);
  process.exitCode = 1;
}
