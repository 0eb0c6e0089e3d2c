// Sets the colours before anything is drawn. It is no module, so that the page waits for it.
"use strict";
{
  const chosen = localStorage.getItem("smearcount-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
