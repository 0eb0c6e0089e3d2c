// Reclassifying cells and undoing it: one change after the other, so that each knows the result of the one before.

import { Cancelled, Problem } from "./api.js";
import { ask, one, say } from "./dom.js";

/** @typedef {import("./api.js").Review} Review */
/** @typedef {import("./gallery.js").Gallery} Gallery */
/** @typedef {import("./updates.js").SlideUpdates} SlideUpdates */

export class Reviewing {
  /**
   * @param {Gallery} gallery
   * @param {SlideUpdates} updates
   */
  constructor(gallery, updates) {
    this.gallery = gallery;
    this.updates = updates;
    /** @type {Promise<unknown>} settles when everything that was begun is done */
    this.last = Promise.resolve();
  }

  /**
   * Do something after everything that was begun before, and say what went wrong.
   * @param {() => Promise<void>} what
   */
  next(what) {
    const done = this.last.then(what).catch(async (error) => {
      if (error instanceof Cancelled) return;
      say(error instanceof Error ? error.message : String(error), "trouble");
      // If this cannot be read either, the sign at the top of the page says so.
      await this.updates.refresh().catch(() => undefined);
    });
    this.last = done;
    return done;
  }

  /**
   * Reclassify cells.
   * @param {HTMLElement[]} cells
   * @param {string | null} code null for the model's call
   * @param {string} reason
   */
  call(cells, code, reason) {
    const ids = cells.map((cell) => Number(cell.dataset.cell));
    return this.next(() => this.send(ids, code, reason));
  }

  /**
   * @param {number[]} ids
   * @param {string | null} code
   * @param {string} reason
   */
  async send(ids, code, reason) {
    const changes = ids.map((id) => ({
      cell: id,
      class: code,
      seen_review: Number(this.gallery.cell(id)?.dataset.review) || null,
    }));
    try {
      this.tell(await this.updates.change("reviews", { changes, reason: reason || null }));
    } catch (error) {
      if (!(error instanceof Problem) || !error.details.conflicts) throw error;
      await this.updates.refresh();
      if (await this.insists(error, "Nothing was changed:")) await this.send(ids, code, reason);
    }
  }

  /** Take back the last thing that this reviewer did. */
  undo() {
    return this.next(async () => {
      try {
        const reviews = await this.updates.change("undo");
        this.tell(reviews, "Undone: ");
        const cells = reviews.map((review) => this.gallery.cell(review.cell)).filter((cell) => cell !== null);
        if (cells.length) this.gallery.select(cells);
      } catch (error) {
        if (!(error instanceof Problem) || !error.details.conflicts) throw error;
        await this.updates.refresh();
        await this.insists(error, "That cannot be undone:", false);
      }
    });
  }

  /**
   * Say what the reviewer did.
   * @param {Review[]} reviews
   */
  tell(reviews, before = "") {
    say(before + this.gallery.describe(reviews), "own");
  }

  /**
   * Tell who was faster, and ask whether to go on all the same.
   * @param {Problem} problem
   * @param {string} intro
   * @returns {Promise<boolean>}
   */
  async insists(problem, intro, canInsist = true) {
    const dialog = /** @type {HTMLDialogElement} */ (one("#conflict-dialog"));
    one("#conflict-intro").textContent = `${intro} somebody else has called these cells since you looked at them.`;
    one("#conflict-again").hidden = !canInsist;
    const reviews = (problem.details.conflicts ?? []).flatMap((conflict) => conflict.reviews);
    one("#conflicts").replaceChildren(...reviews.map((review) => this.gallery.line(review)));
    return (await ask(dialog)) === "again";
  }
}
