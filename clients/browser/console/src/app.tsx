// The frame around the pages: navigation, the state of the live feed, messages, dialogs.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { me, signOut } from "./api";
import { duration } from "./format";
import { HELP, useKeys } from "./keys";
import { polls } from "./loading";
import { heardAt, link, paused, pause, reopen, resume, staleFor } from "./live";
import { Empty } from "./parts/basics";
import { Confirmation, Dialog } from "./parts/dialog";
import { nextTheme, theme } from "./preferences";
import { Audit } from "./pages/audit";
import { Devices } from "./pages/devices";
import { Health } from "./pages/health";
import { Overview } from "./pages/overview";
import { SessionPage } from "./pages/session";
import { Sessions } from "./pages/sessions";
import { Settings } from "./pages/settings";
import { href, type Page, route } from "./router";
import { titlePage } from "./title";
import { dismiss, tell, toasts } from "./toasts";

const PAGES: readonly (readonly [Page, string, string])[] = [
  ["overview", "Overview", href()], ["sessions", "Sessions", href("sessions")], ["devices", "Devices", href("devices")],
  ["audit", "Audit", href("audit")], ["health", "Health", href("health")], ["settings", "Settings", href("settings")],
];
const TITLES: Readonly<Record<Page, string>> = { ...(Object.fromEntries(PAGES.map(([page, label]) => [page, label])) as Record<Page, string>), session: "Session", unknown: "Not found" };

function Current(): ComponentChildren {
  const { page, id } = route.value;
  titlePage.value = TITLES[page];
  switch (page) {
    case "overview": return <Overview />;
    case "sessions": return <Sessions />;
    case "session": return <SessionPage key={id} id={id} />;
    case "devices": return <Devices />;
    case "audit": return <Audit />;
    case "health": return <Health />;
    case "settings": return <Settings />;
    case "unknown": return <><h1>Not found</h1><Empty>There is no such page. <a href={href()}>Overview</a></Empty></>;
  }
}

const FEED = { off: "Every 5 s", connecting: "Connecting…", live: "Live", lost: "Feed lost", stale: "Behind" };
const togglePause = (): void => (paused.peek() === null ? pause("asked") : resume());

function Feed() {
  if (link.value === "off" && paused.value === null && !polls.value) return <div class="feed" />;
  const text = paused.value === null ? FEED[link.value] : "Paused";
  return (
    <div class="feed" data-link={paused.value !== null ? "paused" : link.value === "off" ? "live" : link.value}>
      <span class="dot" aria-hidden="true" /><span role="status" aria-live="polite" data-testid="feed">{text}</span>
      <button type="button" class="quiet" aria-pressed={paused.value !== null} title="Key p" onClick={togglePause} data-testid="pause">{paused.value === null ? "Pause" : "Go on"}</button>
    </div>
  );
}

const WHY = {
  asked: "Paused", hidden: "Paused while this page was hidden", unused: "Paused because nobody has used this page for a while",
};

/** How old what is shown is. Only its first words are announced, not each second. */
function Banner() {
  const isLost = paused.value === null && (link.value === "lost" || link.value === "stale");
  if (!isLost && (paused.value === null || paused.value === "hidden")) return null;
  if (link.value === "off" && paused.value === null && !polls.value) return <div class="feed" />;
  const text = paused.value !== null ? WHY[paused.value] : link.value === "lost" ? "Live feed lost" : "The service cannot read its database";
  return (
    <div class={`banner ${isLost ? "problem" : "calm"}`} data-testid="banner">
      <p><span role={isLost ? "alert" : "status"}>{text}</span>{heardAt.value !== null && <span>, last update {duration(staleFor.value)} ago</span>}. {isLost && "Trying again."}</p>
      <button type="button" onClick={() => (isLost ? reopen() : resume())}>{isLost ? "Try now" : "Go on"}</button>
    </div>
  );
}

function Help({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog label="Keys" onClose={onClose}>
      <h2>Keys</h2>
      <dl class="keys">{HELP.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
      <div class="actions"><button type="button" autofocus onClick={onClose}>Close</button></div>
    </Dialog>
  );
}

export function App() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  useKeys({ p: togglePause, t: () => { nextTheme(); tell(`Colours: ${theme.value === "system" ? "as the system" : theme.value}.`); }, "?": () => setHelpOpen(true) });
  const { page } = route.value;
  return (
    <>
      <a class="skip" href="#page" data-outside="" onClick={(event) => { event.preventDefault(); document.getElementById("page")?.focus(); }}>Skip to the page</a>
      <header class="top">
        <p class="brand"><img src="static/icon.svg" alt="" width="24" height="24" /> <span>Sessile</span></p>
        <nav aria-label="Pages">{PAGES.map(([name, label, to]) => <a key={name} href={to} aria-current={name === page || (page === "session" && name === "sessions") ? "page" : undefined}>{label}</a>)}</nav>
        <Feed />
        <p class="who"><span><b>{me.value?.operator}</b> <span class="hint">{me.value?.role.replace("_", "-")}</span></span>
          <button type="button" class="quiet keys-open" title="Key ?" onClick={() => setHelpOpen(true)}>Keys</button>
          <button type="button" class="quiet" onClick={() => void signOut().catch((error: unknown) => tell(String(error), true))} data-testid="sign-out">Sign out</button></p>
      </header>
      <Banner />
      <main id="page" tabIndex={-1} class={`page-${page}`}><Current /></main>
      <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
        {toasts.value.map(({ key, text, isProblem }) => <div key={key} class={`toast ${isProblem ? "problem" : ""}`}><p>{text}</p><button type="button" class="quiet" aria-label="Close this message" onClick={() => dismiss(key)}>×</button></div>)}
      </div>
      <Confirmation />
      {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
    </>
  );
}
