// Whether the Search tab is on show.
function vaSearches() {
  return Boolean(document.querySelector("#va-search")?.checkVisibility());
}

// A found moment plays, muted and again and again, while the pointer or the keyboard is at it.
const VA_NO_HOVER = matchMedia("(hover: none)");
const VA_CALM = matchMedia("(prefers-reduced-motion: reduce)");
let vaPlayed = null;
function vaPlay(hit) {
  if (hit === vaPlayed) return;
  vaPlayed?.querySelector("video")?.remove();
  vaPlayed = hit;
  if (!hit?.dataset.src) return;
  const [from, to] = [Number(hit.dataset.from), Number(hit.dataset.to)];
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, src: `${hit.dataset.src}#t=${from}` });
  const begin = () => { video.currentTime = from; video.play().catch(() => {}); };
  video.addEventListener("timeupdate", () => { if (video.currentTime >= to) begin(); });
  video.addEventListener("ended", begin);
  video.addEventListener("error", () => video.remove()); // its picture stays
  hit.querySelector(".va-still").append(video);
  video.play().catch(() => {});
}
document.addEventListener("pointerover", (event) => {
  if (event.pointerType !== "touch" && !VA_CALM.matches) vaPlay(event.target.closest?.(".va-hit"));
});
document.addEventListener("focusin", (event) => {
  const hit = event.target.closest?.(".va-hit:focus-visible");
  if (hit && !VA_CALM.matches) vaPlay(hit);
});
document.addEventListener("focusout", (event) => {
  if (event.target === vaPlayed && !event.target.matches(":hover")) vaPlay(null);
});

// A click opens it in the chat; where nothing hovers, a tap plays it, and the button below opens it.
document.addEventListener("click", (event) => {
  const part = event.target.closest?.("[data-found]");
  if (!part) return;
  if (VA_NO_HOVER.matches && part.dataset.src) {
    vaPlay(part === vaPlayed ? null : part);
    return;
  }
  vaPlay(null);
  const box = document.querySelector("#va-picked textarea, #va-picked input");
  box.value = `${part.dataset.found} ${Date.now()}`;
  box.dispatchEvent(new Event("input", { bubbles: true }));
});
