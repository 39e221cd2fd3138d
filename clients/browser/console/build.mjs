// Builds the operator console into the folder that the server hands out and the wheel carries. Holds it to its size.
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here("../../../src/sessile/server/console/static");
const NOTE = "/* Operator console of Sessile. Apache-2.0. Built from clients/browser/console; do not edit. uPlot and Preact: MIT, see licences. */";
/** Bytes of gzip, minified. `budget`: what it had when it was last looked at, and 2 %. */
const BUDGETS = { "console.js": 60_000, "console.css": 8_000 };

const { outputFiles } = await build({
  entryPoints: { console: here("src/index.tsx") },
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
  banner: { js: NOTE, css: NOTE },
  write: false,
});
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
let total = 0;
for (const { path, contents } of outputFiles) {
  const name = basename(path);
  const gzip = gzipSync(contents, { level: 9 }).length;
  total += gzip;
  await writeFile(path, contents);
  console.log(`${name}: ${contents.length} bytes, ${gzip} gzip (budget ${BUDGETS[name]})`);
  if (gzip <= BUDGETS[name]) continue;
  console.error(`${name} is over its budget: make it smaller, or raise the budget in console/build.mjs and say what the bytes are for`);
  process.exitCode = 1;
}
console.log(`console: ${total} bytes of gzip in all (goal ${40 * 1024})`);
await copyFile(here("src/icon.svg"), `${out}/icon.svg`);
