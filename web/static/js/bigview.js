// One cell large, with its probabilities and its history.

import { localTimes, one, prefix, readPage } from "./dom.js";

/** @typedef {import("./gallery.js").Gallery} Gallery */

export class BigView {
  /** @param {Gallery} gallery */
  constructor(gallery) {
    this.gallery = gallery;
    this.dialog = /** @type {HTMLDialogElement} */ (one("#big-view"));
    this.dialog.addEventListener("close", () => {
      this.wanted = "";
      this.gallery.current?.focus();
    });
    // A click beside the window closes it.
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    /** @type {string} id of the cell that is shown, or will be as soon as it is read */
    this.wanted = "";
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** @param {HTMLElement} cell */
  async show(cell) {
    const id = cell.dataset.cell ?? "";
    if (this.wanted !== id) await this.read(id);
  }

  /** @param {string} id */
  async read(id) {
    this.wanted = id;
    if (!this.isOpen) {
      one("#big-view-content").replaceChildren();
      this.dialog.showModal();
    }
    const view = (await readPage(`${prefix}/cells/${id}`)).getElementById("cell");
    // Meanwhile another cell may have been asked for, or the window closed.
    if (!view || this.wanted !== id) return;
    one("#big-view-content").replaceChildren(view);
    localTimes(this.dialog);
  }

  /**
   * Say whether a cell is shown, or will be as soon as it is read.
   * @param {number} id
   */
  isShowing(id) {
    return this.isOpen && this.wanted === String(id);
  }

  /** Show the same cell as it is now. */
  async again() {
    if (this.isOpen) await this.read(this.wanted);
  }
}
