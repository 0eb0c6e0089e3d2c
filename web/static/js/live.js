// Following the changes while the page can be seen. A hidden page lets go: a browser has six connections to a server
// for all its pages together.

/** Time until another try where the server refused the connection, in milliseconds. */
const RETRY = 10_000;

/**
 * Call back with the ids of slides that changed; with null when anything may have, such as after a lost connection.
 * @param {(slides: Set<number> | null) => Promise<void>} changed called again only when it has finished
 * @param {number} [pause] and not within this time, in milliseconds: what costs the server much is shown less often
 */
export function follow(changed, pause = 300) {
  const sign = document.getElementById("live");
  /** @type {EventSource | null} */
  let source = null;
  /** @type {Set<number>} */
  let waiting = new Set();
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
        const told = everything ? null : waiting;
        waiting = new Set();
        everything = false;
        await changed(told);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    } catch {
      show("off", "not live");
    } finally {
      isBusy = false;
    }
  };

  const open = () => {
    source = new EventSource("/api/v1/changes");
    source.addEventListener("ready", () => {
      show("on", "live");
      // What is shown was read a moment ago; later, anything may have happened since.
      everything ||= !isFirst;
      isFirst = false;
      void work();
    });
    source.addEventListener("slides", (event) => {
      for (const slide of JSON.parse(event.data).slides) waiting.add(slide);
      void work();
    });
    source.addEventListener("error", () => {
      show("off", "not live");
      // A browser tries again by itself only where a connection was lost, not where none was given.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      setTimeout(look, RETRY);
    });
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
