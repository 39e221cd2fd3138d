// Health: the parts that Sessile stands on, how they do, and when that changed.
import { part, post } from "../api";
import { bytes, milliseconds, number } from "../format";
import { useKeys } from "../keys";
import { useLoaded } from "../loading";
import type { Alert, Component, Fact as Value, Health as Answer } from "../model";
import { Act, Ago, Badge, Empty, Fact, Panel, Problem } from "../parts/basics";
import { ask } from "../parts/dialog";
import { tell } from "../toasts";
import { titleCount } from "../title";
import { type Charted, Charts, SpanChoice, useOverview } from "./overview";

const REFRESH_MS = 5000;
const CHARTS: readonly Charted[] = [
  { title: "Event loop lag", shown: milliseconds, lines: [{ name: "loop_lag_ms", label: "Lag", colour: "--series-2" }] },
  { title: "Database latency", shown: milliseconds, lines: [{ name: "store_latency_ms", label: "Latency", colour: "--series-1" }] },
  { title: "Database connections", shown: number, lines: [{ name: "pool_size", label: "Open", colour: "--series-3", isFilled: true }, { name: "pool_in_use", label: "In use", colour: "--series-1", isFilled: true }] },
  { title: "Cache hits per second", shown: number, lines: [{ name: "cache_hits_s", label: "Hits", colour: "--series-4" }] },
];

/** Names of facts end in their unit, as everywhere in Sessile. */
function shownFact(name: string, value: Value): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return value ?? "–";
  if (name.endsWith("_d") || name.endsWith("_s")) return `${number(value)} ${name.slice(-1)}`;
  return name.endsWith("_ms") ? milliseconds(value) : name.endsWith("_bytes") ? bytes(value) : number(value);
}
const named = (name: string): string => name.replace(/_(ms|s|d|bytes)$/, "").replaceAll("_", " ");

function Part({ component }: { readonly component: Component }) {
  return (
    <section class="panel" data-testid={`component-${component.name}`}>
      <div class="panel-head"><h2>{named(component.name)}</h2><Badge state={component.state} /></div>
      {component.since && <p class="hint">since <Ago at={component.since} /></p>}
      <dl class="facts narrow">{Object.entries(component.facts).map(([name, value]) => <Fact key={name} name={named(name)}>{shownFact(name, value)}</Fact>)}</dl>
    </section>
  );
}

function askToAcknowledge({ rule, meaning }: Alert, onDone: () => void): void {
  ask({ title: `Look after ${named(rule)}?`, text: <p>{meaning} Others see that you look after it.</p>, action: "I look after it",
    run: async (reason) => { await post(`alerts/${part(rule)}/acknowledge`, { reason }); tell("Noted."); onDone(); } });
}

const measured = (value: number | null, unit: string): string => unit === "B" ? bytes(value) : `${number(value, 2)}${unit && ` ${unit}`}`;

/** Who looks after it, or when people are told again: until then its cool-down keeps it quiet. */
function Care({ alert }: { readonly alert: Alert }) {
  if (alert.acknowledged_by) return <span class="hint"><b>{alert.acknowledged_by}</b> looks after it: {alert.note}. It is not told again until it is over.</span>;
  return <span class="hint">Nobody looks after it.{alert.told_again_at && <> If it lasts, it is told again <Ago at={alert.told_again_at} />.</>}</span>;
}

function Alerts({ alerts, onDone }: { readonly alerts: readonly Alert[]; readonly onDone: () => void }) {
  return (
    <Panel title="Alerts" testId="alerts">
      {alerts.length ? <ul class="list">
        {alerts.map((alert) => (
          <li key={alert.rule} data-rule={alert.rule}><span class="grow"><b>{named(alert.rule)}</b> <Badge state={alert.severity} /> {alert.meaning} <span class="hint">{measured(alert.value, alert.unit)}, limit {measured(alert.threshold, alert.unit)}, since <Ago at={alert.since} />.</span> <Care alert={alert} /></span>
            {!alert.acknowledged_by && <Act right="alert.acknowledge" onClick={() => askToAcknowledge(alert, onDone)} testId="acknowledge">Acknowledge</Act>}</li>
        ))}
      </ul> : <Empty>No alert is active in the process that answers this page.</Empty>}
    </Panel>
  );
}

export function Health() {
  const { data, problem, reload } = useLoaded<Answer>("health", {}, REFRESH_MS);
  const overview = useOverview();
  useKeys({ r: () => { reload(); overview.reload(); } });
  titleCount.value = null;
  return (
    <>
      <div class="page-head"><h1>Health {data && <Badge state={data.state} />}</h1><SpanChoice /></div>
      <Problem problem={problem ?? overview.problem} onRetry={reload} />
      {data?.alerts && <Alerts alerts={data.alerts} onDone={reload} />}
      {data ? <div class="components">{data.components.map((component) => <Part key={component.name} component={component} />)}</div> : !problem && <Empty>Loading…</Empty>}
      {overview.data && <Charts charts={CHARTS} history={overview.data.history} />}
      {data && <Panel title="Changes of state">
        {data.flips.length ? <ul class="list" data-testid="flips">{data.flips.map((flip) => <li key={`${flip.at} ${flip.name}`}><span class="grow">{named(flip.name)}: <Badge state={flip.from} /> to <Badge state={flip.to} /></span><Ago at={flip.at} /></li>)}</ul>
          : <Empty>None since this process began.</Empty>}
      </Panel>}
    </>
  );
}
