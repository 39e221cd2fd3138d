// Devices: who holds a connection now, and on which node.
import { useMemo, useState } from "preact/hooks";
import { get } from "../api";
import { number, plural } from "../format";
import { focusSearch, useKeys } from "../keys";
import { useLoaded } from "../loading";
import type { Device } from "../model";
import { Act, Ago, Empty, Problem, SessionLink } from "../parts/basics";
import { SearchBox, useSearch } from "../parts/search-box";
import { type Column, Table } from "../parts/table";
import { go, href } from "../router";
import type { Qualifier } from "../search";
import { titleCount } from "../title";
import { askToEndOne } from "./ending";

interface Page { readonly devices: readonly Device[]; readonly total: number; readonly after: string | null }
const QUALIFIERS: readonly Qualifier[] = [{ name: "node", hint: "that holds the connection" }, { name: "device", hint: "part of its name" }, { name: "session", hint: "a handle" }];
const PAGE = 200;
const REFRESH_MS = 5000;
const keyOf = (device: Device): string => `${device.session_id} ${device.device_id} ${device.node_id}`;

function columnsFor(onEnded: () => void): readonly Column<Device>[] {
  return [
    { name: "device", label: "Device", cell: ({ label }) => label ?? <i>unnamed</i> },
    { name: "user", label: "User", cell: ({ user_id, session_id }) => <a href={href("sessions", session_id)}>{user_id ?? <i>anonymous</i>}</a> },
    { name: "seen", label: "Last seen", cell: ({ seen_at }) => <Ago at={seen_at} />, gives: 1 },
    { name: "tabs", label: "Tabs", cell: ({ tabs, visible }) => <>{number(tabs)} <span class="hint">{visible ? "visible" : "hidden"}</span></>, gives: 1 },
    { name: "node", label: "Node", cell: ({ node_id }) => <code>{node_id}</code>, gives: 2 },
    { name: "id", label: "Session", cell: ({ session_id }) => <SessionLink id={session_id} />, gives: 2 },
    { name: "act", label: <span class="unseen">Action</span>, cell: ({ session_id, user_id }) => <Act right="session.end" isDangerous onClick={() => askToEndOne(session_id, user_id ?? "nobody", onEnded)} testId="end-device">End</Act> },
  ];
}

export function Devices() {
  const { text, setText, problems, q } = useSearch(QUALIFIERS);
  const [more, setMore] = useState<{ readonly of: Page | null; readonly devices: readonly Device[]; readonly after: string | null }>({ of: null, devices: [], after: null });
  const [active, setActive] = useState<string | null>(null);
  const { data, problem, reload } = useLoaded<Page>("devices", { q, limit: PAGE }, REFRESH_MS);
  const columns = useMemo(() => columnsFor(reload), [reload]);
  titleCount.value = data?.total ?? null;
  const isMore = more.of !== null && more.of === data;
  const devices = [...(data?.devices ?? []), ...(isMore ? more.devices : [])];
  const after = isMore ? more.after : data?.after ?? null;
  const loadMore = (): void => {
    if (!after || !data) return;
    get<Page>("devices", { query: { q, limit: PAGE, after }, isBackground: true }).then((page) => setMore({ of: data, devices: [...(isMore ? more.devices : []), ...page.devices], after: page.after }), () => undefined);
  };
  const step = (by: number): void => {
    const at = devices.findIndex((device) => keyOf(device) === active);
    const next = devices[Math.max(0, Math.min(devices.length - 1, at < 0 ? 0 : at + by))];
    if (next) setActive(keyOf(next));
  };
  useKeys({ "/": focusSearch, j: () => step(1), k: () => step(-1), r: reload, Enter: () => { const found = devices.find((device) => keyOf(device) === active); if (found) go(href("sessions", found.session_id)); } });
  const values = (qualifier: string): readonly string[] => devices.map((device) => (qualifier === "node" ? device.node_id : qualifier === "session" ? device.session_id : device.label ?? ""));
  return (
    <>
      <div class="page-head"><h1>Devices</h1><p class="hint" data-testid="total">{data ? `${plural(data.total, "device")} connected` : "Loading…"}</p></div>
      <SearchBox label="Search devices" value={text} qualifiers={QUALIFIERS} values={values} problems={problems} onChange={setText} />
      <Problem problem={problem} onRetry={reload} />
      {data && !devices.length ? <Empty>{q ? "No connected device matches." : "No device is connected just now."}</Empty>
        : <Table label="Devices" rows={devices} total={data?.total ?? 0} columns={columns} keyOf={keyOf} active={active} onActivate={(device) => setActive(keyOf(device))} onEnd={loadMore} />}
    </>
  );
}
