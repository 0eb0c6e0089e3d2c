// The printed report: the button that prints it.

document.getElementById("print")?.addEventListener("click", () => print());
