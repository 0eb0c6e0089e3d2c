// The report of a slide: its button prints it.

document.getElementById("print")?.addEventListener("click", () => print());
