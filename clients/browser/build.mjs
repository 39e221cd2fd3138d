// Builds dist/index.js (ESM) and the bundle that the server hands out as /sessile.js.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUDGET_BYTES = 24 * 1024;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const shared = { bundle: true, target: "es2022", legalComments: "none", charset: "utf8", logLevel: "warning" };
const served = here("../../src/sessile/server/static/sessile.js");

await Promise.all([
  build({ ...shared, entryPoints: [here("src/index.ts")], format: "esm", outfile: here("dist/index.js") }),
  build({
    ...shared,
    entryPoints: [here("src/global.ts")],
    format: "iife",
    minify: true,
    outfile: served,
    banner: { js: "/* Sessile browser client. Apache-2.0. Built from clients/browser; do not edit. */" },
  }),
]);

const bundle = await readFile(served);
const zipped = gzipSync(bundle, { level: 9 }).length;
console.log(`sessile.js: ${bundle.length} bytes, ${zipped} gzipped (budget ${BUDGET_BYTES})`);
if (zipped > BUDGET_BYTES) {
  console.error("the bundle is over its budget");
  process.exitCode = 1;
}
