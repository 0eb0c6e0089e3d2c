// The login form: sends what is typed to the API as JSON.

import { one, prefix } from "./dom.js";

const form = /** @type {HTMLFormElement} */ (one("#login"));

/** Return where to go after the login: always a page of this server, whatever `next` holds. A path alone may begin with `//`. */
function target() {
  const wanted = new URL(new URLSearchParams(location.search).get("next") ?? `${prefix}/`, location.origin);
  return wanted.origin === location.origin ? wanted.href : `${prefix}/`;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = one("#login-problem");
  problem.hidden = true;
  const answer = await fetch(`${prefix}/api/v1/session`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  }).catch(() => null);
  if (answer?.ok) {
    location.assign(target());
    return;
  }
  problem.textContent = answer ? (await answer.json()).title : "The server does not answer";
  problem.hidden = false;
});
