// The timeline follows the player, and tells what is pointed at, else the scene that plays.
function vaFollow(event) {
  const times = document.querySelector(".va-times");
  if (!times) return;
  const now = document.querySelector("video.va-player")?.currentTime ?? 0;
  const share = Math.min(1, now / times.dataset.seconds);
  times.style.setProperty("--now", share);
  if (event.type === "seeking") { // into view
    const scroll = times.querySelector(".va-scroll");
    const away = share * scroll.scrollWidth - scroll.scrollLeft;
    if (away < 0 || away > scroll.clientWidth) scroll.scrollLeft += away - scroll.clientWidth / 4;
  }
  const scenes = [...times.querySelectorAll(".va-scene")];
  const current = scenes.findLast((scene) => scene.dataset.seek <= now + 0.01) ?? scenes[0];
  for (const scene of scenes) {
    if (scene === current) scene.setAttribute("aria-current", "true");
    else scene.removeAttribute("aria-current");
  }
  const hovered = VA_NO_HOVER.matches ? null : times.querySelector("[data-told]:hover");
  const pointed = hovered ?? times.querySelector("[data-told]:focus-visible") ?? current;
  const told = times.querySelector(".va-told-scene");
  if (told.textContent !== pointed.dataset.told) told.textContent = pointed.dataset.told;
}
for (const kind of ["timeupdate", "seeking", "loadedmetadata"]) {
  document.addEventListener(kind, vaFollow, true);
}
for (const kind of ["pointerover", "focusin", "focusout"]) document.addEventListener(kind, vaFollow);
new MutationObserver(vaFollow).observe(document, { childList: true, subtree: true });
