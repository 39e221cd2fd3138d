/** Stands for a socket whose code is not here yet: most pages never need it, so it is a file of its own. */

import type { SocketLike } from "./environment.js";

export class LateSocket implements SocketLike {
  readyState = 0;
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;
  #socket: SocketLike | null = null;

  constructor(load: () => Promise<SocketLike>) {
    load().then((socket) => this.#begin(socket), () => this.#end({ code: 1006 } as CloseEvent)); // tried again with the next connection
  }

  send(data: string): void {
    this.#socket?.send(data);
  }

  close(code?: number, reason?: string): void {
    this.readyState = 3;
    this.#socket?.close(code, reason);
  }

  #begin(socket: SocketLike): void {
    if (this.readyState === 3) return socket.close();
    this.#socket = socket;
    const opened = () => {
      this.readyState = 1;
      this.onopen?.(new Event("open"));
    };
    if (socket.readyState === 1) queueMicrotask(opened); // it was faster than the promise it came with
    else socket.onopen = opened;
    socket.onmessage = (event) => this.onmessage?.(event);
    socket.onclose = (event) => this.#end(event);
  }

  #end(event: CloseEvent): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.(event);
  }
}
