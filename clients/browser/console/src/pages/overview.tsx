// Overview: who is here now, how it went, and on which nodes.
import { useEffect, useMemo } from "preact/hooks";
import { now } from "../clock";
import { milliseconds, number, plural } from "../format";
import { useKeys } from "../keys";
import { follow } from "../live";
import { type Loaded, useLoaded } from "../loading";
import type { Overview as Answer, OverviewEvent } from "../model";
import { Ago, Choice, Empty, Panel, Problem } from "../parts/basics";
import { Chart, type Line, loadDrawing } from "../parts/chart";
import { everyMs } from "../preferences";
import { href, query, setQuery } from "../router";
import { columns, extended, type History, SPANS } from "../series";
import { titleCount } from "../title";

export interface Charted { readonly title: string; readonly lines: readonly Line[]; readonly shown: (value: number | null) => string }
const CHARTS: readonly Charted[] = [
  { title: "Sessions", shown: number, lines: [
    { name: "online", label: "Online", colour: "--series-1" }, { name: "degraded", label: "Degraded", colour: "--series-2" }, { name: "offline", label: "Offline", colour: "--series-3" }] },
  { title: "Connections per second", shown: number, lines: [{ name: "connects_s", label: "Connects", colour: "--series-1" }, { name: "disconnects_s", label: "Disconnects", colour: "--series-3" }] },
  { title: "Heartbeat round trip", shown: milliseconds, lines: [{ name: "heartbeat_p50_ms", label: "p50", colour: "--series-1" }, { name: "heartbeat_p95_ms", label: "p95", colour: "--series-2" }] },
  { title: "Changes per second", shown: number, lines: [{ name: "changes_s", label: "Changes", colour: "--series-4" }] },
];
const REFRESH_MS: Readonly<Record<string, number>> = { "1h": 30_000, "24h": 300_000 };
const STATES = [["online", "Online"], ["degraded", "Degraded"], ["offline", "Offline"], ["quiet", "Quiet"]] as const;
const MEANINGS = { online: "a device is connected", degraded: "behind, or just gone", offline: "was connected", quiet: "plain HTTP only" };

export const chosenSpan = (): string => (query.value.get("window") ?? "") in SPANS ? query.value.get("window")! : "5m";
export const SpanChoice = () => <Choice label="Time span of the charts" value={chosenSpan()} values={Object.entries(SPANS).map(([name, { label }]) => [name, label])} onChange={(window) => setQuery({ window: window === "5m" ? "" : window })} />;

export function Charts({ charts, history }: { readonly charts: readonly Charted[]; readonly history: History }) {
  const { seconds } = SPANS[history.window] ?? SPANS["5m"]!;
  const until = Math.max(Math.floor(now.value / 1000 / history.step_s) * history.step_s, history.at_s.at(-1) ?? 0);
  const data = useMemo(() => charts.map(({ lines }) => columns(history, lines.map(({ name }) => name))), [history, charts]);
  return (
    <div class="charts">
      {charts.map((chart, index) => <Chart key={chart.title} {...chart} seconds={seconds} until={until} data={data[index]!} />)}
    </div>
  );
}

export const withEvent = (before: Answer, { point, ...event }: OverviewEvent): Answer =>
  ({ ...before, ...event, history: point && before.history.window === "5m" ? extended(before.history, point) : before.history });

/** The overview, kept up to date: used by two pages. */
export function useOverview(): Loaded<Answer> {
  const window = chosenSpan();
  const loaded = useLoaded<Answer>("overview", { window }, REFRESH_MS[window] ?? 0);
  const { update, data } = loaded;
  useEffect(loadDrawing, []);
  useEffect(() => (data ? follow({
    parts: ["overview"], query: { every_ms: everyMs.value }, on: { overview: (event: OverviewEvent) => update((before) => withEvent(before, event)) },
  }) : undefined), [data === null, update, everyMs.value]);
  return loaded;
}

function Card({ label, value, note, to }: { readonly label: string; readonly value: string; readonly note: string; readonly to?: string }) {
  const inside = <><span class="card-label">{label}</span> <strong class="card-value" data-testid={`card-${label}`}>{value}</strong> <span class="hint">{note}</span></>;
  return to ? <a class="card" href={to}>{inside}</a> : <div class="card">{inside}</div>;
}

export const toSessions = (q: string): string => `${href("sessions")}?q=${encodeURIComponent(q)}`;

function Cards({ counts, rates, heartbeat, restores }: Answer) {
  return (
    <div class="cards">
      {STATES.map(([state, label]) => <Card key={state} label={label} value={number(counts[state])} note={MEANINGS[state]} to={toSessions(`state:${state}`)} />)}
      <Card label="Live" value={number(counts.live)} note={`of ${plural(counts.users, "user")}, ${number(counts.anonymous)} anonymous`} to={toSessions("state:live")} />
      <Card label="Connects" value={`${number(rates.connects_s)}/s`} note={`${number(rates.disconnects_s)} disconnects/s`} />
      <Card label="Changes" value={`${number(rates.changes_s)}/s`} note="of documents" />
      <Card label="Heartbeat p95" value={milliseconds(heartbeat.p95_ms)} note={`p50 ${milliseconds(heartbeat.p50_ms)}, ${plural(heartbeat.samples, "sample")}`} />
      <Card label="Restores" value={number(restores?.done)} note={restores?.failed === undefined ? "done" : `done, ${number(restores.failed)} failed`} />
    </div>
  );
}

function Nodes({ nodes }: Pick<Answer, "nodes">) {
  if (!nodes.length) return <Empty>No node holds a connection just now.</Empty>;
  return (
    <div class="scroller-x" tabIndex={0} role="region" aria-label="Nodes">
      <table class="plain">
        <thead><tr><th scope="col">Node</th><th scope="col">Sessions</th><th scope="col">Devices</th><th scope="col">Tabs</th></tr></thead>
        <tbody>{nodes.map((node) => (
          <tr key={node.node_id}><th scope="row"><a href={toSessions(`node:${node.node_id}`)}><code>{node.node_id}</code></a>{node.is_self && <span class="hint"> answers this page</span>}</th>
            <td>{number(node.sessions)}</td><td>{number(node.devices)}</td><td>{number(node.tabs)}</td></tr>
        ))}</tbody>
      </table>
    </div>
  );
}

export function Overview() {
  const { data, problem, reload } = useOverview();
  useKeys({ r: reload });
  titleCount.value = data?.counts.online ?? null;
  return (
    <>
      <div class="page-head"><h1>Overview</h1><SpanChoice /></div>
      <Problem problem={problem} onRetry={reload} />
      {data?.maintenance && <p class="banner calm">Maintenance: {data.maintenance.message}{data.maintenance.until && <> Until <Ago at={data.maintenance.until} />.</>}</p>}
      {data ? <><Cards {...data} /><Charts charts={CHARTS} history={data.history} /><Panel title="Nodes"><Nodes nodes={data.nodes} /></Panel></> : !problem && <Empty>Loading…</Empty>}
    </>
  );
}
