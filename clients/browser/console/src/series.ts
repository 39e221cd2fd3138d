// The history of measurements: from the server, then point by point from the live feed. Pure.

/** All series are as long as `at_s` (Unix seconds, ascending); null was not measured. */
export interface History { readonly window: string; readonly step_s: number; readonly at_s: readonly number[]; readonly series: Readonly<Record<string, readonly (number | null)[]>> }
export type HistoryPoint = Readonly<Record<string, number | null>> & { readonly at_s: number };
/** uPlot's columns: times first. */
export type Columns = [number[], ...(number | null)[][]];

export const SPANS: Readonly<Record<string, { readonly label: string; readonly seconds: number }>> = {
  "5m": { label: "5 min", seconds: 300 },
  "1h": { label: "1 h", seconds: 3600 },
  "24h": { label: "24 h", seconds: 86_400 },
};
/** So many steps without a point are a gap and not a point that came late. */
const GAP_STEPS = 1.75;

/** The history with the point behind it, without what is older than the window. After a gap an empty point comes first: nothing was known then, and a line across it would be made up. */
export function extended(history: History, point: HistoryPoint): History {
  const last = history.at_s.at(-1);
  if (last !== undefined && point.at_s <= last) return history;
  const isGap = last !== undefined && point.at_s - last > history.step_s * GAP_STEPS;
  const times = [...history.at_s, ...(isGap ? [last + history.step_s] : []), point.at_s];
  const oldest = point.at_s - (SPANS[history.window]?.seconds ?? Infinity);
  const from = Math.max(0, times.findIndex((at) => at >= oldest));
  const names = new Set([...Object.keys(history.series), ...Object.keys(point)].filter((name) => name !== "at_s"));
  const series: Record<string, readonly (number | null)[]> = {};
  for (const name of names) {
    const values = history.series[name] ?? history.at_s.map(() => null);
    series[name] = [...values, ...(isGap ? [null] : []), point[name] ?? null].slice(from);
  }
  return { ...history, at_s: times.slice(from), series };
}

/** What uPlot draws of the series with these names; one that the server does not have is empty. */
export function columns({ at_s, series }: History, names: readonly string[]): Columns {
  return [[...at_s], ...names.map((name) => at_s.map((_at, index) => series[name]?.[index] ?? null))];
}
