// Whether the Teach tab is on show.
function vaTeaches() {
  return Boolean(document.querySelector("#va-teach")?.checkVisibility());
}

// A field of a card was changed, or its example is to be removed: the server is told.
function vaTaught(event) {
  const part = event.target.closest?.("[data-lesson]");
  if (!part || (event.type === "click") !== (part.dataset.field === "remove")) return;
  const box = document.querySelector("#va-taught textarea, #va-taught input");
  const { lesson, field } = part.dataset;
  box.value = JSON.stringify({ lesson, field, text: part.value ?? "", at: Date.now() });
  box.dispatchEvent(new Event("input", { bubbles: true }));
}
for (const kind of ["change", "click"]) document.addEventListener(kind, vaTaught);
