// The cells of a slide: which are selected, and in which class each is shown.

import { all, make, one } from "./dom.js";

/** @typedef {import("./api.js").Review} Review */

/** Name of the event that says that the selection has changed. */
export const SELECTED = "gallery-selected";

export class Gallery {
  constructor() {
    /** @type {HTMLElement | null} the cell where a range begins */
    this.anchor = null;
    /** @type {HTMLElement | null} the cell from which the arrow keys move */
    this.current = null;
  }

  /** @returns {HTMLElement} */
  get root() {
    return one("#gallery");
  }

  /** All cells in the order in which they are shown. */
  get cells() {
    return all(".cell", this.root);
  }

  get selected() {
    return all('.cell[aria-selected="true"]', this.root);
  }

  /** @param {number | string} id */
  cell(id) {
    return document.getElementById(`cell-${id}`);
  }

  /** @param {HTMLElement} cell */
  classOf(cell) {
    return /** @type {HTMLElement} */ (cell.closest(".group")).dataset.class ?? "";
  }

  /** @param {string} code */
  group(code) {
    return one(`.group[data-class="${code}"]`, this.root);
  }

  /**
   * Select cells and nothing else.
   * @param {HTMLElement[]} cells
   * @param {HTMLElement | null} [current] the cell that gets the focus; by default the last one
   */
  select(cells, current = cells.at(-1) ?? null) {
    const wanted = new Set(cells);
    for (const cell of this.selected) if (!wanted.has(cell)) cell.setAttribute("aria-selected", "false");
    for (const cell of cells) cell.setAttribute("aria-selected", "true");
    this.current?.setAttribute("tabindex", "-1");
    this.current = current;
    if (current) {
      current.setAttribute("tabindex", "0");
      current.focus({ preventScroll: true });
      current.scrollIntoView({ block: "nearest" });
    }
    this.root.dispatchEvent(new CustomEvent(SELECTED, { bubbles: true }));
  }

  /** @param {HTMLElement} cell */
  selectOne(cell) {
    this.anchor = cell;
    this.select([cell]);
  }

  /** @param {HTMLElement} cell */
  toggle(cell) {
    const rest = this.selected.filter((other) => other !== cell);
    this.anchor = cell;
    this.select(rest.length < this.selected.length ? rest : [...rest, cell], cell);
  }

  /** @param {HTMLElement} cell */
  selectTo(cell) {
    const cells = this.cells;
    const from = Math.max(cells.indexOf(this.anchor ?? cell), 0);
    const to = cells.indexOf(cell);
    this.select(cells.slice(Math.min(from, to), Math.max(from, to) + 1), cell);
  }

  /**
   * Return the cell to which an arrow key leads.
   * @param {string} key
   * @returns {HTMLElement | undefined}
   */
  beside(key) {
    const cells = this.cells;
    const now = this.current?.isConnected ? cells.indexOf(this.current) : -1;
    if (now < 0) return cells[0];
    const at = (/** @type {number} */ place) => cells[Math.min(Math.max(place, 0), cells.length - 1)];
    switch (key) {
      case "ArrowLeft": return at(now - 1);
      case "ArrowRight": return at(now + 1);
      case "Home": return cells[0];
      case "End": return cells.at(-1);
      default: return this.above(cells, now, key === "ArrowUp" ? -1 : 1);
    }
  }

  /**
   * Return the cell above or below: the nearest one in the next row.
   * @param {HTMLElement[]} cells
   * @param {number} now
   * @param {1 | -1} way
   */
  above(cells, now, way) {
    const { x, y } = cells[now].getBoundingClientRect();
    let best = cells[now];
    let row = null;
    for (let place = now + way; place >= 0 && place < cells.length; place += way) {
      const there = cells[place].getBoundingClientRect();
      if (Math.abs(there.y - y) < 2) continue;
      row ??= there.y;
      if (Math.abs(there.y - row) >= 2) break;
      if (best === cells[now] || Math.abs(there.x - x) < Math.abs(best.getBoundingClientRect().x - x)) best = cells[place];
    }
    return best;
  }

  /**
   * Return the first cell of the class before or after.
   * @param {1 | -1} way
   * @returns {HTMLElement | undefined}
   */
  nextClass(way) {
    const groups = all(".group:not([hidden])", this.root);
    const now = groups.findIndex((group) => group.contains(this.current));
    const next = now < 0 ? groups[0] : groups[Math.min(Math.max(now + way, 0), groups.length - 1)];
    return next ? all(".cell", next)[0] : undefined;
  }

  /**
   * Return the cell to select after some cells are moved: the next one that stays, or else the one before.
   * @param {HTMLElement[]} leaving
   * @returns {HTMLElement | null}
   */
  after(leaving) {
    const gone = new Set(leaving);
    const cells = this.cells;
    const last = Math.max(...leaving.map((cell) => cells.indexOf(cell)));
    const stays = (/** @type {HTMLElement} */ cell) => !gone.has(cell);
    return cells.slice(last + 1).find(stays) ?? cells.slice(0, last).findLast(stays) ?? null;
  }

  /**
   * Show reviews: each cell moves to its class, in the order of confidence. Reviews older than a cell's own are skipped.
   * @param {Review[]} reviews oldest first
   */
  apply(reviews) {
    for (const review of reviews) {
      const cell = this.cell(review.cell);
      if (!cell || Number(cell.dataset.review) >= review.id) continue;
      cell.dataset.review = String(review.id);
      cell.dataset.by = review.class === null ? "" : review.reviewer;
      this.mark(cell, review.class);
      if (this.classOf(cell) !== review.became) this.place(cell, review.became);
    }
  }

  /**
   * @param {HTMLElement} cell
   * @param {string | null} called the class that a person called; null if only the model called one
   */
  mark(cell, called) {
    const auto = cell.dataset.auto ?? "";
    const text = called === null ? "" : called === auto ? "✎ agreed" : `✎ was ${this.group(auto).dataset.short}`;
    cell.querySelector(".was")?.remove();
    if (text) cell.append(make("span", { class: "was" }, text));
  }

  /**
   * @param {HTMLElement} cell
   * @param {string} code
   */
  place(cell, code) {
    const from = /** @type {HTMLElement} */ (cell.closest(".group"));
    const to = this.group(code);
    const sure = Number(cell.dataset.sure);
    const hadFocus = document.activeElement === cell;
    const next = all(".cell", to).find((other) => Number(other.dataset.sure) > sure);
    one(".grid", to).insertBefore(cell, next ?? null);
    for (const group of [from, to]) {
      const count = group.querySelectorAll(".cell").length;
      one(".count", group).textContent = String(count);
      group.hidden = count === 0;
    }
    if (hadFocus) cell.focus({ preventScroll: true });
  }

  /**
   * Show another gallery. Cells that are the same in both keep their elements, so that no picture is loaded twice.
   * @param {Element} other
   */
  replace(other) {
    const chosen = new Set(this.selected.map((cell) => cell.id));
    const current = this.current?.id;
    const hadFocus = this.current !== null && document.activeElement === this.current;
    for (const fresh of all(".cell", other)) {
      const old = document.getElementById(fresh.id);
      const isSame = old && ["review", "auto", "sure"].every((name) => old.dataset[name] === fresh.dataset[name]);
      if (isSame) fresh.replaceWith(old);
    }
    this.root.replaceWith(other);
    const cells = this.cells;
    this.current = cells.find((cell) => cell.id === current) ?? null;
    this.anchor = this.current;
    for (const cell of cells) cell.setAttribute("aria-selected", String(chosen.has(cell.id)));
    if (hadFocus) this.current?.focus({ preventScroll: true });
    this.makeReachable();
    this.root.dispatchEvent(new CustomEvent(SELECTED, { bubbles: true }));
  }

  /** Let Tab reach exactly one cell of the gallery. */
  makeReachable() {
    (this.current ?? this.cells[0])?.setAttribute("tabindex", "0");
  }

  /** @param {string} code */
  name(code) {
    return this.group(code).dataset.name ?? code;
  }

  /**
   * Describe in words which cells were called what.
   * @param {Review[]} reviews
   */
  describe(reviews) {
    /** @type {Map<string, number>} */
    const moves = new Map();
    for (const { was, became } of reviews) {
      const move = was === became ? `${this.name(became)}, as before` : `${this.name(was)} → ${this.name(became)}`;
      moves.set(move, (moves.get(move) ?? 0) + 1);
    }
    return [...moves].map(([move, cells]) => `${cells} ${cells === 1 ? "cell" : "cells"}: ${move}`).join("; ");
  }

  /**
   * Make a line for a review, for lists of conflicts.
   * @param {Review} review
   */
  line(review) {
    const at = new Date(review.reviewed_at);
    const item = make("li", {}, `Cell ${review.cell}: `, make("b", {}, review.reviewer));
    const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    item.append(` called it ${this.name(review.became)} at ${time}; it was ${this.name(review.was)}`);
    if (review.reason) item.append(": ", make("q", {}, review.reason));
    return item;
  }
}
