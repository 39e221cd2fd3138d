/** The file that the server hands out as `/api/v0/client/clock.js`: a worker that rings when it is told to. */

const scope = globalThis as unknown as {
  onmessage: ((event: { data: [id: number, delay_ms: number] }) => void) | null;
  postMessage(id: number): void;
};

scope.onmessage = ({ data: [id, delay_ms] }) => {
  setTimeout(() => scope.postMessage(id), delay_ms);
};
