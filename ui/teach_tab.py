"""The Teach tab: its parts, and which action each calls."""

from collections.abc import Callable
from functools import partial
from typing import Any

from assistant.ui import teaching
from assistant.ui.serving import gr
from assistant.ui.taught import BUTTONS, NEW_TASK
from assistant.ui.teaching import on_the_tab

from assistant.training.teaching.sets import ANSWERS, LABELS

TICK = 1.5  # seconds between two looks at a training
SHOWN = (
    *("teach form", "teach off", "set", "new set", "set name", "lesson form", "lesson question"),
    *("lesson answer", "lesson clips", "take corrections", "counted", "lessons", *BUTTONS),
    *("teach status", "curve", "teach checks", "teach clock", "task", "about", "adapter", "hint"),
)


def column(parts: dict[str, Any]) -> None:
    """From top to bottom; on a wide page what is taught, and beside it the training."""
    with gr.Row(visible=False, elem_id="va-teach") as parts["teach form"]:
        with gr.Column(scale=6, min_width=320):
            _lessons(parts)
        with gr.Column(scale=5, min_width=320, elem_id="va-training"):
            _training(parts)
    parts["teach off"] = gr.HTML("", elem_id="va-teach-off")
    parts["taught"] = gr.Textbox(visible="hidden", elem_id="va-taught")  # see teach.js
    parts["teach clock"] = gr.Timer(TICK, active=False)


def _lessons(parts: dict[str, Any]) -> None:
    parts["set"] = gr.Dropdown([NEW_TASK], value="", label="What to teach", elem_id="va-set")
    with gr.Column(elem_id="va-new-set") as parts["new set"]:
        parts["set name"] = gr.Textbox(
            label="Its name", placeholder="tidy_table", max_lines=1, max_length=60
        )
        parts["set kind"] = gr.Radio(
            [("a label for each clip", LABELS), ("questions and answers", ANSWERS)],
            value=LABELS,
            label="Taught by",
        )
        parts["begin set"] = gr.Button("Begin", variant="primary", size="md")
    with gr.Column(visible=False, elem_id="va-lesson-form") as parts["lesson form"]:
        with gr.Row():
            parts["lesson question"] = gr.Textbox(
                label="Question", placeholder="Is it tidy?", max_length=2000, min_width=140
            )
            parts["lesson answer"] = gr.Textbox(
                label="Label", placeholder="tidy", max_length=500, min_width=140
            )
        parts["lesson clips"] = gr.File(
            label="Clips of it", file_count="multiple", height=84, elem_id="va-lesson-drop"
        )
        parts["take corrections"] = gr.Button("Take what I corrected in the chat", size="sm")
    parts["counted"] = gr.HTML("", elem_id="va-counted")
    parts["lessons"] = gr.HTML("", elem_id="va-lessons")


def _training(parts: dict[str, Any]) -> None:
    with gr.Row(elem_id="va-teach-buttons"):
        for name, label, variant in (
            ("check", "Check", "secondary"),
            ("go on", "Go on", "primary"),
            ("train", "Train", "primary"),
            ("stop training", "Stop", "stop"),
            ("try it", "Try it", "primary"),
            ("export", "Export", "secondary"),
            ("remove set", "Remove", "secondary"),
            ("remove for good", "Remove for good", "stop"),
        ):
            parts[name] = gr.Button(
                label, variant=variant, size="sm", scale=0, min_width=80, visible=False
            )
    parts["teach status"] = gr.HTML("", elem_id="va-teach-status")
    parts["curve"] = gr.HTML("", elem_id="va-curve")
    parts["teach checks"] = gr.HTML("", elem_id="va-teach-checks")


def wire(parts: dict[str, Any], tab: gr.Tab, act: Callable[..., Any], save: str) -> None:
    """``act`` as the page has it; ``save``: JavaScript that writes a file."""
    shows = [parts[name] for name in SHOWN]
    typed = (parts["lesson question"], parts["lesson answer"])
    on_tab = partial(act, shows=shows)
    on_tab(tab.select, teaching.offer)
    on_tab(parts["set"].input, on_the_tab(teaching.choose), parts["set"])
    new = (parts["set name"], parts["set kind"])
    for begun in (parts["begin set"].click, parts["set name"].submit):
        on_tab(begun, on_the_tab(teaching.begin), *new)
    taken = on_the_tab(teaching.take)
    on_tab(parts["lesson clips"].upload, taken, parts["lesson clips"], *typed)
    on_tab(parts["take corrections"].click, on_the_tab(teaching.take_own_corrections))
    every: dict[str, Any] = {"trigger_mode": "multiple"}  # no change of a field is lost
    on_tab(parts["taught"].change, on_the_tab(teaching.edit), parts["taught"], **every)
    for name, action in (
        ("check", teaching.check),
        ("train", teaching.train),
        ("go on", teaching.go_on),
        ("stop training", teaching.stop),
        ("remove set", teaching.ask_to_remove),
        ("remove for good", teaching.remove),
    ):
        on_tab(parts[name].click, on_the_tab(action))
    on_tab(parts["teach clock"].tick, on_the_tab(teaching.look))
    act(parts["try it"].click, on_the_tab(teaching.try_it))
    exported = act(parts["export"].click, on_the_tab(teaching.export))
    exported.then(None, [parts["file"], parts["file name"]], None, js=save)
