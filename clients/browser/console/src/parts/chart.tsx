// A live chart (uPlot): colours from the page, one cursor for all charts of a page, gaps as gaps.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { clock } from "../format";
import { theme } from "../preferences";
import type { Columns } from "../series";

export interface Line { readonly name: string; readonly label: string; /** A custom property of the page: `--series-1`. */ readonly colour: string; readonly isFilled?: boolean }
interface Given { readonly title: string; readonly lines: readonly Line[]; readonly data: Columns; readonly seconds: number; readonly until: number; readonly shown: (value: number | null) => string }

const HEIGHT = 160;
/** What draws is a file of its own (`drawing.ts`): pages without charts do not load it. */
const drawing = signal<typeof uPlot | null>(null);
const isLost = signal(false);

/** Called as soon as it is known that there will be charts, while their data is under way. */
export function loadDrawing(): void {
  if (drawing.peek()) return;
  isLost.value = false;
  import("../drawing").then((loaded) => { drawing.value = loaded.default; }, () => { isLost.value = true; });
}

const scheme = matchMedia("(prefers-color-scheme: dark)");

/** Of the numbers beside a chart: what one decimal place can say. */
const STEPS = Array.from({ length: 14 }, (_none, power) => [1, 2, 5].map((step) => step * 10 ** (power - 1))).flat();

/** Moments between two gaps, which no line shows. */
function alone(chart: uPlot, series: number): number[] {
  const values = chart.data[series]!;
  return [...values.keys()].filter((at) => (values[at] ?? null) !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null);
}

/** A custom property as a colour that a canvas understands: `light-dark()` is decided by the browser. */
function colourOf(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

function options(given: Given, width: number, element: HTMLElement): uPlot.Options {
  const colour = (name: string): string => colourOf(element, name);
  const [ink, grid] = [colour("--ink-soft"), colour("--line")];
  const axis: uPlot.Axis = { stroke: ink, font: "12px system-ui, sans-serif", grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
  const { shown } = given;
  return {
    width,
    height: HEIGHT,
    pxAlign: 1,
    cursor: { sync: { key: "console" }, drag: { x: false, y: false }, points: { size: 6 } },
    legend: { live: true },
    hooks: { setCursor: [showLatest] },
    scales: { x: { time: true }, y: { range: (_chart, _low, high) => [0, high > 0 ? Math.max(high * 1.1, 0.5) : 1] } },
    axes: [
      { ...axis, size: 32, values: (_chart, splits) => splits.map((at) => clock(at * 1000).slice(0, given.seconds > 3600 ? 5 : 8)), space: given.seconds > 3600 ? 60 : 80 },
      { ...axis, size: 58, incrs: STEPS, values: (_chart, splits) => splits.map((value) => shown(value)) },
    ],
    series: [
      { label: "Time", value: (_chart, at) => (at === null ? "–" : clock(at * 1000)) },
      ...given.lines.map(({ label, colour: name, isFilled }) => ({
        label, stroke: colour(name), width: 2, spanGaps: false, points: { show: true, size: 5, width: 1, fill: colour(name), filter: alone }, value: (_chart: uPlot, value: number | null) => shown(value),
        ...(isFilled && { fill: colour(`${name}-soft`) }),
      })),
    ],
  };
}

export function Chart(given: Given) {
  const place = useRef<HTMLDivElement>(null);
  const drawn = useRef<uPlot | null>(null);
  const latest = useRef(given);
  latest.current = given;
  const Drawing = drawing.value;
  const shape = `${theme.value} ${given.title} ${given.seconds} ${given.lines.map(({ name }) => name).join()}`;

  useEffect(() => {
    if (!Drawing) return;
    const element = place.current!;
    const draw = (): void => {
      drawn.current?.destroy();
      drawn.current = new Drawing(options(latest.current, element.clientWidth, element), latest.current.data, element);
      fit(drawn.current, latest.current);
    };
    draw();
    const watcher = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && drawn.current && width !== drawn.current.width) drawn.current.setSize({ width, height: HEIGHT });
    });
    watcher.observe(element);
    scheme.addEventListener("change", draw);
    return () => {
      watcher.disconnect();
      scheme.removeEventListener("change", draw);
      drawn.current?.destroy();
      drawn.current = null;
    };
  }, [shape, Drawing]);

  useEffect(() => {
    if (!drawn.current) return;
    drawn.current.setData(given.data, false);
    fit(drawn.current, given);
  }, [given.data, given.until]);

  const last = given.lines.map(({ label }, index) => `${label} ${given.shown(given.data[index + 1]?.findLast((value) => value !== null) ?? null)}`).join(", ");
  return (
    <figure class={`chart ${isLost.value ? "lost" : ""}`}>
      <figcaption>{given.title}</figcaption>
      <div ref={place} role="img" aria-label={`${given.title}: ${last}`} />
      {!Drawing && <p class="hint">{last}{isLost.value && <>. The charts could not be loaded. <button type="button" class="quiet" onClick={loadDrawing}>Try again</button></>}</p>}
    </figure>
  );
}

/** While nobody points at a moment, the legend has the latest that was measured. */
function showLatest(chart: uPlot): void {
  const latest = chart.data[0].findLastIndex((_at, index) => chart.data.some((column, number) => number > 0 && (column[index] ?? null) !== null));
  if ((chart.cursor.left ?? -1) < 0 && latest >= 0) chart.setLegend({ idx: latest }, false);
}

/** The whole span is shown, also where nothing was measured yet. */
function fit(chart: uPlot, { seconds, until }: Given): void {
  chart.setScale("x", { min: until - seconds, max: until });
  showLatest(chart);
}
