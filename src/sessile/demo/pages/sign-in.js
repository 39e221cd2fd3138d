/** Signing in: with a name, or with the code of a device that is logged in. Then the report. */

import { byId, say, toggle } from "./dom.js";

/** What the picture has behind the `#`. */
const SECRET = /^#([A-Za-z0-9_-]{22})$/;
const CODE_PROBLEMS = {
  handoff_refused: "That code is not good, or not any more. Let the other device make a new one.",
  too_many: "Too many wrong codes. Wait two minutes, and try again.",
};

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("name");
  const button = event.target.querySelector("button");
  accept(name, "problem");
  if (name.value.trim() === "") return refuse(name, "problem", "Type a name first.");
  button.disabled = true;
  try {
    const response = await fetch("/sign-in", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: name.value }),
    });
    if (response.ok) return location.reload();
    const answer = await response.json();
    refuse(name, "problem", answer.detail);
  } catch {
    refuse(name, "problem", "The server cannot be reached just now. Try again.");
  }
  button.disabled = false;
});

byId("code-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const code = byId("code");
  const button = event.target.querySelector("button");
  accept(code, "code-problem");
  if (code.value.trim() === "") return refuse(code, "code-problem", "Type the code first.");
  button.disabled = true;
  try {
    const { user, completed } = await sessile.redeemHandoff(code.value.trim());
    wait(String(user.name ?? "the same person"));
    const { path } = await completed;
    return location.assign(path || "/");
  } catch (error) {
    if (!(error instanceof sessile.SessileError)) throw error;
    show("form");
    refuse(code, "code-problem", problemOf(error));
  }
  button.disabled = false;
});

function problemOf({ code, reason, retryable }) {
  if (code === "handoff_refused" && reason === "refused") return "The other device said no.";
  if (CODE_PROBLEMS[code]) return CODE_PROBLEMS[code];
  return retryable ? "The server cannot be reached just now. Try again." : "That did not work. Let the other device make a new code.";
}

function wait(name) {
  show("waiting");
  say(byId("waiting-text"), `It asks whether you may in. When it agrees, you are logged in here as ${name}.`);
  byId("waiting-title").focus();
}

function show(what) {
  for (const id of ["sign-in", "code-part"]) toggle(byId(id), what === "form");
  toggle(byId("waiting"), what === "waiting");
}

function accept(control, problem) {
  say(byId(problem), "");
  control.removeAttribute("aria-invalid");
}

function refuse(control, problem, text) {
  say(byId(problem), text);
  control.setAttribute("aria-invalid", "true");
  control.focus();
}

/** The secret of a picture leaves the address at once: an address is shown, kept and shared. */
function scanned() {
  const secret = SECRET.exec(location.hash)?.[1];
  if (secret === undefined) return false;
  history.replaceState(null, "", location.pathname + location.search);
  byId("code-part").open = true;
  byId("code").value = secret;
  say(byId("code-hint"), "From the picture that you scanned. The device that shows it has to agree.");
  byId("code-form").querySelector("button").focus();
  return true;
}

if (!scanned()) byId("name").focus();
window.addEventListener("hashchange", scanned);
