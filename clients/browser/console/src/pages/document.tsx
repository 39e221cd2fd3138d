// One document: its state as a tree, what differs between two points, and going back to one of them.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, can, get, part, post, refusal } from "../api";
import { type Json, summary } from "../difference";
import { absolute, moment, number, plural } from "../format";
import { useLoaded } from "../loading";
import type { Checkpoint, Difference, Doc } from "../model";
import { Act, Ago, Badge, Choice, Empty, Panel, Problem } from "../parts/basics";
import { Dialog, REASON_MAX } from "../parts/dialog";
import { JsonTree } from "../parts/json-tree";
import { tell } from "../toasts";

interface Preview { readonly version: number; readonly differences: readonly Difference[] }
const SHOWN_MAX = 300;

const nameOf = ({ label, kind, version, created_at }: Checkpoint): string => `${label || kind.replaceAll("_", " ")}, version ${number(version)}, ${absolute(moment(created_at))}`;

function Value({ value }: { readonly value: Json | undefined }) {
  const isLarge = typeof value === "object" && value !== null && Object.keys(value).length > 0;
  return isLarge ? <details><summary>{summary(value)}</summary><pre>{JSON.stringify(value, null, 2)}</pre></details> : <>{summary(value)}</>;
}

export function Differences({ differences, from, to }: { readonly differences: readonly Difference[]; readonly from: string; readonly to: string }) {
  if (!differences.length) return <Empty>No difference.</Empty>;
  return (
    <div class="differences" data-testid="differences" tabIndex={0} role="region" aria-label="Differences">
      <table class="plain">
        <thead><tr><th scope="col">Path</th><th scope="col">{from}</th><th scope="col">{to}</th></tr></thead>
        <tbody>{differences.slice(0, SHOWN_MAX).map((one) => (
          <tr key={one.path}><th scope="row"><code>{one.path || "whole document"}</code></th><td class="before"><Value value={one.from} /></td><td class="after"><Value value={one.to} /></td></tr>
        ))}</tbody>
      </table>
      {differences.length > SHOWN_MAX && <p class="hint">And {plural(differences.length - SHOWN_MAX, "more difference")}.</p>}
    </div>
  );
}

/** First what it would change, then the button. If the document has changed meanwhile, the new preview has to be looked at, too. */
function Restore({ document, checkpoint, onClose, onDone }: { readonly document: Doc; readonly checkpoint: Checkpoint; readonly onClose: () => void; readonly onDone: () => void }) {
  const path = `documents/${part(document.document_id)}/restore`;
  const [preview, setPreview] = useState<Preview | null>(null);
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState("");
  const [isRunning, setRunning] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [preview]); // the button that was pressed is disabled until there is a reason
  const run = async (work: () => Promise<void>): Promise<void> => {
    setRunning(true);
    setProblem("");
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.code === "version_conflict" ? "The document has changed since the preview. Look at what would change now." : error.message);
      if (error.code === "version_conflict") setPreview(null);
    } finally {
      setRunning(false);
    }
  };
  const look = () => run(async () => setPreview(await post<Preview>(path, { checkpoint_id: checkpoint.checkpoint_id, paths: null, dry_run: true })));
  const restore = () => run(async () => {
    const { version } = await post<{ readonly version: number }>(path, { checkpoint_id: checkpoint.checkpoint_id, paths: null, dry_run: false, expected_version: preview!.version, reason: reason.trim() });
    tell(`Restored as version ${number(version)}. What was there is kept as a checkpoint.`);
    onDone();
  });
  return (
    <Dialog label="Restore a document" onClose={onClose} isWide>
      <form data-testid="restore" onSubmit={(event) => { event.preventDefault(); void (preview ? restore() : look()); }}>
        <h2>Restore {document.name}?</h2>
        <p class="dialog-text">Back to <b>{nameOf(checkpoint)}</b>, as a new version. What is there now becomes a checkpoint first, so this can be taken back.</p>
        {preview && <Differences differences={preview.differences} from={`Now (version ${number(preview.version)})`} to="Restored" />}
        {preview && <label class="field">Reason <span class="hint">kept in the audit log</span>
          <input ref={field} value={reason} maxLength={REASON_MAX} required autocomplete="off" onInput={(event) => setReason(event.currentTarget.value)} data-testid="restore-reason" /></label>}
        <p class="form-problem" role="alert">{problem}</p>
        <div class="actions">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="primary" disabled={isRunning || (preview !== null && (!preview.differences.length || !reason.trim()))} data-testid="restore-go">{preview ? `Restore ${plural(preview.differences.length, "path")}` : "Show what would change"}</button>
        </div>
      </form>
    </Dialog>
  );
}

type Points = readonly (readonly [value: string, text: string])[];
const PointChoice = ({ label, value, points, onChange }: { readonly label: string; readonly value: string; readonly points: Points; readonly onChange: (value: string) => void }) => (
  <label class="field">{label} <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>{points.map(([point, text]) => <option key={point} value={point}>{text}</option>)}</select></label>
);

function Fork({ document, points, onClose, onDone }: { readonly document: Doc; readonly points: Points; readonly onClose: () => void; readonly onDone: () => void }) {
  const [name, setName] = useState(`${document.name} copy`.slice(0, 120));
  const [at, setAt] = useState("now");
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState("");
  const [isRunning, setRunning] = useState(false);
  const fork = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (isRunning) return;
    setRunning(true);
    setProblem("");
    try {
      await post(`documents/${part(document.document_id)}/fork`, { name: name.trim(), at, reason: reason.trim() });
      tell(`Copied as ${name.trim()}.`);
      onDone();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.code === "version_conflict" ? "There is a document of this name already. Choose another." : error.message);
      setRunning(false);
    }
  };
  return (
    <Dialog label="Copy a document" onClose={onClose}>
      <form onSubmit={fork} data-testid="fork">
        <h2>Copy {document.name}?</h2>
        <p class="dialog-text">The copy belongs to the same owner, who sees it at once. The original stays as it is.</p>
        <label class="field">Name of the copy <input value={name} maxLength={120} required autocomplete="off" autofocus onInput={(event) => setName(event.currentTarget.value)} data-testid="fork-name" /></label>
        <PointChoice label="As it was at" value={at} points={points} onChange={setAt} />
        <label class="field">Reason <span class="hint">kept in the audit log</span>
          <input value={reason} maxLength={REASON_MAX} required autocomplete="off" onInput={(event) => setReason(event.currentTarget.value)} data-testid="fork-reason" /></label>
        <p class="form-problem" role="alert">{problem}</p>
        <div class="actions"><button type="button" onClick={onClose}>Cancel</button><button type="submit" class="primary" disabled={isRunning || !name.trim() || !reason.trim()} data-testid="fork-go">Copy</button></div>
      </form>
    </Dialog>
  );
}

function useShown<Answer>(): readonly [Answer | null, ApiError | null, (path: string, query?: Record<string, string>) => void] {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const show = (path: string, query: Record<string, string> = {}): void => {
    get<Answer>(path, { query }).then((found) => { setAnswer(found); setProblem(null); }, (error: unknown) => { if (error instanceof ApiError) setProblem(error); else throw error; });
  };
  return [answer, problem, show];
}

function State({ document, points }: { readonly document: Doc; readonly points: Points }) {
  const [at, setAt] = useState("now");
  const [found, problem, show] = useShown<{ readonly state: Json; readonly at: string }>();
  return (
    <>
      <div class="row"><PointChoice label="State at" value={at} points={points} onChange={setAt} />
        <Act right="document.state" onClick={() => show(`documents/${part(document.document_id)}/state`, { at })} testId="show-state">Show</Act></div>
      <Problem problem={problem} />
      {found && <div class="tree" tabIndex={0} role="region" aria-label="State" data-testid="state"><JsonTree value={found.state} /></div>}
    </>
  );
}

function Compare({ document, points }: { readonly document: Doc; readonly points: Points }) {
  const [from, setFrom] = useState(points[1]?.[0] ?? "now");
  const [to, setTo] = useState("now");
  const [found, problem, show] = useShown<{ readonly differences: readonly Difference[] }>();
  return (
    <>
      <div class="row"><PointChoice label="From" value={from} points={points} onChange={setFrom} /><PointChoice label="To" value={to} points={points} onChange={setTo} />
        <Act right="document.state" onClick={() => show(`documents/${part(document.document_id)}/diff`, { from, to })} testId="show-diff">Compare</Act></div>
      <Problem problem={problem} />
      {found && <Differences differences={found.differences} from="From" to="To" />}
    </>
  );
}

function Checkpoints({ checkpoints, onRestore }: { readonly checkpoints: readonly Checkpoint[]; readonly onRestore: (checkpoint: Checkpoint) => void }) {
  if (!checkpoints.length) return <Empty>There is no checkpoint yet.</Empty>;
  return (
    <ul class="list" data-testid="checkpoints">
      {checkpoints.map((checkpoint) => (
        <li key={checkpoint.checkpoint_id}><span class="grow"><b>{checkpoint.label || "Without a label"}</b> <Badge state={checkpoint.kind.replaceAll("_", " ")} /> <span class="hint">version {number(checkpoint.version)}, <Ago at={checkpoint.created_at} /></span></span>
          <Act right="document.restore" onClick={() => onRestore(checkpoint)} testId="restore-open">Restore…</Act></li>
      ))}
    </ul>
  );
}

/** `onChanged`: the documents of the session are not as they were. */
export function DocumentPanel({ document, onChanged }: { readonly document: Doc; readonly onChanged: () => void }) {
  const [view, setView] = useState("checkpoints");
  const [restoring, setRestoring] = useState<Checkpoint | null>(null);
  const [isForking, setForking] = useState(false);
  const { data, problem, reload } = useLoaded<{ readonly checkpoints: readonly Checkpoint[] }>(`documents/${part(document.document_id)}/checkpoints`);
  const checkpoints = data?.checkpoints ?? [];
  const points = [["now", "now"] as const, ...checkpoints.map((checkpoint) => [checkpoint.checkpoint_id, nameOf(checkpoint)] as const)];
  return (
    <Panel title={`Document ${document.name}`} testId="document" aside={<Act right="document.fork" onClick={() => setForking(true)} testId="fork-open">Copy…</Act>}>
      <Choice label="View" value={view} values={[["checkpoints", "Checkpoints"], ["state", "State"], ["compare", "Compare"]]} onChange={setView} />
      <Problem problem={problem} onRetry={reload} />
      {view !== "checkpoints" && <p class="hint">{can("document.state") ? "This is somebody's private work: each look is written into the audit log." : `${refusal("document.state")}.`}</p>}
      {view === "checkpoints" && data && <Checkpoints checkpoints={checkpoints} onRestore={setRestoring} />}
      {view === "state" && <State document={document} points={points} />}
      {view === "compare" && data && <Compare document={document} points={points} />}
      {restoring && <Restore document={document} checkpoint={restoring} onClose={() => setRestoring(null)} onDone={() => { setRestoring(null); reload(); onChanged(); }} />}
      {isForking && <Fork document={document} points={points} onClose={() => setForking(false)} onDone={() => { setForking(false); onChanged(); }} />}
    </Panel>
  );
}
