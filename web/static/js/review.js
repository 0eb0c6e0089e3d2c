// Calling cells otherwise, and taking it back; one thing after the other, so that each knows what came before it.

import { Cancelled, Problem, send } from "./api.js";
import { ask, one, say } from "./dom.js";

/** @typedef {import("./api.js").Review} Review */
/** @typedef {import("./gallery.js").Gallery} Gallery */

export class Reviewing {
  /**
   * @param {Gallery} gallery
   * @param {number} slide
   * @param {() => Promise<void>} refresh shows the slide as it is now
   */
  constructor(gallery, slide, refresh) {
    this.gallery = gallery;
    this.slide = slide;
    this.refresh = refresh;
    /** @type {Promise<unknown>} */
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
      // If not even that can be read, the sign at the top says so.
      await this.refresh().catch(() => undefined);
    });
    this.last = done;
    return done;
  }

  /**
   * Call cells so.
   * @param {HTMLElement[]} cells
   * @param {string | null} code null for what the model called them
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
      this.show(await send("POST", "/api/v1/reviews", { changes, reason: reason || null }));
    } catch (error) {
      if (!(error instanceof Problem) || !error.details.conflicts) throw error;
      await this.refresh();
      if (await this.insists(error, "Nothing was changed:")) await this.send(ids, code, reason);
      return;
    }
    await this.refresh();
  }

  /** Take back the last thing that this reviewer did. */
  undo() {
    return this.next(async () => {
      try {
        const reviews = this.show(await send("POST", `/api/v1/slides/${this.slide}/undo`), "Undone: ");
        const cells = reviews.map((review) => this.gallery.cell(review.cell)).filter((cell) => cell !== null);
        if (cells.length) this.gallery.select(cells);
      } catch (error) {
        if (!(error instanceof Problem) || !error.details.conflicts) throw error;
        await this.refresh();
        await this.insists(error, "That cannot be undone:", false);
        return;
      }
      await this.refresh();
    });
  }

  /**
   * @param {{reviews: Review[]}} answer
   * @returns {Review[]}
   */
  show({ reviews }, before = "") {
    this.gallery.apply(reviews);
    say(before + this.gallery.inWords(reviews), "own");
    return reviews;
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
