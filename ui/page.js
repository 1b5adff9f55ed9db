// A moment of the evidence moves the player there, or shows its frame where nothing plays.
document.addEventListener("click", (event) => {
  const moment = event.target.closest?.("[data-seek]");
  const stage = document.querySelector(".va-stage");
  if (!moment || !stage) return;
  const player = stage.querySelector(".va-player");
  // Its own frame, or the one that is nearest in time.
  const card = moment.closest(".va-card") ?? document.querySelector("#va-what");
  const frames = [...(card?.querySelectorAll(".va-frame") ?? [])];
  const away = (one) => Math.abs(one.dataset.seek - moment.dataset.seek);
  const frame = frames.sort((one, other) => away(one) - away(other))[0]?.querySelector("img");
  if (player.matches("video:not([hidden])")) {
    player.currentTime = Number(moment.dataset.seek);
  } else if (frame && frames.length > 1) {
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
    document.querySelector(`${vaSearches() ? "#va-words input" : "#va-question textarea"}`)?.focus();
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

// Gradio's parts without a name get one; a box that corrects an answer holds the answer alone.
function vaName() {
  for (const [kind, name] of [["submit", "Send"], ["stop", "Stop"]]) {
    const button = document.querySelector(`#va-question .${kind}-button`);
    if (button && button.title !== name) button.title = button.ariaLabel = name;
  }
  for (const box of document.querySelectorAll("#va-chat textarea:not([aria-label])")) {
    box.ariaLabel = "Your wording";
    if (!box.closest(".bot")) continue;
    // As chat.py writes it: the clip's name before, the probability and the doubt after.
    const answer = box.value
      .replace(/^\*\*.+?:\*\* /, "")
      .replace(/\n\n(\d+% likely( · |$))?(Unsure: .*)?$/, "");
    if (answer === box.value) continue;
    box.value = answer;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

// A time in an answer moves the player there, as a moment of the evidence does.
const VA_TIME = /(?<![\d:.])(?:(\d+):)?(\d{1,2}):([0-5]\d(?:\.\d+)?)(?![\d:])/;
function vaTimes() {
  const said = "#va-chat .bot :is(p, li, td)";
  const kinds = { acceptNode: (one) => VA_TIME.test(one.data)
    && one.parentElement.matches(`${said}, ${said} :not(button, a, code)`)
    ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT };
  const chat = document.querySelector("#va-chat");
  if (!chat || document.querySelector("#va-question .stop-button")) return;
  const walker = document.createTreeWalker(chat, NodeFilter.SHOW_TEXT, kinds);
  const found = [];
  while (walker.nextNode()) found.push(walker.currentNode);
  for (let text of found) {
    for (let match = VA_TIME.exec(text.data); match; match = VA_TIME.exec(text.data)) {
      const [whole, hours, minutes, seconds] = match;
      const after = text.splitText(match.index);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "va-time";
      button.dataset.seek = 3600 * (hours ?? 0) + 60 * minutes + Number(seconds);
      button.ariaLabel = `Go to ${whole}`;
      button.textContent = whole;
      text = after.splitText(whole.length);
      after.replaceWith(button);
    }
  }
}
new MutationObserver(vaTimes).observe(document, { childList: true, subtree: true });
new MutationObserver(vaName).observe(document, { childList: true, subtree: true });

function vaLimit(name) {
  return Number(document.querySelector("[data-most-bytes]").dataset[name]);
}

// One line below a part, or above it; "" takes it away.
function vaNote(part, text, place = "after") {
  part.parentElement.querySelector(".va-refused")?.remove();
  if (!text) return;
  const note = document.createElement("p");
  note.className = "va-note va-bad va-refused";
  note.role = "alert";
  note.textContent = text;
  part[place](note);
}

// A text that is too long is neither cut nor sent.
const VA_ASKED = "#va-question textarea, #va-choices textarea, #va-choices input";
function vaTooLong() {
  const most = vaLimit("mostCharacters");
  const long = [...document.querySelectorAll(VA_ASKED)].find((box) => box.value.length > most);
  const ask = document.querySelector("#va-question");
  const [length, limit] = [long?.value.length, most].map((count) => count?.toLocaleString("en"));
  const told = `This has ${length} characters; up to ${limit} are read. Shorten it to send it.`;
  vaNote(ask, long && told, "before");
  return Boolean(long);
}
document.addEventListener("input", (event) => {
  if (event.target.matches?.(VA_ASKED)) vaTooLong();
}, true);
for (const kind of ["keydown", "click"]) {
  document.addEventListener(kind, (event) => {
    const sends = event.type === "click"
      ? event.target.closest?.("#va-question .submit-button")
      : event.key === "Enter" && !event.shiftKey && event.target.matches?.(VA_ASKED);
    if (sends && vaTooLong()) {
      event.stopImmediatePropagation();
      event.preventDefault();
    } else if (sends || event.target.closest?.("#va-try button")) {
      document.querySelector("#va-chat").scrollIntoView({ block: "nearest" });
    }
  }, true);
}

// A file may be dropped anywhere; while it is dragged, the page says where it goes.
function vaDragging(event) {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
  event.preventDefault();
  const left = event.type === "dragleave" && !event.relatedTarget;
  document.body.classList.toggle("va-dropping", event.type !== "drop" && !left);
  const chosen = document.querySelector("#va-choice input:checked")?.parentElement.textContent;
  document.body.dataset.drop = vaSearches()
    ? "Let go: what looks like it is searched for."
    : vaTeaches()
    ? "Let go: it is taught."
    : chosen
    ? `Let go: it opens here. Subtitles go to ${chosen.trim()}.`
    : "Let go: it opens here.";
  if (event.type !== "drop") return;
  event.stopImmediatePropagation();
  vaOpen(event.dataTransfer.files);
}
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, vaDragging, true);
}
function vaOpen(files) {
  const zone = vaSearches() ? "#va-like" : vaTeaches() ? "#va-lesson-drop" : "#va-drop";
  const input = document.querySelector(`${zone} input[type=file]`);
  if (!input) return setTimeout(vaOpen, 300, files); // another upload is still under way
  input.files = files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

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
  const zone = event.target.closest?.("#va-drop, #va-like, #va-lesson-drop");
  if (!zone) return;
  const most = vaLimit("mostBytes");
  const large = [...(event.target.files ?? [])].find((file) => file.size > most);
  const megabytes = (bytes) => Math.round(bytes / 1048576);
  vaNote(zone, large && (
    `${large.name} has ${megabytes(large.size)} MB; up to ${megabytes(most)} MB can be opened. ` +
    "A shorter or smaller version will do."));
  if (!large) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  event.target.value = "";
}
document.addEventListener("change", vaTooLarge, true);
