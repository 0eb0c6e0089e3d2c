// The pages of what is sent to other systems: messages are sent again or given up.

import { Cancelled, send } from "./api.js";
import { ask, one, readPage, replaceById, say } from "./dom.js";

async function refresh() {
  const part = (await readPage(location.pathname + location.search)).getElementById("deliveries");
  if (part) replaceById([part]);
}

/**
 * @param {string} path
 * @param {object} body
 * @param {string} done
 */
async function decide(path, body, done) {
  try {
    await send("POST", path, body);
    say(done);
    await refresh();
  } catch (error) {
    if (!(error instanceof Cancelled)) say(error instanceof Error ? error.message : String(error), "trouble");
  }
}

/** @param {string} message id */
async function giveUp(message) {
  const dialog = /** @type {HTMLDialogElement} */ (one("#give-up"));
  if ((await ask(dialog)) !== "ok") return;
  const reason = /** @type {HTMLTextAreaElement} */ (one("textarea", dialog)).value;
  await decide(`/api/v1/deliveries/${message}/give-up`, { reason }, "the message is given up");
}

document.addEventListener("click", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const again = /** @type {HTMLElement | null} */ (target.closest("[data-send-again]"));
  if (again) {
    const anew = "anew" in again.dataset;
    void decide(`/api/v1/deliveries/${again.dataset.sendAgain}/send-again`, { anew }, "the message is sent again");
  }
  const up = /** @type {HTMLElement | null} */ (target.closest("[data-give-up]"));
  if (up) void giveUp(up.dataset.giveUp ?? "");
});
