/** Asks the browser once not to throw this site's storage away when the disk is full. */

import { reportError } from "./errors.js";

export class Persistence {
  /** Null while nothing was asked, or answered. */
  isGranted: boolean | null = null;
  #hasAsked = false;

  constructor(private readonly persist: (() => Promise<boolean>) | undefined) {}

  ask(): void {
    if (this.#hasAsked || !this.persist) return;
    this.#hasAsked = true;
    this.persist().then((isGranted) => void (this.isGranted = isGranted), reportError);
  }
}
