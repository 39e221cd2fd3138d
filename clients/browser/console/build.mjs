// Builds the operator console into the folder that the server hands out and the wheel carries (others have files there, too). Holds it to its size.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here("../../../src/sessile/server/console/static");
const NOTE = "/* Operator console of Sessile. Apache-2.0. Built from clients/browser/console; do not edit. uPlot and Preact: MIT, see licences.txt. */";
const GOAL = 40 * 1024;
/** Bytes of gzip, minified. `budget`: what it had when it was last looked at, and 2 %. `isLater`: only pages with charts load it, so it is no part of the goal. */
const FILES = {
  "console.js": { budget: 33_900 },
  "console.css": { budget: 5_110 },
  "drawing.js": { budget: 23_800, isLater: true },
};
/** What of others is in the files. */
const BUNDLED = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];

/** A file that is loaded when it is needed has its name for good, and nothing in common with the others: so one of the last release and one of this go together. */
const later = {
  name: "later",
  setup: (given) => given.onResolve({ filter: /\/drawing$/ }, ({ kind }) => kind === "dynamic-import" ? { path: "./drawing.js", external: true } : null),
};

const { outputFiles } = await build({
  entryPoints: { console: here("src/index.tsx"), drawing: here("src/drawing.ts") },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
  plugins: [later],
  banner: { js: NOTE, css: NOTE },
  write: false,
});
await mkdir(out, { recursive: true });
let atOnce = 0;
for (const { path, contents } of outputFiles) {
  const name = basename(path);
  const { budget, isLater } = FILES[name];
  const gzip = gzipSync(contents, { level: 9 }).length;
  if (!isLater) atOnce += gzip;
  await writeFile(path, contents);
  console.log(`${name}: ${contents.length} bytes, ${gzip} gzip (budget ${budget})`);
  if (gzip <= budget) continue;
  console.error(`${name} is over its budget: make it smaller, or raise the budget in console/build.mjs and say what the bytes are for`);
  process.exitCode = 1;
}
console.log(`console: ${atOnce} bytes of gzip at once (goal ${GOAL})`);
await copyFile(here("src/icon.svg"), `${out}/icon.svg`);
/** MIT asks for its text beside every copy. */
const licences = BUNDLED.map(async (name) => `${name}\n\n${(await readFile(here(`../node_modules/${name}/LICENSE`), "utf8")).trim()}\n`);
await writeFile(`${out}/licences.txt`, (await Promise.all(licences)).join(`\n${"-".repeat(78)}\n\n`));
