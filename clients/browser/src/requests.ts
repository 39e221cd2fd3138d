/** Frames that get an answer: told apart by `request_id`, lost with the connection. */

import { deferred } from "./deferred.js";
import { SessileError } from "./errors.js";

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

export class Requests {
  readonly #waiting = new Map<string, Waiting>();

  constructor(private readonly newId: () => string, private readonly send: (frame: object) => boolean) {}

  /** Rejected with `not_connected`, `connection_lost` or the server's own code. */
  ask<T>(frame: object): Promise<T> {
    const request_id = this.newId();
    const answer = deferred<T>();
    this.#waiting.set(request_id, answer);
    if (!this.send({ ...frame, request_id })) {
      this.#waiting.delete(request_id);
      answer.reject(new SessileError("not_connected", "there is no connection to the server", true));
    }
    return answer.promise;
  }

  answered(requestId: string | undefined, value: unknown): void {
    this.#take(requestId)?.resolve(value as never);
  }

  /** False when nobody here asked. */
  refused(requestId: string | undefined, error: SessileError): boolean {
    const waiting = this.#take(requestId);
    waiting?.reject(error);
    return waiting !== undefined;
  }

  rejectAll(error: SessileError): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #take(requestId: string | undefined): Waiting | undefined {
    if (requestId === undefined) return undefined;
    const waiting = this.#waiting.get(requestId);
    this.#waiting.delete(requestId);
    return waiting;
  }
}
