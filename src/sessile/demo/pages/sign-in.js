/** Signing in: a name, and then the report. */

const form = document.getElementById("sign-in");
const name = document.getElementById("name");
const problem = document.getElementById("problem");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  name.removeAttribute("aria-invalid");
  if (name.value.trim() === "") return refuse("Type a name first.");
  button.disabled = true;
  try {
    const response = await fetch("/sign-in", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: name.value }),
    });
    if (response.ok) return location.reload();
    const answer = await response.json();
    refuse(answer.detail);
  } catch {
    refuse("The server cannot be reached just now. Try again.");
  }
  button.disabled = false;
});

function refuse(text) {
  problem.textContent = text;
  name.setAttribute("aria-invalid", "true");
  name.focus();
}

name.focus();
