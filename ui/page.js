// A moment of the evidence moves the player there.
document.addEventListener("click", (event) => {
  const moment = event.target.closest?.("[data-seek]");
  const player = document.querySelector("video.va-player");
  if (!moment || !player) return;
  player.currentTime = Number(moment.dataset.seek);
  const box = player.getBoundingClientRect();
  if (box.bottom < 80 || box.top > innerHeight - 80) {
    player.scrollIntoView({ behavior: "smooth", block: "center" });
  }
});

// Escape stops an answer; "/" goes to the question.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") document.querySelector("#va-question .stop-button")?.click();
  if (event.key === "/" && !typing) {
    event.preventDefault();
    document.querySelector("#va-question textarea")?.focus();
  }
});

// Writes a file from the page itself, so that nothing of it stays on the server.
function vaSave(text, name) {
  if (!text) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Says at once what the server would refuse only after the whole upload.
function vaTooLarge(event) {
  const zone = event.target.closest?.("#va-drop");
  if (!zone) return;
  const files = event.dataTransfer?.files ?? event.target.files ?? [];
  const most = Number(document.querySelector("[data-most-bytes]").dataset.mostBytes);
  const large = [...files].find((file) => file.size > most);
  zone.parentElement.querySelector(".va-refused")?.remove();
  if (!large) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  if (event.target.files) event.target.value = "";
  const note = document.createElement("p");
  note.className = "va-note va-bad va-refused";
  note.role = "alert";
  const megabytes = (bytes) => Math.round(bytes / 1048576);
  note.textContent =
    `${large.name} has ${megabytes(large.size)} MB; up to ${megabytes(most)} MB can be opened. ` +
    "A shorter or smaller version will do.";
  zone.after(note);
}
for (const kind of ["change", "drop"]) document.addEventListener(kind, vaTooLarge, true);
