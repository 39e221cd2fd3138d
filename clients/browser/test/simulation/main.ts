/** `node simulation.mjs FROM COUNT`: that many seeds; ends with 1 at the first that breaks a promise, and says how to repeat it. */

import { type Figures, Play } from "./play.js";

const [from, count] = process.argv.slice(2).map(Number) as [number, number];
const total: Figures = { changes: 0, acknowledged: 0, faults: 0, events: 0, emptyAfter_ms: 0 };
let longest = 0;
let broken = "";
process.on("unhandledRejection", (reason) => (broken = `a rejection that nobody handles: ${(reason as Error)?.stack ?? String(reason)}`));
for (let seed = from; seed < from + count && !broken; seed++) {
  try {
    const figures = await new Play(seed).run();
    for (const name of Object.keys(total) as (keyof Figures)[]) total[name] += figures[name];
    longest = Math.max(longest, figures.emptyAfter_ms);
  } catch (error) {
    broken ||= (error as Error).message;
  }
  if (broken) process.stdout.write(`${broken}\nrepeat with: python -m tests.browser_simulation ${seed}\n`);
}
if (!broken) {
  const { emptyAfter_ms, ...rest } = total;
  process.stdout.write(`${JSON.stringify({ seeds: count, from, ...rest, emptyAfterMean_ms: Math.round(emptyAfter_ms / count), emptyAfterMost_ms: longest })}\n`);
}
process.exit(broken ? 1 : 0);
