"""The timeline's parts under the player, and which action each calls."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from assistant.ui import scenes
from assistant.ui.serving import gr

SHOWN = ("scenes", "scenes status", "find scenes", "stop scenes", "scenes form", "when", "hint")
LABELS = {"chapters": "Save chapters", "csv": "CSV", "events": "JSON"}


def scenes_column(parts: dict[str, Any]) -> None:
    """From top to bottom."""
    parts["scenes"] = gr.HTML("", elem_id="va-scenes")
    with gr.Row(visible=False, elem_id="va-scenes-form") as parts["scenes form"]:
        parts["when"] = gr.Textbox(
            label="Find when",
            placeholder="Find when … a dog runs",
            show_label=False,
            lines=1,
            max_lines=1,
            max_length=300,
            submit_btn=True,
            scale=6,
            min_width=200,
            elem_id="va-when",
            html_attributes=gr.InputHTMLAttributes(enterkeyhint="search"),
        )
        for kind, label in LABELS.items():
            parts[f"save {kind}"] = gr.Button(
                label, size="sm", scale=0, min_width=64, elem_id=f"va-save-{kind}"
            )
    with gr.Row(elem_id="va-scenes-make"):
        parts["scenes status"] = gr.HTML("", elem_id="va-scenes-status")
        parts["find scenes"] = gr.Button("Find the scenes", size="sm", scale=0, visible=False)
        parts["stop scenes"] = gr.Button("Stop", size="sm", scale=0, visible=False)


def wire_scenes(
    parts: dict[str, Any],
    act: Callable[..., Any],
    opened: Sequence[Any],
    asked: Sequence[Any],
    save: str,
) -> None:
    """``act`` as the page has it.

    Args:
        opened: after which of its events a clip was opened. asked: after which another answer is
            shown. save: JavaScript that writes a file.
    """
    shows = [parts[name] for name in SHOWN]
    many: dict[str, Any] = {"trigger_mode": "multiple"}  # each clip has its own
    for made in (
        *(act(event.then, scenes.begin, shows=shows, **many) for event in opened),
        act(parts["find scenes"].click, scenes.make, shows=shows, **many),
    ):
        act(made.then, scenes.follow, shows=shows, **many)
    for event in asked:
        act(event.then, scenes.follow, shows=shows, **many)
    act(parts["stop scenes"].click, scenes.stop, shows=shows)
    act(parts["when"].submit, scenes.find, parts["when"], shows=shows, **many)
    for kind in LABELS:
        saved = act(parts[f"save {kind}"].click, partial(scenes.save, kind=kind))
        saved.then(None, [parts["file"], parts["file name"]], None, js=save)
