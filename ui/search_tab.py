"""The Search tab: its parts, and which action each calls."""

from collections.abc import Callable
from functools import partial
from typing import Any

from assistant.ui import searching
from assistant.ui.serving import gr

SHOWN = ("hint", "search status", "hits", "stills")


def column(parts: dict[str, Any]) -> None:
    """From top to bottom."""
    with gr.Column(visible=False, elem_id="va-search") as parts["search form"]:
        with gr.Row(elem_id="va-query"):
            parts["words"] = gr.Textbox(
                label="Find",
                placeholder="What is to be seen or heard: a man playing drums",
                show_label=False,
                lines=1,
                max_lines=1,
                max_length=1000,
                submit_btn=True,
                scale=6,
                min_width=240,
                elem_id="va-words",
                html_attributes=gr.InputHTMLAttributes(enterkeyhint="search"),
            )
            parts["like"] = gr.File(
                label="A picture or a clip", height=64, scale=3, min_width=220, elem_id="va-like"
            )
        with gr.Row(elem_id="va-among"):
            parts["kinds"] = gr.CheckboxGroup(
                [(label, kind) for kind, label in searching.KINDS.items()],
                value=[*searching.KINDS],
                label="Among",
                scale=4,
                min_width=260,
            )
            parts["by"] = gr.Dropdown(
                [*searching.BY],
                value=searching.BY[0],
                label="By",
                scale=2,
                min_width=90,
            )
            parts["index"] = gr.Dropdown([], label="Index", scale=3, min_width=90)
            parts["top"] = gr.Dropdown(
                [*searching.TOPS], value=12, label="Results", scale=2, min_width=90
            )
    parts["search status"] = gr.HTML("", elem_id="va-search-status")
    parts["stills"] = gr.HTML("", elem_id="va-stills")
    parts["hits"] = gr.HTML("", elem_id="va-hits")


def moment(parts: dict[str, Any]) -> None:
    """In the chat: what of the clip was found, and the way to all of it."""
    with gr.Row(elem_id="va-moment"):
        parts["moment"] = gr.HTML("")
        parts["whole"] = gr.Button("Ask about all of it", size="sm", scale=0, visible=False)


def wire(parts: dict[str, Any], tab: gr.Tab, act: Callable[..., Any]) -> None:
    """``act`` as the page has it."""
    shows = [parts[name] for name in SHOWN]
    how = [parts[name] for name in ("index", "kinds", "by", "top")]
    offered = [*shows, parts["search form"], parts["index"]]
    last: dict[str, Any] = {"trigger_mode": "always_last"}  # what was chosen last is shown
    like, likes = parts["like"], [*shows, parts["like"]]
    changed = partial(gr.on, [part.input for part in how])
    for searched in (
        act(tab.select, searching.offer, shows=offered),
        act(parts["words"].submit, searching.search, parts["words"], *how, shows=shows, **last),
        act(like.upload, searching.search_like, like, *how, shows=likes, **last),
        act(changed, searching.again, *how, shows=shows, **last),
    ):
        act(searched.then, searching.add_pictures, shows=shows, trigger_mode="multiple")
