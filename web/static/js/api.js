// Sends changes to the server.

import { Lost, prefix, reached } from "./dom.js";
import { reviewer } from "./reviewer.js";

/**
 * @typedef {object} Review a person's call of a cell
 * @property {number} id
 * @property {number} cell
 * @property {string | null} class
 * @property {string} was
 * @property {string} became
 * @property {string} reviewer
 * @property {string | null} reason
 * @property {string} reviewed_at
 */

/**
 * @typedef {object} Details a problem, as in RFC 9457
 * @property {string} type
 * @property {string} title
 * @property {number} status
 * @property {string} [detail]
 * @property {{cell: number, reviews: Review[]}[]} [conflicts]
 */

/** The server could not do what it was asked. */
export class Problem extends Error {
  /** @param {Details} details */
  constructor(details) {
    super(details.detail ? `${details.title}: ${details.detail}` : details.title);
    this.details = details;
  }

  /** @param {string} kind */
  is(kind) {
    return this.details.type === `/problems/${kind}`;
  }
}

/** Nothing was sent, because the person who was asked for their name gave none. */
export class Cancelled extends Error {}

/**
 * Send a request and return its answer.
 * @param {"POST" | "DELETE"} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function send(method, path, body) {
  const name = await reviewer();
  if (name === null) throw new Cancelled("no name");
  const token = document.querySelector('meta[name="csrf-token"]')?.getAttribute("content");
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  // A header can hold only the letters of Latin-1.
  if (name) headers["X-Reviewer"] = encodeURIComponent(name);
  if (token) headers["X-CSRF-Token"] = token;
  let answer;
  try {
    answer = await reached(prefix + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    throw new Problem({ type: "", title: error.message, status: 0, detail: "nothing was changed" });
  }
  if (answer.status === 401 && token) location.assign(`${prefix}/login?next=${encodeURIComponent(location.pathname)}`);
  if (answer.status === 204) return null;
  const content = await answer.json();
  if (!answer.ok) throw new Problem(content);
  return content;
}
