"""The page: its layout, from top to bottom, and which action each part of it calls."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from assistant.ui import (
    asking,
    cards,
    keeping,
    opening,
    samples,
    search_tab,
    seeing,
    showing,
    teach_tab,
)
from assistant.ui import room as rooms
from assistant.ui.answering import answer_once
from assistant.ui.room import Room
from assistant.ui.scenes_part import scenes_column, wire_scenes
from assistant.ui.serving import DOOR, THREADS, Page, gr, text_of
from assistant.ui.settings import (
    CHOICES,
    DECODING,
    FREE,
    LONGEST_ANSWER,
    LONGEST_QUESTION,
    MISSING,
    MOST_FRAMES,
    PRECISIONS,
    YES_NO,
    missing_sources,
)
from assistant.ui.view import TRIES, Parts, Props

from assistant.sources import SOURCES

SAVE = "(text, name) => vaSave(text, name)"
SETTINGS = ("task", "model", "adapter", "precision", "frames", "decoding", "longest", "sources")
ANSWERS = ("chat", "question", "hint", "evidence", "inside")
SEEN = ("seen", "seeing", "see all", "hint")
Action = Callable[..., Iterator[Parts] | Parts]
Part = gr.components.Component


def build(room: Room) -> gr.Blocks:
    """The page of ``room``; no model is loaded until a clip is opened."""
    os.environ["GRADIO_TEMP_DIR"] = str(room.uploads)  # of this process: where uploads arrive
    with Page(title="assistant", fill_width=True, analytics_enabled=False) as page:
        parts: dict[str, Any] = {}
        most = room.options.limits.bytes
        head = text_of("head.html").replace("MOST_BYTES", str(most))
        gr.HTML(head.replace("MOST_CHARACTERS", str(LONGEST_QUESTION)), elem_id="va-head")
        parts["picked"] = gr.Textbox(visible="hidden", elem_id="va-picked")  # see search.js
        with gr.Tabs(elem_id="va-tabs") as parts["tabs"]:
            with gr.Tab("Chat", id=showing.CHAT) as chat_tab, gr.Row(elem_id="va-main"):
                with gr.Column(scale=5, min_width=320, elem_id="va-left"):
                    _clip_column(parts)
                    _settings(parts)
                with gr.Column(scale=7, min_width=320, elem_id="va-right"):
                    _chat_column(parts)
            with gr.Tab("Search") as parts["search tab"]:
                search_tab.column(parts)
            with gr.Tab("Teach") as teach:
                teach_tab.column(parts)
        act = _wire(page, room, parts)
        act(chat_tab.select, rooms.offered)
        teach_tab.wire(parts, teach, act, SAVE)
        gr.api(_door(room), api_name=DOOR, concurrency_limit=None)
    page.queue(default_concurrency_limit=None, max_size=room.options.most_waiting + THREADS)
    return page


def _clip_column(parts: dict[str, Any]) -> None:
    parts["player"] = gr.HTML(cards.player(None), elem_id="va-player")
    scenes_column(parts)
    parts["thumbnails"] = gr.HTML("", elem_id="va-thumbnails")  # a style, so that clips play on
    with gr.Row(elem_id="va-clips", visible=True):
        parts["clips"] = gr.Radio(
            [], label="Ask about", visible=False, container=False, scale=8, elem_id="va-choice"
        )
        parts["close"] = gr.Button(
            "Close clip", size="sm", visible=False, scale=0, min_width=96, elem_id="va-close"
        )
    search_tab.moment(parts)
    parts["said"] = gr.HTML("", elem_id="va-said")
    parts["drop"] = gr.File(
        label="Clips and subtitles", file_count="multiple", height=84, elem_id="va-drop"
    )
    parts["status"] = gr.HTML("", elem_id="va-status")
    with gr.Row(elem_id="va-samples"):
        gr.HTML('<span class="va-seen">Examples</span>')
        for label in samples.samples():
            parts[f"sample {label}"] = gr.Button(label, size="sm", scale=0, min_width=80)


def _chat_column(parts: dict[str, Any]) -> None:
    parts["chat"] = gr.Chatbot(
        [],
        label="Conversation",
        show_label=False,
        height="min(52vh, 560px)",
        editable="all",
        buttons=["copy", "copy_all"],
        placeholder=cards.welcome(),
        latex_delimiters=[],
        elem_id="va-chat",
    )
    with gr.Column(elem_id="va-ask"):
        parts["hint"] = gr.HTML("", elem_id="va-hint")
        parts["question"] = gr.Textbox(
            label="Question",
            placeholder="Ask about the clip",
            show_label=False,
            lines=1,
            max_lines=6,
            submit_btn=True,
            elem_id="va-question",
            html_attributes=gr.InputHTMLAttributes(enterkeyhint="send"),
        )
    with gr.Row(elem_id="va-try"):
        for number in range(TRIES):
            parts[f"example {number}"] = gr.Button("", size="sm", scale=0, visible=False)
    with gr.Row(elem_id="va-how"):
        parts["task"] = gr.Dropdown(
            [("Auto", "auto")], value="auto", label="Task", scale=2, min_width=150
        )
        parts["form"] = gr.Radio(
            [FREE, YES_NO, CHOICES], value=FREE, label="Answer", scale=4, min_width=260
        )
        parts["choices"] = gr.Textbox(
            label="Choices, parted by commas",
            placeholder="red, green, blue",
            visible=False,
            elem_id="va-choices",
        )
    parts["about"] = gr.HTML("", elem_id="va-about")
    parts["evidence"] = gr.HTML("", elem_id="va-evidence")
    parts["seen"] = gr.HTML("", elem_id="va-what")
    parts["seeing"] = gr.HTML("", elem_id="va-seeing")
    parts["see all"] = gr.Button("", size="sm", visible=False, elem_id="va-see-all")
    with gr.Accordion("Inside: how far it looked, what was sent", open=False):
        parts["inside"] = gr.HTML(cards.inside(None), elem_id="va-inside")
    with gr.Row(elem_id="va-keep"):
        parts["save json"] = gr.Button("Save", size="sm", scale=0, min_width=80)
        parts["save markdown"] = gr.Button("Save as text", size="sm", scale=0, min_width=110)
        parts["save corrections"] = gr.Button("Save corrections", size="sm", scale=0, min_width=130)
        parts["load"] = gr.UploadButton("Load", size="sm", scale=0, min_width=80)
        parts["clear"] = gr.Button("Clear", size="sm", scale=0, min_width=80)
        parts["undo"] = gr.Button("Undo clear", size="sm", scale=0, min_width=80, visible=False)
    parts["token"] = gr.Textbox(visible="hidden")
    parts["file"] = gr.Textbox(visible="hidden")
    parts["file name"] = gr.Textbox(visible="hidden")


def _settings(parts: dict[str, Any]) -> None:
    with gr.Accordion("Settings", open=False, elem_id="va-settings"):
        parts["adapter"] = gr.Dropdown([("the task's own", "auto")], value="auto", label="Adapter")
        with gr.Row():
            parts["model"] = gr.Dropdown([], label="Model", min_width=140)
            parts["precision"] = gr.Dropdown(
                [*PRECISIONS], value="auto", label="Precision", min_width=140
            )
        parts["frames"] = gr.Slider(1, MOST_FRAMES, value=8, step=1, label="Frames looked at")
        parts["decoding"] = gr.Radio(
            [*DECODING],
            value="careful",
            label="Answers",
            info="Careful weighs several and comes whole; quick comes word by word. "
            "Nothing is drawn at random, so there is no seed.",
        )
        parts["longest"] = gr.Slider(
            0,
            LONGEST_ANSWER,
            value=0,
            step=8,
            label="Longest answer, tokens",
            info="0: the task's own",
        )
        told = {name: f"{kind.label}: {kind.thing} {kind.about}" for name, kind in SOURCES.items()}
        missing = missing_sources()
        parts["sources"] = gr.CheckboxGroup(
            [(text, name) for name, text in told.items() if name not in missing],
            value=[name for name in SOURCES if name not in missing],
            label="What the model reads beside the picture",
            elem_id="va-sources",
        )
        for name, command in missing.items():
            gr.Checkbox(False, label=told[name], info=MISSING.format(command), interactive=False)
        parts["transcribe"] = gr.Radio(
            [("without subtitles", "auto"), ("always", "yes"), ("never", "no")],
            value="auto",
            label="Listen to the clip",
            info=None if samples.can_listen() else MISSING.format(samples.LISTENING),
            interactive=samples.can_listen(),
        )
        parts["loaded"] = gr.HTML("", elem_id="va-loaded")
        with gr.Row():
            parts["measure"] = gr.Button("What is loaded?", size="sm")
            parts["doctor"] = gr.Button("Check this machine", size="sm")
        parts["checks"] = gr.HTML("", elem_id="va-checks")


def _wire(page: gr.Blocks, room: Room, parts: dict[str, Any]) -> Callable[..., Any]:
    """Which action each part calls; what lets one more call another."""

    def run(action: Action, request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        yield {parts["hint"]: gr.skip()}  # Gradio takes a silent function for a broken one
        try:
            changes = action(room, room.visitors.of(request.session_hash), *values)
            for changed in [changes] if isinstance(changes, dict) else changes:
                if changed:
                    yield {parts[name]: _update(value) for name, value in changed.items()}
        except Exception as error:  # a page that says nothing would be worse
            yield {parts[name]: value for name, value in rooms.excuse(room, error).items()}

    def act(
        trigger: Any, action: Action, *inputs: Part, shows: Sequence[Part] = (), **how: Any
    ) -> Any:
        def called(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
            yield from run(action, request, *values)

        return trigger(called, [*inputs], [*(shows or parts.values())], **quiet, **how)

    def act_on(trigger: Any, action: Action) -> Any:
        """Like ``act``; the action gets what was clicked or changed."""

        def called(request: gr.Request, event: gr.EventData) -> Iterator[dict[Any, Any]]:
            yield from run(action, request, event)

        return trigger(called, None, [*parts.values()], **quiet)

    def arrive(request: gr.Request, token: str) -> Iterator[dict[Any, Any]]:
        room.visitors.join(request.session_hash, token)
        yield from run(rooms.arrive, request)

    def leave(request: gr.Request) -> None:
        room.visitors.leave(request.session_hash)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    # Fewer parts are sooner shown.
    answers, seen = ([parts[name] for name in names] for names in (ANSWERS, SEEN))
    question, chat, how = parts["question"], parts["chat"], (parts["form"], parts["choices"])
    arrived = page.load(arrive, parts["token"], [*parts.values()], js="() => vaToken()", **quiet)
    page.unload(leave)
    tries = [parts[f"example {number}"] for number in range(TRIES)]
    opens, asks = [], [act(chat.clear, asking.clear), act(parts["clear"].click, asking.clear)]
    for changed in (
        act(parts["drop"].upload, opening.take, parts["drop"]),
        *(
            act(parts[f"sample {label}"].click, partial(opening.take_sample, label=label))
            for label in samples.samples()
        ),
        act(parts["clips"].input, opening.choose, parts["clips"]),
        act(parts["close"].click, opening.remove),
        act(parts["transcribe"].input, opening.listen, parts["transcribe"]),
        act(parts["picked"].change, showing.open_hit, parts["picked"]),
        act(parts["whole"].click, showing.whole),
        *([act(arrived.then, showing.begin)] if room.options.begin else []),
    ):
        suggested = act(changed.then, rooms.suggest, shows=[*tries, parts["hint"]])
        opens.append(act(suggested.then, seeing.see, shows=seen))
    search_tab.wire(parts, parts["search tab"], act)
    for asked in (
        act(question.submit, asking.ask, question, *how, shows=answers),
        *(act(button.click, asking.ask, button, *how, shows=answers) for button in tries),
        act_on(chat.retry, lambda room, who, event: asking.retry(room, who, event.index)),
        act_on(
            chat.edit, lambda room, who, event: asking.edit(room, who, event.index, event.value)
        ),
        act_on(chat.select, lambda room, who, event: asking.select(room, who, event.index)),
    ):
        asks.append(asked)
        explained = act(asked.then, asking.explain, shows=answers)
        act(explained.then, seeing.see, shows=seen)
    wire_scenes(parts, act, opens, asks, SAVE)
    act(parts["see all"].click, seeing.see_all, shows=seen)
    act(question.stop, asking.stop)
    act(parts["undo"].click, asking.restore)
    act(parts["form"].input, rooms.choose_form, parts["form"])
    for name in SETTINGS:
        act(parts[name].input, rooms.changing(name), parts[name])
    act(parts["measure"].click, rooms.measure)
    act(parts["doctor"].click, rooms.check_machine)
    act(parts["load"].upload, keeping.load, parts["load"])
    for kind in keeping.KINDS:
        saved = act(parts[f"save {kind}"].click, partial(keeping.save, kind=kind))
        saved.then(None, [parts["file"], parts["file name"]], None, js=SAVE)
    return act


def _update(value: Any) -> Any:
    return gr.update(**value) if isinstance(value, Props) else value


def _door(room: Room) -> Callable[..., dict[str, Any]]:
    """What programs call: over HTTP as ``/answer``, over MCP as the tool ``answer``."""

    def answer(
        video: gr.FileData, question: str, task: str = "auto", choices: list[str] | None = None
    ) -> dict[str, Any]:
        """Answer a question about a video clip or a picture.

        Args:
            video: the clip, as an uploaded file.
            question: what to ask; a time in it ("at 0:42") is where it looks.
            task: "auto", "chat", or another task that is listed on the page.
            choices: answer with the likeliest of these.
        """
        return answer_once(room, video, question, task, choices)

    return answer
