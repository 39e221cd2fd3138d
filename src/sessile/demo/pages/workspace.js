/** The report's page: opens the document, and shows everything again whenever something has changed. */

import { Changes } from "./changes.js";
import { Checkpoints } from "./checkpoints.js";
import { Conflicts } from "./conflicts.js";
import { Copies } from "./copies.js";
import { Devices } from "./devices.js";
import { byId, el, keyed, plural, say, toggle } from "./dom.js";
import { Entries } from "./entries.js";
import { Expiry } from "./expiry.js";
import { Fields } from "./fields.js";
import { Gaps } from "./gaps.js";
import { HandoffDialog } from "./handoff.js";
import { Insurers } from "./insurers.js";
import { isReport, NAME, titleOf } from "./report.js";
import { Review } from "./review.js";
import { Sessions } from "./sessions.js";
import { Steps } from "./steps.js";

const FOCUS = "sessile-demo:focus";
/** A connection that is back at once is nothing to speak of. */
const OFFLINE_DELAY_MS = 500;
const ENDED = {
  logout: "You logged out in this browser.",
  revoked: "This browser was logged out from another device.",
  expired: "You were logged out because nothing happened for a while.",
};
/** What a picture that was scanned leaves behind the address. */
const SECRET = /^#[A-Za-z0-9_-]{22}$/;

const { client } = sessile;
const doc = client.open(NAME);
const fields = new Fields(doc);
const steps = new Steps(doc, fields);
const devices = new Devices(doc, client, fields, steps);
const conflicts = new Conflicts(doc, (deviceNo) => devices.nameOf(deviceNo));
const checkpoints = new Checkpoints(doc, client, renderSoon);
const changes = new Changes(doc, fields, checkpoints);
const copies = new Copies(doc, client, fields);
const entries = new Entries(doc, fields);
const gaps = new Gaps(doc, fields, steps);
const review = new Review(doc, client, fields, steps);
const insurers = new Insurers(client);
const sessions = new Sessions(client);
const handoff = new HandoffDialog(client);
new Expiry(client, signOut);

let isReady = false;
let isDue = false;
let userId = null;
let offlineSince_ms = null;
let endReason = null;

function renderSoon() {
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    render();
  });
}

function render() {
  const isOnline = client.status === "connected";
  renderPerson();
  renderSaveLine(isOnline);
  renderBanner();
  renderSignedOut();
  insurers.render(isOnline);
  sessions.render(isOnline);
  byId("handoff-open").disabled = !isOnline;
  if (!isReady) return;
  steps.render();
  devices.render(isOnline);
  conflicts.render();
  entries.render();
  gaps.render(isOnline);
  review.render(isOnline);
  checkpoints.render(isOnline);
  changes.render(isOnline);
  copies.render(isOnline);
}

function renderPerson() {
  const user = client.session?.user;
  if (!user) return;
  if (userId !== null && userId !== user.id) {
    sessionStorage.clear();
    return location.reload(); // somebody else has signed in in another tab
  }
  userId = user.id;
  say(byId("person"), String(user.name ?? ""));
  byId("person").title = byId("person").textContent; // a long name is cut
}

function renderSaveLine(isOnline) {
  const line = byId("save-line");
  Object.assign(line.dataset, {
    sync: doc.syncStatus,
    pending: String(doc.pendingCount),
    unstored: String(doc.unstoredCount),
    version: String(doc.version),
    online: String(isOnline),
  });
  const parts = isReady ? [["device", devicePart()], ["server", serverPart(isOnline)]] : [["opening", doc.error?.message ?? "Opening the report…"]];
  keyed(line, parts, ([key]) => key, ([key]) => el("span", { class: "part", "data-testid": `saved-on-${key}` }), (child, [, text]) => say(child, text));
}

function devicePart() {
  if (doc.unstoredCount > 0) return "On this device: saving…";
  return client.isStorageDurable ? "On this device: saved" : "On this device: in this tab only";
}

function serverPart(isOnline) {
  const pending = doc.pendingCount;
  if (pending > 0) return `On the server: version ${doc.version}, ${plural(pending, "change")} to send`;
  return isOnline ? `On the server: saved, version ${doc.version}` : `On the server: version ${doc.version} when last seen`;
}

function renderBanner() {
  if (!client.isOffline || client.status === "needs_auth") offlineSince_ms = null;
  else if (offlineSince_ms === null) {
    offlineSince_ms = performance.now();
    setTimeout(renderSoon, OFFLINE_DELAY_MS);
  }
  const isShown = offlineSince_ms !== null && performance.now() - offlineSince_ms >= OFFLINE_DELAY_MS - 1;
  const text = client.isStorageDurable ? "Working offline. Saved on this device." : "Working offline. Keep this tab open: this browser keeps nothing.";
  byId("save-row").toggleAttribute("data-offline", isShown);
  say(byId("offline-banner"), isShown ? text : "");
}

function renderSignedOut() {
  const isOut = client.status === "needs_auth";
  const wasOut = !byId("signed-out").hidden;
  toggle(byId("signed-out"), isOut);
  toggle(byId("workspace"), !isOut);
  if (!isOut) return;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  const why = endReason === null ? "Your session is over." : (ENDED[endReason] ?? `Your session has ended (${endReason}).`);
  const pending = doc.pendingCount > 0 ? ` ${plural(doc.pendingCount, "change")} of this report ${doc.pendingCount === 1 ? "is" : "are"} kept on this device and sent when you sign in again.` : "";
  say(byId("signed-out-text"), `${why}${pending}`);
  if (!wasOut) byId("signed-out-title").focus();
}

async function signOut() {
  fields.flush();
  try {
    const response = await fetch("/sign-out", { method: "POST" });
    if (!response.ok) return say(byId("offline-banner"), "You are still logged in: the server could not end the session.");
  } catch {
    return say(byId("offline-banner"), "You are still logged in: logging out needs the server.");
  }
  endReason = "logout";
  sessionStorage.clear();
  client.reconnect(); // finds no session any more, and tells the other tabs
  location.assign("/");
}

/** The field that had the focus when the tab was closed, reloaded or crashed. */
function resumeFocus() {
  const id = sessionStorage.getItem(FOCUS);
  const control = id && byId(id);
  if (!control || control.offsetParent === null) return;
  control.focus();
  if (control.selectionStart !== null && control.type !== "number") control.setSelectionRange?.(control.value.length, control.value.length);
}

for (const control of document.querySelectorAll("fieldset.step [data-path]")) {
  const hint = control.closest(".field")?.querySelector(".hint");
  if (hint) control.setAttribute("aria-describedby", hint.id);
}
document.addEventListener("focusin", (event) => {
  if (event.target.dataset?.path && event.target.id) sessionStorage.setItem(FOCUS, event.target.id);
});
if (SECRET.test(location.hash)) history.replaceState(null, "", location.pathname + location.search); // who is logged in needs no code
if (isReport(NAME) && NAME.includes("/")) {
  for (const element of document.querySelectorAll(".copy-title")) say(element, titleOf(NAME));
  document.title = `${titleOf(NAME)} · Sessile demo`;
  toggle(byId("copy-title"), true);
}
document.querySelector("sessile-status").setAttribute("for", NAME);
byId("sign-out").addEventListener("click", signOut);
byId("report").addEventListener("submit", (event) => event.preventDefault());
client.on("sessionExpired", () => (endReason ??= "expired"));
client.on("sessionEnded", ({ reason }) => (endReason = reason));
client.on("sessionStateChanged", ({ session }) => session && (endReason = null));
client.on("stateUpdateReceived", ({ changes }) => {
  // A whole restore replaces the state; the page goes back to the step of that time.
  if (isReady && changes.some((change) => change.operations.some((operation) => operation.op === "replace"))) steps.follow();
});
client.subscribe(renderSoon);
if (new URLSearchParams(location.search).has("debug")) void sessile.debug.overlay(); // how the connection stands, for whoever shows the demo
doc.subscribe(renderSoon);
renderSoon();

await doc.ready;
isReady = true;
fields.bind(byId("report"));
steps.resume();
render();
resumeFocus();
