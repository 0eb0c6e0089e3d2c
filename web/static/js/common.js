// What every page does: colours, the dialog with the keys, menus, the reviewer's name, and times in the local zone.

import { send } from "./api.js";
import { isTyping, localTimes, prefix } from "./dom.js";
import { askReviewer, showReviewer } from "./reviewer.js";

const THEMES = ["auto", "light", "dark"];

function switchTheme() {
  const now = localStorage.getItem("smearcount-theme") ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  if (next === "auto") {
    localStorage.removeItem("smearcount-theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("smearcount-theme", next);
    document.documentElement.dataset.theme = next;
  }
  showTheme();
}

function showTheme() {
  const shown = document.getElementById("theme-name");
  if (shown) shown.textContent = localStorage.getItem("smearcount-theme") ?? "auto";
}

function showKeys() {
  const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("keys"));
  if (dialog && !document.querySelector("dialog[open]")) dialog.showModal();
}

/** @param {Event} event */
function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!(event.target instanceof Node) || !menu.contains(event.target)) menu.removeAttribute("open");
  }
}

localTimes();
showTheme();
showReviewer();
document.getElementById("theme")?.addEventListener("click", switchTheme);
document.getElementById("show-keys")?.addEventListener("click", showKeys);
document.getElementById("reviewer")?.addEventListener("click", () => void askReviewer());
document.getElementById("log-out")?.addEventListener("click", async () => {
  await send("DELETE", "/api/v1/session");
  location.assign(`${prefix}/login`);
});
document.addEventListener("click", closeMenus);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(event);
  if (event.key === "?" && !isTyping(event)) {
    event.preventDefault();
    showKeys();
  }
});
