// A moment of the evidence moves the player there, or shows its frame where nothing plays.
document.addEventListener("click", (event) => {
  const moment = event.target.closest?.("[data-seek]");
  const stage = document.querySelector(".va-stage");
  if (!moment || !stage) return;
  const player = stage.querySelector(".va-player");
  const frame = moment.querySelector("img");
  if (player.matches("video:not([hidden])")) {
    player.currentTime = Number(moment.dataset.seek);
  } else if (frame && moment.parentElement.children.length > 1) {
    const instead = stage.querySelector(".va-instead");
    const picture = instead.querySelector("img");
    picture.src = frame.src;
    player.hidden = true;
    instead.hidden = picture.hidden = false;
  }
  const box = stage.getBoundingClientRect();
  if (box.bottom < 80 || box.top > innerHeight - 80) {
    stage.scrollIntoView({ behavior: "smooth", block: "center" });
  }
});

// A format that the browser cannot play: said, instead of a black box.
function vaCannotPlay(event) {
  const player = event.target;
  if (!player.matches?.(".va-player") || (event.type !== "error" && player.videoWidth)) return;
  player.hidden = true;
  player.parentElement.querySelector(".va-instead").hidden = false;
}
for (const kind of ["error", "loadedmetadata"]) document.addEventListener(kind, vaCannotPlay, true);

// Escape stops an answer; "/" goes to the question.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") document.querySelector("#va-question .stop-button")?.click();
  if (event.key === "/" && !typing) {
    event.preventDefault();
    document.querySelector("#va-question textarea")?.focus();
  }
});

// What this tab is known by: a page that is loaded again finds its conversation.
function vaToken() {
  let token = sessionStorage.getItem("assistant");
  if (!token) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    token = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("assistant", token);
  }
  return token;
}

// The buttons beside the question have no name of their own.
function vaName() {
  for (const [kind, name] of [["submit", "Send"], ["stop", "Stop"]]) {
    const button = document.querySelector(`#va-question .${kind}-button`);
    if (button && button.title !== name) button.title = button.ariaLabel = name;
  }
}
new MutationObserver(vaName).observe(document, { childList: true, subtree: true });

// Writes a file from the page itself, so that nothing of it stays on the server; fetches a zip.
function vaSave(text, name) {
  if (!text) return;
  const link = document.createElement("a");
  const fetched = text.startsWith("gradio_api/file=");
  link.href = fetched ? text : URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  if (!fetched) setTimeout(() => URL.revokeObjectURL(link.href), 10000);
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
