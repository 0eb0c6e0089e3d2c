// Following the live changes while the page is visible. A hidden page disconnects, because a browser has only six
// connections to a server for all of its pages together.

import { found, prefix, reached } from "./dom.js";

/**
 * @typedef {object} Change a slide that people alone have changed
 * @property {number} last_review its newest review; 0 if there was none lately
 * @property {number} last_event its newest comment, sign-off or reopening; 0 if there was none lately
 */

/** @typedef {Map<number, Change | null>} Changes by the slide's id; null where images came or were dealt with too */

/** Milliseconds until the next try if the server refused the connection. */
const RETRY = 10_000;

/**
 * Call back with what changed; with null when anything may have changed, such as after a lost connection.
 * @param {(changes: Changes | null) => Promise<void>} changed not called again before it has finished
 * @param {number} [pause] milliseconds between two calls: what costs the server much is shown less often
 */
export function follow(changed, pause = 300) {
  const sign = document.getElementById("live");
  /** @type {EventSource | null} */
  let source = null;
  /** @type {Changes} */
  let waiting = new Map();
  let everything = false;
  let isBusy = false;
  let isFirst = true;

  const show = (/** @type {string} */ state, /** @type {string} */ text) => {
    if (!sign) return;
    sign.dataset.state = state;
    sign.textContent = text;
  };

  const work = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      while (everything || waiting.size) {
        const changes = everything ? null : waiting;
        waiting = new Map();
        everything = false;
        await changed(changes);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    } catch {
      show("off", "not live");
    } finally {
      isBusy = false;
    }
  };

  const open = () => {
    source = new EventSource(`${prefix}/api/v1/changes`);
    source.addEventListener("ready", () => {
      found();
      show("on", "live");
      // The page was read a moment before the first connection; before a later one, anything may have happened.
      everything ||= !isFirst;
      isFirst = false;
      void work();
    });
    source.addEventListener("slides", (event) => {
      for (const [slide, change] of parse(event.data)) {
        waiting.set(slide, waiting.has(slide) ? merge(waiting.get(slide) ?? null, change) : change);
      }
      void work();
    });
    source.addEventListener("error", () => {
      show("off", "not live");
      void seek();
      // A browser tries again by itself after a lost connection, but not after a refused one.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      setTimeout(look, RETRY);
    });
  };

  /** Find out whether the server is lost or merely has no place for another follower; the banner says the former. */
  const seek = async () => {
    if (document.hidden) return;
    await reached(`${prefix}/healthz`).catch(() => undefined);
  };

  const close = () => {
    source?.close();
    source = null;
  };

  const look = () => {
    if (document.hidden) close();
    else if (source === null) open();
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", close);
  addEventListener("pageshow", look);
  look();
}

/**
 * Read the data of an event.
 * @param {string} data
 * @returns {Changes}
 */
function parse(data) {
  /** @type {{slides: number[], reviewed: (Change & {slide: number})[]}} */
  const { slides, reviewed } = JSON.parse(data);
  /** @type {Changes} */
  const changes = new Map(slides.map((slide) => [slide, null]));
  for (const change of reviewed) changes.set(change.slide, change);
  return changes;
}

/**
 * Return two changes of one slide as one.
 * @param {Change | null} earlier
 * @param {Change | null} later
 * @returns {Change | null}
 */
function merge(earlier, later) {
  if (earlier === null || later === null) return null;
  return {
    last_review: Math.max(earlier.last_review, later.last_review),
    last_event: Math.max(earlier.last_event, later.last_event),
  };
}
