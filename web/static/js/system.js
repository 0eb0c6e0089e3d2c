// The system page: its state is read again as images come, the checks on request; files get another try.

import { Cancelled, send } from "./api.js";
import { one, prefix, readPage, replaceById, say } from "./dom.js";
import { follow } from "./live.js";

async function refresh() {
  const page = await readPage(location.pathname + location.search);
  const parts = ["system", "quarantined"].map((id) => page.getElementById(id));
  replaceById(parts.filter((part) => part !== null));
}

async function look() {
  const checks = one("#checks");
  checks.setAttribute("aria-busy", "true");
  one("p", checks).textContent = "Looking …";
  const found = (await readPage(`${prefix}/system/checks`, "POST")).getElementById("checks");
  if (found) replaceById([found]);
}

/** @param {string} slide id; empty for all slides */
async function retry(slide) {
  try {
    const { images, skipped_slides: skipped } = await send("POST", "/api/v1/retry", { slide_id: slide ? Number(slide) : null });
    say(images === 1 ? "1 file gets another try" : `${images} files get another try`);
    if (skipped) say(`${skipped === 1 ? "1 signed slide was" : `${skipped} signed slides were`} left alone; reopen a slide to try its files again`);
    await refresh();
  } catch (error) {
    if (!(error instanceof Cancelled)) say(error instanceof Error ? error.message : String(error), "trouble");
  }
}

document.addEventListener("click", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const button = /** @type {HTMLElement | null} */ (target.closest("[data-retry]"));
  if (button) void retry(button.dataset.retry ?? "");
  if (target.closest("#look")) {
    event.preventDefault();
    void look();
  }
});

follow(refresh, 5000);
