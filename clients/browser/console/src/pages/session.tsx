// One session: who, on what, until when; its documents and its timeline; what can be done.
import { useEffect } from "preact/hooks";
import { part } from "../api";
import { bytes, number, plural } from "../format";
import { useKeys } from "../keys";
import { follow } from "../live";
import { useLoaded } from "../loading";
import type { Doc, SessionDetail, SessionDevice } from "../model";
import { Act, Ago, Badge, Copyable, Empty, Fact, Panel, Problem } from "../parts/basics";
import { everyMs } from "../preferences";
import { go, href, query, setQuery } from "../router";
import { titleCount } from "../title";
import { askToDisable, askToEnable, askToExtend, askToSwitch, askToSync } from "./acting";
import { DocumentPanel } from "./document";
import { askToEndOne, askToEndUser } from "./ending";
import { toSessions } from "./overview";
import { newEntries, TimelinePanel } from "./timeline";

const OVER = ["ended", "expired"];

function Facts({ session, platform, user }: SessionDetail) {
  return (
    <dl class="facts">
      <Fact name="Handle"><code>{session.session_id}</code> <Copyable id={session.session_id} /></Fact>
      <Fact name="User">{session.user_id === null ? "anonymous" : <a href={toSessions(`user:"${session.user_id}"`)}>{session.user_id}</a>}{user?.disabled_at && <> <Badge state="disabled" /></>}</Fact>
      <Fact name="Platform">{platform ? <>{platform.name} <span class="hint">{platform.id}{platform.is_default && ", default"}</span></> : "none"}</Fact>
      <Fact name="Device">{session.device ?? "unknown"}{session.is_bound && <span class="hint"> bound to it</span>}</Fact>
      <Fact name="Last seen"><Ago at={session.last_seen_at} /></Fact>
      <Fact name="Began"><Ago at={session.created_at} /></Fact>
      <Fact name="Logged in"><Ago at={session.authenticated_at} /></Fact>
      {session.ended_at ? <Fact name="Ended"><Ago at={session.ended_at} /> <span class="hint">{session.end_reason}</span></Fact>
        : <><Fact name="Idle deadline"><Ago at={session.idle_expires_at} /></Fact><Fact name="Absolute deadline"><Ago at={session.absolute_expires_at} /></Fact></>}
      <Fact name="Version">{number(session.version)}</Fact>
      <Fact name="Private data">{bytes(session.data_bytes)}</Fact>
    </dl>
  );
}

function Devices({ devices }: { readonly devices: readonly SessionDevice[] }) {
  if (!devices.length) return <Empty>No device of this session is connected.</Empty>;
  return (
    <ul class="list" data-testid="session-devices">
      {devices.map((device) => (
        <li key={`${device.device_id} ${device.node_id}`}><span class="grow"><b>{device.label ?? "Unnamed device"}</b> <span class="hint">{plural(device.tabs, "tab")}, {device.visible ? "visible" : "in the background"}, on <code>{device.node_id}</code></span></span>
          <Ago at={device.seen_at} /></li>
      ))}
    </ul>
  );
}

function Documents({ documents, isTruncated, chosen }: { readonly documents: readonly Doc[]; readonly isTruncated: boolean; readonly chosen: string }) {
  if (!documents.length) return <Empty>This session has no document.</Empty>;
  return (
    <>
      <ul class="list" data-testid="documents">
        {documents.map(({ document_id: id, name, version, status, last_activity_at }) => (
          <li key={id} class={id === chosen ? "active" : ""}><span class="grow"><b>{name}</b> <span class="hint">version {number(version)}{status === "active" ? "" : `, ${status}`}, <Ago at={last_activity_at} /></span></span>
            <button type="button" aria-pressed={id === chosen} onClick={() => setQuery({ document: id === chosen ? "" : id })}>{id === chosen ? "Close" : "Open"}</button></li>
        ))}
      </ul>
      {isTruncated && <p class="hint">Only the {documents.length} with the latest activity.</p>}
    </>
  );
}

function Actions({ detail, onDone }: { readonly detail: SessionDetail; readonly onDone: () => void }) {
  const { session, user } = detail;
  const isOver = OVER.includes(session.state);
  const others = (user?.sessions ?? 0) - (isOver ? 0 : 1);
  return (
    <div class="actions">
      {!isOver && <>
        <Act right="session.resync" onClick={() => askToSync(session.session_id)} testId="resync">Re-sync</Act>
        {session.can_extend && <Act right="session.extend" onClick={() => askToExtend(session.session_id, onDone)} testId="extend">Extend</Act>}
        {detail.platforms.length > 1 && <Act right="session.platform" onClick={() => askToSwitch(detail, onDone)} testId="switch-platform">Switch platform…</Act>}
        <Act right="session.end" isDangerous onClick={() => askToEndOne(session.session_id, session.user_id ?? "nobody", onDone)} testId="end-session">End this session</Act>
      </>}
      {user && others > 0 && <Act right="user.end" isDangerous onClick={() => askToEndUser(user.user_id, user.sessions, onDone)} testId="end-user">End all {number(user.sessions)} of {user.user_id}</Act>}
      {user && (user.disabled_at ? <Act right="user.disable" onClick={() => askToEnable(user, onDone)} testId="enable-user">Enable {user.user_id}</Act>
        : <Act right="user.disable" isDangerous onClick={() => askToDisable(user, onDone)} testId="disable-user">Disable {user.user_id}…</Act>)}
    </div>
  );
}

export function SessionPage({ id }: { readonly id: string }) {
  const { data, problem, reload, update } = useLoaded<SessionDetail>(`sessions/${part(id)}`);
  const chosen = query.value.get("document") ?? "";
  useKeys({ r: reload });
  titleCount.value = null;
  useEffect(() => follow({
    parts: ["session"], query: { session: id, every_ms: everyMs.value },
    on: { session: (event: Partial<SessionDetail>) => update((before) => ({ ...before, ...event })), timeline: newEntries },
  }), [id, update, everyMs.value]);
  if (!data) return problem?.status === 404
    ? <><h1>No such session</h1><Empty>Nobody knows a session with the handle <code>{id}</code>. <a href={href("sessions")}>All sessions</a></Empty></>
    : <><h1>Session</h1><Problem problem={problem} onRetry={reload} />{!problem && <Empty>Loading…</Empty>}</>;
  const document = data.documents.find(({ document_id }) => document_id === chosen);
  return (
    <>
      <p class="crumbs"><a href={href("sessions")} onClick={(event) => { if (history.length > 1) { event.preventDefault(); history.back(); } else go(href("sessions")); }}>Sessions</a></p>
      <div class="page-head"><h1>{data.session.user_id ?? "Anonymous"} <Badge state={data.session.state} /></h1><Actions detail={data} onDone={reload} /></div>
      <Problem problem={problem} onRetry={reload} />
      <Facts {...data} />
      <div class="columns">
        <div><Panel title="Devices"><Devices devices={data.devices} /></Panel>
          <Panel title="Documents"><Documents documents={data.documents} isTruncated={data.documents_truncated ?? false} chosen={chosen} /></Panel></div>
        <TimelinePanel id={id} session={data.session} />
      </div>
      {document && <DocumentPanel key={document.document_id} document={document} onChanged={reload} />}
    </>
  );
}
