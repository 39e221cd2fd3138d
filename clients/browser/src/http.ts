/** Requests that go on for as long as the page, or longer. */

import { Http, problem } from "./session.js";

export class PageHttp extends Http {
  /** An answer that goes on for as long as the page. Throws as `json` does. */
  async open(path: string, signal: AbortSignal): Promise<Response> {
    const response = await this.ask(path, "GET", "text/event-stream", signal);
    if (!response.ok) throw await problem(response);
    return response;
  }

  /** A request that goes on when the page is gone. Nobody is there to hear the answer. */
  leave(path: string, text: string): void {
    const { fetch } = this;
    const send = (authorization: object) => fetch(new URL(path, this.base).href, {
      method: "POST", keepalive: true, credentials: "same-origin", body: text,
      headers: { accept: "application/json", "content-type": "application/json", ...authorization },
    });
    const sent = this.token ? Promise.resolve(this.token()).then((token) => send({ authorization: `Bearer ${token}` })) : send({});
    sent.catch(() => undefined); // the outbox has it all the same
  }
}
