// The name under which changes are kept where nobody logs in: asked for once, then kept in this browser.

import { ask } from "./dom.js";

const KEPT = "smearcount-reviewer";

/** @returns {string} the name; empty if none was given yet, or if people log in */
export function knownReviewer() {
  return document.body.hasAttribute("data-open") ? (localStorage.getItem(KEPT) ?? "") : "";
}

/**
 * Return the name to send, and ask for it if necessary: empty if people log in, null if no name was given.
 * @returns {Promise<string | null>}
 */
export async function reviewer() {
  if (!document.body.hasAttribute("data-open")) return "";
  return knownReviewer() || (await askReviewer());
}

/**
 * Ask for another name.
 * @returns {Promise<string | null>} null if none was given
 */
export async function askReviewer() {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("ask-reviewer"));
  const input = /** @type {HTMLInputElement} */ (dialog.querySelector("input"));
  input.value = knownReviewer();
  const answer = await ask(dialog);
  const name = input.value.trim();
  if (answer !== "ok" || !name) return null;
  localStorage.setItem(KEPT, name);
  showReviewer();
  return name;
}

/** Show the name at the top of the page. */
export function showReviewer() {
  const shown = document.getElementById("reviewer-name");
  if (shown) shown.textContent = knownReviewer() || "nobody yet";
}
