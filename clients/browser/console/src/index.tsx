// The operator console starts here.
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import { introduce } from "./api";
import { App } from "./app";
import "./console.css";
import { listenForKeys } from "./keys";
import { begin } from "./live";
import { followLinks } from "./router";

const place = document.getElementById("console")!;

function Refused({ problem }: { readonly problem: unknown }) {
  return (
    <main class="refused"><h1>The console cannot start</h1><p role="alert">{problem instanceof Error ? problem.message : String(problem)}</p>
      <p><button type="button" onClick={() => void start()}>Try again</button></p></main>
  );
}

async function start(): Promise<void> {
  try {
    await introduce();
  } catch (problem) {
    render(<Refused problem={problem} />, place);
    return;
  }
  render(<App />, place);
}

followLinks();
listenForKeys();
begin();
void start();
