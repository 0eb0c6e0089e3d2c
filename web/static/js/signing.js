// Signing a slide off, reopening it, withdrawing and restoring it, and commenting on it.

import { all, ask, make, one } from "./dom.js";
import { reviewer } from "./reviewer.js";

/** @typedef {import("./review.js").Reviewing} Reviewing */

/**
 * Sign the slide, or reopen it if it is signed.
 * @param {Reviewing} reviewing
 */
export async function signOrReopen(reviewing) {
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("sign"));
  if (!button || button.disabled) return;
  await (button.dataset.action === "reopen" ? reopen(reviewing) : sign(reviewing));
}

/** @param {Reviewing} reviewing */
async function sign(reviewing) {
  // The signature is for what the page shows when the dialog opens.
  await reviewing.last;
  const seen = one("#headline").dataset.digest;
  const flags = all("#differential .flag-list li").map((flag) => flag.cloneNode(true));
  one("#sign-flags").replaceChildren(...flags);
  const obstacles = all("#obstacles [data-obstacle]");
  one("#sign-obstacles").replaceChildren(...obstacles.map(question));
  const button = /** @type {HTMLButtonElement} */ (one("#sign-ok"));
  button.disabled = obstacles.some((obstacle) => obstacle.dataset.policy === "refused");
  const comment = await fill("#sign-dialog", "comment");
  if (comment === null) return;
  // The browser closes the dialog with its button only when every box is ticked.
  const acknowledged = obstacles.map((obstacle) => obstacle.dataset.obstacle);
  await reviewing.next(async () => {
    await reviewing.updates.change("sign-off", { comment: comment || null, seen_digest: seen, acknowledged });
  });
}

/**
 * Return the part of the dialog for something that stands in the way: a box to tick, or the sentence that forbids it.
 * @param {HTMLElement} obstacle
 */
function question(obstacle) {
  const message = obstacle.dataset.message ?? "";
  if (obstacle.dataset.policy === "refused") return make("p", { class: "warn" }, `${message}: this cannot be signed.`);
  const name = obstacle.dataset.obstacle ?? "";
  const box = make("input", { type: "checkbox", name: "acknowledged", value: name, required: "" });
  return make("label", {}, box, ` I know: ${message}`);
}

/** @param {Reviewing} reviewing */
async function reopen(reviewing) {
  const reason = await fill("#reopen-dialog", "reason");
  if (reason === null) return;
  await reviewing.next(async () => {
    await reviewing.updates.change("reopen", { reason });
  });
}

/**
 * Withdraw the slide, or restore it if it is withdrawn.
 * @param {Reviewing} reviewing
 */
export async function withdrawOrRestore(reviewing) {
  const action = one("#withdraw").dataset.action === "restore" ? "restore" : "withdraw";
  const reason = await fill(`#${action}-dialog`, "reason");
  if (reason === null) return;
  await reviewing.next(async () => {
    await reviewing.updates.change(action, { reason });
  });
}

/**
 * Give the calls that the slide has lost to the cells that have the same bytes.
 * @param {Reviewing} reviewing
 */
export async function bringBack(reviewing) {
  await reviewing.next(async () => {
    await reviewing.updates.change("bring-back");
  });
}

/**
 * @param {Reviewing} reviewing
 * @param {HTMLInputElement} input
 */
export async function comment(reviewing, input) {
  await reviewing.next(async () => {
    await reviewing.updates.change("comments", { text: input.value });
    input.value = "";
  });
}

/**
 * Show a dialog with one field and return what was typed; null if it was closed, or if no name was given.
 * @param {string} selector
 * @param {string} field
 * @returns {Promise<string | null>}
 */
async function fill(selector, field) {
  const name = await reviewer();
  if (name === null) return null;
  const dialog = /** @type {HTMLDialogElement} */ (one(selector));
  const input = /** @type {HTMLInputElement} */ (one(`[name=${field}]`, dialog));
  one("[data-who]", dialog).textContent = name || (document.body.dataset.me ?? "");
  input.value = "";
  return (await ask(dialog)) === "ok" ? input.value.trim() : null;
}
