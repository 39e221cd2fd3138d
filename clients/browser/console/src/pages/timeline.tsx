// The timeline of a session: connections as bars, then what happened, newest first.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, part } from "../api";
import { now } from "../clock";
import { absolute, duration, moment } from "../format";
import { useLoaded } from "../loading";
import type { Row, Timeline } from "../model";
import { Ago, Choice, Empty, Panel, Problem } from "../parts/basics";
import { href } from "../router";
import { bars, type Entry, merged, type Span } from "../timeline";

const TYPES = [["", "All"], ["audit", "Audit"], ["connection", "Connections"], ["checkpoint", "Checkpoints"]] as const;
const arrived = signal<readonly Entry[]>([]);

/** From the live feed. */
export function newEntries({ entries }: { readonly entries: readonly Entry[] }): void {
  arrived.value = merged(entries, arrived.value);
}

function Bars({ spans, from, until, isConnected }: { readonly spans: readonly Span[]; readonly from: number; readonly until: number; readonly isConnected: boolean }) {
  const drawn = bars(spans, from, until);
  if (!drawn.length) return <p class="hint">{isConnected ? "Its connection was never lost." : "It never had a connection."}</p>;
  return (
    <div class="bars">
      <ol aria-label="Connections">
        {drawn.map((bar) => (
          <li key={bar.from} data-state={bar.state} data-open={bar.isOpen} style={{ left: `${bar.left * 100}%`, width: `${bar.width * 100}%` }} title={`${bar.state}, ${absolute(bar.from)}, ${duration((bar.to - bar.from) / 1000)}`}>
            <span class="unseen">{bar.state} for {duration((bar.to - bar.from) / 1000)}</span>
          </li>
        ))}
      </ol>
      <p class="hint bars-scale"><Ago at={from} /><span><i class="key" data-state="connected" /> connected <i class="key" data-state="away" /> away</span><Ago at={until} /></p>
    </div>
  );
}

const named = (name: string): string => name.replaceAll("_", " ");

function Line({ entry }: { readonly entry: Entry }) {
  return (
    <li data-type={entry.type}>
      <span class="grow"><b>{named(entry.name)}{entry.type === "checkpoint" && " checkpoint"}</b>{entry.text && <> {entry.text}</>}{entry.by && <span class="hint"> by {entry.by}{entry.reason && `: ${entry.reason}`}</span>}
        {entry.document_id && <> <a class="hint" href={`${href("audit")}?document=${encodeURIComponent(entry.document_id)}`}>document</a></>}</span>
      <Ago at={entry.at} />
    </li>
  );
}

/** Older entries, a page at a time. */
function useOlder(id: string, types: string, first: Timeline | null) {
  const [older, setOlder] = useState<readonly Entry[]>([]);
  const [before, setBefore] = useState<string | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  useEffect(() => { setOlder([]); setBefore(first?.before ?? null); setProblem(null); }, [first]);
  const more = (): void => {
    get<Timeline>(`sessions/${part(id)}/timeline`, { query: { types, before } }).then(
      (page) => { setOlder([...older, ...page.entries]); setBefore(page.before); setProblem(null); },
      (error: unknown) => { if (error instanceof ApiError) setProblem(error); else throw error; },
    );
  };
  return { older, problem, more: before === null ? null : more };
}

export function TimelinePanel({ id, session }: { readonly id: string; readonly session: Row }) {
  const [types, setTypes] = useState("");
  const [isFollowing, setFollowing] = useState(true);
  const [seen, setSeen] = useState<readonly Entry[]>([]);
  const { data, problem, reload } = useLoaded<Timeline>(`sessions/${part(id)}/timeline`, { types });
  const { older, problem: olderProblem, more } = useOlder(id, types, data);
  useEffect(() => { arrived.value = []; setSeen([]); }, [id, data]);
  useEffect(() => { if (isFollowing) setSeen(arrived.value); }, [isFollowing, arrived.value]);
  // A connection that was lost or came back changes the bars, which only the server can draw.
  const version = `${session.state} ${session.disconnected_at} ${session.reconnected_at}`;
  useEffect(() => { if (data && isFollowing) reload(); }, [version]);
  const waiting = arrived.value.length - seen.length;
  const entries = merged(seen.filter(({ type }) => !types || type === types), [...(data?.entries ?? []), ...older]);
  return (
    <Panel title="Timeline" testId="timeline" aside={
      <button type="button" aria-pressed={!isFollowing} onClick={() => setFollowing(!isFollowing)}>{isFollowing ? "Stop following" : waiting > 0 ? `Follow (${waiting} new)` : "Follow"}</button>}>
      {data && <Bars spans={data.spans} from={moment(session.created_at) ?? now.value} until={moment(session.ended_at) ?? now.value} isConnected={session.tabs > 0} />}
      <Choice label="Type" value={types} values={TYPES} onChange={setTypes} />
      <Problem problem={problem ?? olderProblem} onRetry={reload} />
      {entries.length ? <ul class="list entries" aria-live="polite" aria-relevant="additions">{entries.map((entry) => <Line key={entry.id} entry={entry} />)}</ul> : data && <Empty>Nothing of this kind.</Empty>}
      {more && <button type="button" onClick={more}>Older</button>}
    </Panel>
  );
}
