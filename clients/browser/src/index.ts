/** Live documents with a durable outbox, for browsers: all of it. */

export * from "./entry-core.js";
export { bindForms, bindOnce as bindForm } from "./elements.js";
export { type HandoffOffer, type HandoffState, redeemHandoff, type RedeemedHandoff } from "./handoff.js";
export { defineStatusElement } from "./status.js";
