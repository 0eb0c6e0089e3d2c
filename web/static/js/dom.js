// Helpers that find, make and replace parts of a page.

/** The path under which a proxy shows this server; empty at its root. */
export const prefix = document.documentElement.dataset.prefix ?? "";

/**
 * Return the element that a selector finds; throws if the page has none, which is a defect.
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {HTMLElement}
 */
export function one(selector, within = document) {
  const found = within.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return found;
}

/**
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {HTMLElement[]}
 */
export function all(selector, within = document) {
  return /** @type {HTMLElement[]} */ ([...within.querySelectorAll(selector)]);
}

/**
 * Make an element; strings among the children become text, never markup.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Read something from this server. If the login has ended, the browser goes to the login page, which leads back here.
 * @param {string} address
 * @param {string} type the media type that is wanted
 * @param {"GET" | "POST"} [method] POST where the server does something for it
 * @returns {Promise<Response>}
 */
export async function read(address, type, method = "GET") {
  const token = document.querySelector('meta[name="csrf-token"]')?.getAttribute("content");
  const answer = await reached(address, { method, headers: { Accept: type, ...(token && method === "POST" ? { "X-CSRF-Token": token } : {}) } });
  if (answer.redirected && new URL(answer.url).pathname === `${prefix}/login`) {
    location.assign(`${prefix}/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  if (!answer.ok || answer.redirected) throw new Error(`the server answers ${answer.status}`);
  return answer;
}

/**
 * Parse the text of a page. Nothing in the document runs or loads before it is put into the page that is shown.
 * @param {string} text
 * @returns {Document}
 */
export function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

/**
 * Read a page of this server and return it without showing it.
 * @param {string} address
 * @param {"GET" | "POST"} [method]
 * @returns {Promise<Document>}
 */
export async function readPage(address, method = "GET") {
  return parsed(await (await read(address, "text/html", method)).text());
}

/**
 * Replace elements with those of the same id; the focus and open <details> stay.
 * @param {Iterable<Element>} elements each with an id
 */
export function replaceById(elements) {
  const focused = document.activeElement?.id;
  const open = all("details[open][id]").map((details) => details.id);
  for (const element of [...elements]) document.getElementById(element.id)?.replaceWith(element);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  localTimes();
}

/**
 * Show the times of a page, which are written in UTC, in the local time zone.
 * @param {ParentNode} [within]
 */
export function localTimes(within = document) {
  for (const time of /** @type {NodeListOf<HTMLTimeElement>} */ (within.querySelectorAll("time:not([title])"))) {
    const at = new Date(time.dateTime);
    const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
    time.title = time.textContent ?? "";
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    time.textContent = `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
  }
}

/** The server does not answer, or something else answers in its place. */
export class Lost extends Error {}

/**
 * Send a request to this server. A banner says so if the server is not reached, until it is again.
 * @param {string} address
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} an answer of the server itself
 */
export async function reached(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw lost("The server does not answer.");
  }
  // Our own answers name their policy, those of a proxy in front do not; its pages of errors are HTML.
  if (answer.status >= 500 && !answer.headers.has("Content-Security-Policy")) {
    throw lost(`The server cannot be reached: what stands in front of it answers ${answer.status}.`);
  }
  found();
  return answer;
}

/**
 * Show the banner that the server is lost.
 * @param {string} why
 * @returns {Lost}
 */
export function lost(why) {
  const banner = document.getElementById("lost");
  const text = `${why} Nothing that you do now is kept, and what you see may be old. This page tries again by itself.`;
  if (banner && (banner.hidden || banner.textContent !== text)) {
    banner.textContent = text;
    banner.hidden = false;
  }
  return new Lost(why);
}

/** Take the banner away: the server answers. */
export function found() {
  const banner = document.getElementById("lost");
  if (banner) banner.hidden = true;
}

/** How long a notice stays, in milliseconds. */
const NOTICE = 6000;

/**
 * Show the user a notice, which screen readers read out.
 * @param {string} text
 * @param {"own" | "news" | "trouble"} [kind] a notice of the user's own action goes when the next one comes
 */
export function say(text, kind = "news") {
  for (const earlier of kind === "own" ? all("#notices .own") : []) earlier.remove();
  const notice = make("p", { class: `notice ${kind}`, role: kind === "trouble" ? "alert" : "none" }, text);
  const close = make("button", { type: "button", class: "quiet", "aria-label": "Close" }, "×");
  close.addEventListener("click", () => notice.remove());
  notice.append(close);
  const notices = one("#notices");
  notices.append(notice);
  while (notices.childElementCount > 4) notices.firstElementChild?.remove();
  setTimeout(() => notice.remove(), kind === "trouble" ? 3 * NOTICE : NOTICE);
}

/**
 * Show a dialog with a form and return the value of the button that closed it; empty if it was closed otherwise.
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<string>}
 */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

/** Return whether a key goes to a field that is typed into or chosen from. */
export function isTyping(/** @type {Event} */ event) {
  const target = event.target;
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
