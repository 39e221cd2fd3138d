// Settings: what this service runs with, who operates it, and what it is made of.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { can, part, post, refusal } from "../api";
import { useKeys } from "../keys";
import { useLoaded } from "../loading";
import type { About, OperatorEntry, Setting } from "../model";
import { Act, Ago, Badge, Choice, Empty, Fact, Panel, Problem } from "../parts/basics";
import { ask } from "../parts/dialog";
import { everyMs, PACES_MS, type Theme, theme, THEMES } from "../preferences";
import { tell } from "../toasts";
import { titleCount } from "../title";

const shownValue = ({ value, is_secret: isSecret }: Setting): string => value === null ? "not set" : isSecret ? "set, not shown" : typeof value === "string" ? value : JSON.stringify(value);

/** What stands between backticks is code. */
const withCode = (text: string): ComponentChildren => text.split("`").map((piece, index) => (index % 2 ? <code key={index}>{piece}</code> : piece));

function SettingList() {
  const [words, setWords] = useState("");
  const { data, problem, reload } = useLoaded<{ readonly settings: readonly Setting[] }>("settings");
  const found = (data?.settings ?? []).filter(({ name, text }) => `${name} ${text}`.toLowerCase().includes(words.trim().toLowerCase()));
  return (
    <>
      <Problem problem={problem} onRetry={reload} />
      <label class="field">Filter <input type="search" value={words} autocomplete="off" onInput={(event) => setWords(event.currentTarget.value)} data-testid="settings-filter" /></label>
      {found.length ? <dl class="settings" data-testid="settings">
        {found.map((setting) => <div key={setting.name}><dt><code>{setting.name}</code></dt><dd><b>{shownValue(setting)}</b>{!setting.is_default && <> <Badge state="changed" /></>}<p class="hint">{withCode(setting.text)}</p></dd></div>)}
      </dl> : data && <Empty>No setting has these words.</Empty>}
    </>
  );
}

function askToEndOperator({ id, operator }: OperatorEntry, onDone: () => void): void {
  ask({ title: `Sign ${operator} out?`, text: <p>This operator's console stops working at once. A new token from the command line lets them in again.</p>, action: "Sign out", isDangerous: true,
    run: async (reason) => { await post(`operators/${part(id)}/end`, { reason }); tell(`${operator} is signed out.`); onDone(); } });
}

function Operators() {
  const { data, problem, reload } = useLoaded<{ readonly operators: readonly OperatorEntry[] }>("operators");
  return (
    <>
      <Problem problem={problem} onRetry={reload} />
      <ul class="list" data-testid="operators">
        {data?.operators.map((entry) => (
          <li key={entry.id}><span class="grow"><b>{entry.operator}</b> <Badge state={entry.role.replaceAll("_", " ")} /> <span class="hint">{entry.kind === "token" ? "token that was not used yet" : <>last seen <Ago at={entry.seen_at} /></>}, until <Ago at={entry.expires_at} />{entry.is_current && ", this is you"}</span></span>
            {!entry.is_current && <Act right="operators.manage" isDangerous onClick={() => askToEndOperator(entry, reload)}>{entry.kind === "token" ? "Withdraw" : "Sign out"}</Act>}</li>
        ))}
      </ul>
    </>
  );
}

function Made({ about }: { readonly about: About }) {
  return (
    <>
      <dl class="facts">
        <Fact name="Sessile">{about.version}</Fact><Fact name="Python">{about.python}</Fact><Fact name="Database">{about.database}</Fact>
        <Fact name="Redis">{about.redis}</Fact><Fact name="Node"><code>{about.node_id}</code></Fact><Fact name="Started"><Ago at={about.started_at} /></Fact>
      </dl>
      <details><summary>Licences</summary>
        <ul class="list">{about.licences.map(({ name, version, licence }) => <li key={name}><span class="grow">{name} {version}</span>{licence}</li>)}
          <li><span class="grow">Preact, signals and uPlot, in this page</span><a href="static/licences.txt" data-outside="">MIT</a></li></ul>
      </details>
    </>
  );
}

export function Settings() {
  const about = useLoaded<About>("about");
  useKeys({ r: about.reload });
  titleCount.value = null;
  return (
    <>
      <div class="page-head"><h1>Settings</h1></div>
      <Panel title="This browser">
        <div class="filters"><div class="field">Colours <Choice label="Colours" value={theme.value} values={THEMES.map((name) => [name, name === "system" ? "As the system" : name === "light" ? "Light" : "Dark"])} onChange={(name) => { theme.value = name as Theme; }} /></div>
          <div class="field">Live feed, at most every <Choice label="Live feed, at most every" value={String(everyMs.value)} values={PACES_MS.map((pace) => [String(pace), `${pace / 1000} s`])} onChange={(pace) => { everyMs.value = Number(pace); }} /></div></div>
      </Panel>
      <Panel title="Settings of the service">{can("settings.read") ? <SettingList /> : <Empty>{refusal("settings.read")}.</Empty>}</Panel>
      <Panel title="Operators">{can("operators.manage") ? <Operators /> : <Empty>{refusal("operators.manage")}.</Empty>}</Panel>
      <Panel title="About"><Problem problem={about.problem} onRetry={about.reload} />{about.data && <Made about={about.data} />}</Panel>
    </>
  );
}
