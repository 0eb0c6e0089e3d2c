// Keeping a slide's page up to date: with updates that it reads after changes by others, and with those that the answers
// to its own changes bring.

import { Cancelled, send } from "./api.js";
import { one, parsed, prefix, read, readPage, replaceById, say } from "./dom.js";
import { knownReviewer, reviewer } from "./reviewer.js";

/** @typedef {import("./api.js").Review} Review */
/** @typedef {import("./bigview.js").BigView} BigView */
/** @typedef {import("./gallery.js").Gallery} Gallery */
/** @typedef {import("./live.js").Change} Change */

/**
 * @typedef {object} Update what the server sends to bring the page up to date
 * @property {string} html the parts beside the gallery
 * @property {Review[]} reviews those that the page did not know, oldest first
 * @property {string | null} action of the reviews that the request itself made
 * @property {number} last_review the newest review that `html` counts
 * @property {string} images changes whenever images came or were dealt with
 */

export class SlideUpdates {
  /**
   * @param {number} slide
   * @param {Gallery} gallery
   * @param {BigView} bigView
   */
  constructor(slide, gallery, bigView) {
    this.slide = slide;
    this.gallery = gallery;
    this.bigView = bigView;
    /** How many updates were shown. */
    this.shown = 0;
    this.isStale = false;
    /** @type {Promise<void> | null} */
    this.refreshing = null;
    /** @type {Promise<unknown>} settles when the page's own change, if one is under way, is answered and shown */
    this.answered = Promise.resolve();
  }

  /** @returns {DOMStringMap} what the headline says of the state that is shown */
  get state() {
    return one("#headline").dataset;
  }

  /**
   * Show what a live event tells of, unless the page shows it already: the event of its own change needs no request.
   * @param {Change | null} change null when anything may have changed
   */
  async follow(change) {
    if (this.knows(change)) return;
    // It may be the page's own change, whose answer is still on its way.
    await this.answered;
    if (!this.knows(change)) await this.refresh();
  }

  /**
   * Say whether the page shows everything that a change consists of. The server stores the reviews of a slide, and its
   * events, in the order of their ids: a page that knows one knows all those before it.
   * @param {Change | null} change
   */
  knows(change) {
    if (change === null) return false;
    return change.last_review <= Number(this.state.lastReview) && change.last_event <= Number(this.state.lastEvent);
  }

  /** Show the slide as it is now; a call while this is under way waits until the slide was read once more. */
  refresh() {
    this.isStale = true;
    this.refreshing ??= this.readUntilFresh().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  async readUntilFresh() {
    while (this.isStale) {
      this.isStale = false;
      const { shown } = this;
      const answer = await read(`${prefix}/slides/${this.slide}/news?seen=${this.state.lastReview}`, "application/json");
      /** @type {Update} */
      const update = await answer.json();
      // Meanwhile the answer to a change was shown. Which of the two is newer cannot be told, so the slide is read again.
      if (shown !== this.shown) this.isStale = true;
      else await this.show(update);
    }
  }

  /**
   * Change something about the slide and show what it looks like afterwards.
   * @param {"reviews" | "undo" | "comments" | "sign-off" | "reopen" | "bring-back" | "withdraw" | "restore"} action
   * @param {unknown} [body]
   * @returns {Promise<Review[]>} the reviews that this made
   */
  async change(action, body) {
    // Asked here, so that live events do not wait for somebody who thinks about their name.
    if ((await reviewer()) === null) throw new Cancelled("no name");
    const done = this.post(action, body);
    this.answered = done.catch(() => undefined);
    return done;
  }

  /**
   * @param {string} action
   * @param {unknown} body
   * @returns {Promise<Review[]>}
   */
  async post(action, body) {
    const { shown } = this;
    const path = `/slides/${this.slide}/${action}?seen=${this.state.lastReview}`;
    /** @type {Update} */
    const update = await send("POST", path, body);
    // Meanwhile an update that was asked for before was shown. Which is newer cannot be told, so the slide is read again.
    if (shown === this.shown) await this.show(update);
    else await this.refresh();
    return update.reviews.filter((review) => review.action === update.action);
  }

  /** @param {Update} update */
  async show(update) {
    this.shown += 1;
    const { images } = this.state;
    const { gallery, bigView } = this;
    const byOthers = update.reviews.filter(
      (review) => review.action !== update.action && Number(gallery.cell(review.cell)?.dataset.review) < review.id,
    );
    gallery.apply(update.reviews);
    this.tell(byOthers);
    replaceById(parsed(update.html).body.children);
    const hasNewImages = update.images !== images;
    if (hasNewImages) await this.readGallery();
    if (hasNewImages || update.reviews.some((review) => bigView.isShowing(review.cell))) await bigView.again();
  }

  /**
   * Say what others did.
   * @param {Review[]} reviews
   */
  tell(reviews) {
    const own = document.body.dataset.me ?? knownReviewer();
    for (const name of new Set(reviews.map((review) => review.reviewer))) {
      const theirs = reviews.filter((review) => review.reviewer === name);
      if (name !== own) say(`${name}: ${this.gallery.describe(theirs)}`);
    }
  }

  /** Read the gallery again and show it. */
  async readGallery() {
    /** @type {number} */
    let shown;
    /** @type {HTMLElement | null} */
    let gallery;
    do {
      shown = this.shown;
      gallery = (await readPage(location.pathname + location.search)).getElementById("gallery");
      // An update that was shown meanwhile may be newer than this gallery.
    } while (shown !== this.shown);
    if (gallery) this.gallery.replace(gallery);
  }
}
