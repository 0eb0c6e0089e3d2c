// The list of slides: live changes and keys.

import { all, isTyping, one, readPage, replaceById } from "./dom.js";
import { follow } from "./live.js";

/** Read the list again and show it; slides that changed are marked for a moment. */
async function refresh(/** @type {Map<number, unknown> | null} */ changes) {
  const page = await readPage(location.pathname + location.search);
  const list = page.getElementById("slides");
  if (!list) return;
  const focused = document.activeElement?.closest("tr")?.id;
  for (const id of changes?.keys() ?? []) list.querySelector(`#slide-${id}`)?.classList.add("news");
  replaceById([list]);
  if (focused) /** @type {HTMLElement | null} */ (document.querySelector(`#${focused} a`))?.focus();
}

/** @param {number} by */
function step(by) {
  const links = all("#slides tbody th a");
  const now = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  links[now < 0 ? 0 : Math.min(Math.max(now + by, 0), links.length - 1)]?.focus();
}

const filter = /** @type {HTMLFormElement} */ (one("#filter"));
filter.addEventListener("change", () => filter.requestSubmit());
filter.addEventListener("formdata", ({ formData }) => {
  // Leave empty fields out of the address.
  for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/") one("input[type=search]").focus();
  else if (event.key === "ArrowDown") step(1);
  else if (event.key === "ArrowUp") step(-1);
  else return;
  event.preventDefault();
});

one("#slides").setAttribute("tabindex", "-1");
follow(refresh);
