// The page of a slide: what keys, mouse and live changes do.

import { BigView } from "./bigview.js";
import { all, isTyping, one, say } from "./dom.js";
import { Gallery, SELECTED } from "./gallery.js";
import { follow } from "./live.js";
import { Reviewing } from "./review.js";
import { bringBack, comment, signOrReopen, withdrawOrRestore } from "./signing.js";
import { SlideUpdates } from "./updates.js";

const slide = Number(one("#slide").dataset.slide);
const mayReview = document.body.hasAttribute("data-reviews");
const gallery = new Gallery();
const bigView = new BigView(gallery);
const updates = new SlideUpdates(slide, gallery, bigView);
const reviewing = new Reviewing(gallery, updates);

/** The class that each key calls, as the buttons name it. */
const CALLS = new Map(all("[data-call]").map((button) => [one("kbd", button).textContent, button.dataset.call ?? ""]));
CALLS.set("u", "unidentified");

/** @param {string | null} code */
function call(code) {
  const cells = bigView.isOpen && gallery.current ? [gallery.current] : gallery.selected;
  if (!mayReview || !cells.length) return;
  if (one("#headline").dataset.status === "signed") {
    say("The slide is signed. Reopen it first (s).", "trouble");
    return;
  }
  const reason = /** @type {HTMLInputElement} */ (one("#reason"));
  void reviewing.call(cells, code, reason.value.trim());
  reason.value = "";
  // Select at once: the next key is meant for the next cell, even if the answer is still on its way.
  const next = gallery.after(cells);
  if (next) gallery.selectOne(next);
}

/** @param {KeyboardEvent} event */
function go(event) {
  const cell = event.key === "[" || event.key === "]" ? gallery.nextClass(event.key === "[" ? -1 : 1) : gallery.beside(event.key);
  if (!cell) return;
  if (event.shiftKey && !bigView.isOpen) gallery.selectTo(cell);
  else gallery.selectOne(cell);
}

/**
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key means something here
 */
function press(event) {
  const { key } = event;
  if (key.startsWith("Arrow") || ["Home", "End", "[", "]"].includes(key)) {
    go(event);
  } else if (mayReview && CALLS.has(key)) {
    call(CALLS.get(key) ?? null);
  } else if (mayReview && key === "a") {
    call(null);
  } else if (mayReview && key === "z") {
    void reviewing.undo();
  } else if (bigView.isOpen) {
    if (key !== " " && key !== "Enter") return false;
    bigView.dialog.close();
  } else if (key === "Enter" || key === " ") {
    if (!gallery.current || document.activeElement !== gallery.current) return false;
    void bigView.show(gallery.current);
  } else if (key === "Escape") {
    gallery.select([], gallery.current);
  } else if (mayReview && key === "s") {
    void signOrReopen(reviewing);
  } else if (mayReview && key === "c") {
    one("#comment-text").focus();
  } else {
    return false;
  }
  return true;
}

document.getElementById("reason")?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === "Escape") gallery.current?.focus();
});

document.addEventListener("keydown", (event) => {
  const isOther = document.querySelector("dialog[open]") !== null && !bigView.isOpen;
  if (isOther || isTyping(event) || event.altKey || event.metaKey) return;
  if (event.ctrlKey) {
    const group = event.key === "a" && gallery.current?.closest(".group");
    if (!group) return;
    gallery.select(all(".cell", group), gallery.current);
    event.preventDefault();
  } else if (!(event.target instanceof HTMLButtonElement && [" ", "Enter"].includes(event.key)) && press(event)) {
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const cell = /** @type {HTMLElement | null} */ (target.closest(".cell"));
  if (cell) {
    if (event.shiftKey) gallery.selectTo(cell);
    else if (event.ctrlKey || event.metaKey) gallery.toggle(cell);
    else gallery.selectOne(cell);
  }
  const code = /** @type {HTMLElement | null} */ (target.closest("[data-call]"))?.dataset.call;
  if (code) call(code);
  if (target.closest("#undo")) void reviewing.undo();
  if (target.closest("#sign")) void signOrReopen(reviewing);
  if (target.closest("#withdraw")) void withdrawOrRestore(reviewing);
  if (target.closest("#bring-back")) void bringBack(reviewing);
});

document.addEventListener("dblclick", (event) => {
  const cell = /** @type {HTMLElement} */ (event.target).closest(".cell");
  if (cell) void bigView.show(/** @type {HTMLElement} */ (cell));
});

document.addEventListener("dragstart", (event) => {
  const cell = /** @type {HTMLElement} */ (event.target).closest?.(".cell");
  if (!cell) return;
  if (cell.getAttribute("aria-selected") !== "true") gallery.selectOne(/** @type {HTMLElement} */ (cell));
  event.dataTransfer?.setData("text/plain", `${gallery.selected.length} cells`);
  document.body.classList.add("dragging");
});
document.addEventListener("dragend", () => {
  document.body.classList.remove("dragging");
  dropOn(null);
});
document.addEventListener("dragover", (event) => {
  const target = dropTarget(event);
  dropOn(target);
  if (target) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const target = dropTarget(event);
  if (!target) return;
  event.preventDefault();
  call(target.dataset.drop ?? null);
});

/** @param {DragEvent} event */
function dropTarget(event) {
  if (!document.body.classList.contains("dragging")) return null;
  return /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest?.("[data-drop]") ?? null);
}

/** @param {HTMLElement | null} target */
function dropOn(target) {
  for (const marked of all(".drop-here")) if (marked !== target) marked.classList.remove("drop-here");
  target?.classList.add("drop-here");
}

document.addEventListener(SELECTED, () => {
  const count = gallery.selected.length;
  one("#selection").textContent = count ? `${count} selected` : "";
  if (bigView.isOpen && gallery.current) void bigView.show(gallery.current);
});

// A picture whose file is gone shows its number in words.
document.addEventListener("error", ({ target }) => {
  if (target instanceof HTMLImageElement) target.closest(".cell")?.classList.add("gone");
}, { capture: true });

const show = /** @type {HTMLFormElement} */ (one("#show"));
show.addEventListener("change", async () => {
  const given = [...new FormData(show)].filter(([name, value]) => value !== "" && !(name === "show" && value === "all"));
  const query = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  history.replaceState(null, "", location.pathname + (query ? `?${query}` : ""));
  await updates.readGallery();
});
show.addEventListener("submit", (event) => event.preventDefault());

document.getElementById("comment")?.addEventListener("submit", (event) => {
  event.preventDefault();
  void comment(reviewing, /** @type {HTMLInputElement} */ (one("#comment-text")));
});

gallery.makeReachable();
follow(async (changes) => {
  if (changes === null) await updates.follow(null);
  else if (changes.has(slide)) await updates.follow(changes.get(slide) ?? null);
});
