"""The pieces of the page that Gradio has no component for, as HTML; all text in it is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from assistant.ui import comparing, recognised
from assistant.ui.chat import unsure_of
from assistant.ui.seen import item_of, legend, named
from assistant.ui.timeline import as_svg, clock, draw_routing, spoken_line, timeline
from assistant.ui.visitor import subtitles_of

from assistant.sources import SOURCES
from assistant.vqa.basis import CHOSEN_BY, FROM_SOUND, FROM_TIMELINE
from assistant.vqa.boxes import boxes_in
from assistant.vqa.conversation import HEARD, SEVERAL, TIMELINE
from assistant.vqa.perception import is_still

if TYPE_CHECKING:
    from assistant.ui.engine import Loaded
    from assistant.ui.visitor import Asked, OpenClip

    from assistant.model.doctor import Check

# Shown by page.js where the browser knows the file's format less than we do.
INSTEAD = (
    '<div class="va-instead" hidden><img alt="" hidden><p role="status">Your browser cannot play '
    "this format. It is read all the same: ask, then click a frame of the answer to see it here."
    "</p></div>"
)
LEGEND = (
    '<p class="va-legend"><span><i class="va-for"></i> the answer leans on this moment</span> '
    '<span><i class="va-against"></i> it speaks against the answer</span> '
    "<span>the numbers: log-probability per token that it loses without the frame</span></p>"
)


def player(clip: OpenClip | None) -> str:
    """The chosen clip, with its subtitles."""
    if clip is None:
        return (
            '<div class="va-empty"><svg viewBox="0 0 48 48" aria-hidden="true">'
            '<rect x="5" y="11" width="38" height="26" rx="5"/><path d="M21 18.5v11l9-5.5z"/></svg>'
            "<p>Your clip plays here.</p></div>"
        )
    address = f"gradio_api/file={quote(str(clip.path))}"
    begin = f"#t={clip.moment[0]:.3f}" if clip.moment else ""
    name = escape(clip.name)
    if clip.offer.is_picture:
        shown = f'<img class="va-player" src="{address}" alt="{name}">'
        return f'<div class="va-stage">{shown}{INSTEAD}</div>'
    subtitles = subtitles_of(clip)
    track = (
        f'<track kind="subtitles" label="Subtitles" src="gradio_api/file={quote(str(subtitles))}"'
        " default>"
        if subtitles.is_file()
        else ""
    )
    return (
        '<div class="va-stage"><video class="va-player" controls playsinline preload="metadata" '
        f'aria-label="{name}" src="{address}{begin}">{track}</video>{INSTEAD}</div>'
    )


def moment(clip: OpenClip | None) -> str:
    """Which part of the clip is asked about, where a search found one."""
    if clip is None or clip.moment is None:
        return ""
    start, end = map(clock, clip.moment)
    return quiet(f"Questions are about {start} to {end}, which was found, unless they name a time.")


def thumbnails(clips: Sequence[OpenClip]) -> str:
    """Pictures before the names of the clips: Gradio's choices hold text alone."""
    rules = [
        f'#va-choice label:nth-of-type({place})::before {{content: ""; '
        f"background-image: url({clip.thumbnail})}}"
        for place, clip in enumerate(clips, 1)
        if clip.thumbnail
    ]
    return f"<style>{' '.join(rules)}</style>" if rules else ""


def thinking(doing: str, ahead: int = 0) -> str:
    """The calm state before the first word."""
    if ahead:
        who = "1 person is" if ahead == 1 else f"{ahead} people are"
        return (
            f'<span class="va-thinking">You are number {ahead + 1} in line; {who} before you</span>'
        )
    return f'<span class="va-thinking">{escape(doing)}</span>'


def progress(doing: str, share: float) -> str:
    """What is being done to a clip; ``share`` is how far it is, 0 to 1."""
    return (
        f'<div class="va-progress" role="status">{escape(doing)}'
        f'<div class="va-bar"><i style="width:{share:.0%}"></i></div></div>'
    )


def spoken(clip: OpenClip | None) -> str:
    """Where the chosen clip's subtitles are from."""
    if clip is None or clip.said is None:
        return ""
    if not clip.said:
        return '<p class="va-seen">No subtitles. Drop a .srt, .vtt or .ass file to add some.</p>'
    lines = "1 line" if len(clip.said.lines) == 1 else f"{len(clip.said.lines)} lines"
    unread = clip.known.unread if clip.known else 0
    cut = f", of which {len(clip.said.lines) - unread} fit beside a question" if unread else ""
    where = " (the newest; ask about a time to have others read)" if unread else ""
    told = f"Subtitles: {_source(clip.said.source)}, {lines}{cut}{where}"
    return f'<p class="va-seen">{escape(told)}</p>'


def note(text: str, kind: str = "info") -> str:
    """One line for the person; ``kind`` is "info", "good" or "bad"."""
    if not text:
        return ""
    role = "alert" if kind == "bad" else "status"
    return f'<p class="va-note va-{kind}" role="{role}">{escape(text)}</p>'


def quiet(text: str) -> str:
    """One line that explains."""
    return f'<p class="va-seen">{escape(text)}</p>'


def welcome() -> str:
    """What stands in the empty chat."""
    return (
        '<div class="va-welcome"><h2>Talk about a clip</h2>'
        "<p>Drop one anywhere, or take an example. Then ask what you want to know: "
        "who is there, what happens, how many, at which time.</p></div>"
    )


def evidence(turn: Asked | None) -> str:
    """What the shown answer rests on."""
    if turn is None or turn.told is None or turn.told.is_talk:
        return ""
    found, told = turn.told.found, turn.told
    parts = [f'<section class="va-card" aria-label="Evidence"><h2>{escape(turn.question)}</h2>']
    parts.append(f'<div class="va-chips">{"".join(_chips(turn))}</div>')
    if turn.correction is not None:
        parts.append(note(f"You corrected this answer; it said: {turn.answer}", "good"))
    if "probabilities" in found:
        parts.append(_probabilities(found))
    if reason := unsure_of(found):
        parts.append(note(f"Unsure: {reason}.", "info"))
    parts += [recognised.unsure(found), *(note(one, "info") for one in found["warnings"])]
    for name in SOURCES:
        span = (found["start"], found["end"]) if told.sees else None
        parts.append(named(name, [item_of(item) for item in found.get(name, ())], span))
    if told.sees:
        span = (found["start"], found["end"])
        frames, waiting = found["frames"], turn.live is not None
        boxes = boxes_in(told.items, frames, span)
        strip = (told.pictures, frames, told.weights, span, told.lines)
        parts.append(timeline(*strip, boxes=boxes, waiting=waiting))
        parts.append(legend(told.items) if told.pictures else "")
        parts.append(LEGEND if told.weights is not None else recognised.legend(told))
    else:
        parts.append(comparing.strips(found.get("clips", ()), told.strips))
        parts.append(moments(found.get("moments", ())))
        parts.append(spoken_line(told.lines))
    return "".join(parts) + "</section>"


def moments(found: Sequence[dict[str, float]]) -> str:
    """The moments that an answer names; each moves the player there."""
    spans = [(one["start"], one["end"]) for one in found]
    buttons = [
        f'<button type="button" class="va-time" data-seek="{start:.3f}" '
        f'aria-label="Go to {clock(start)}">{clock(start)} to {clock(end)}</button>'
        for start, end in spans
    ]
    return f'<p class="va-moments">{"".join(buttons)}</p>' if buttons else ""


def _chips(turn: Asked) -> list[str]:
    assert turn.told is not None
    found = turn.told.found
    score = found.get("task_score")
    chosen = ""
    if score is not None and not math.isnan(score):  # nan: there was nothing to choose from
        chosen = f", chosen from the question (likeness {score:.2f})"
    looked_at = "no frames, text alone"
    if found["task"] == TIMELINE:
        looked_at = FROM_TIMELINE
    if found["task"] == HEARD:
        looked_at = FROM_SOUND
    if found["task"] == SEVERAL:
        looked_at = f"{len(found.get('clips', ()))} clips compared"
    if turn.told.sees:
        span = f"{clock(found['start'])} to {clock(found['end'])}"
        frames = "1 frame" if len(found["frames"]) == 1 else f"{len(found['frames'])} frames"
        asked = CHOSEN_BY.get(found["range_source"], "")
        looked_at = f"{frames}, {span}{asked}"
        if is_still((found["start"], found["end"])):
            looked_at = "1 picture"
    timed = found["task"] in (HEARD, SEVERAL, TIMELINE)
    chips = [
        f"{turn.clip}",
        *([] if timed else [f"task {found['task']}{chosen}"]),
        looked_at,
        *([] if timed else [recognised.answerer(found) or _answerer(found)]),
        f"took {found['seconds']:.1f} s",
    ]
    if found.get("asked_as"):
        chips.insert(1, f"asked as: {found['asked_as']}")
    if found["dialogue_source"] != "none":
        chips.insert(3, f"dialogue: {_source(found['dialogue_source'])}")
    return [f"<span>{escape(chip)}</span>" for chip in chips]


def _answerer(found: dict[str, Any]) -> str:
    """Who answered."""
    if "notes" in found:
        return f"{found['model']}, from words alone"
    return f"adapter {found['adapter']}" if found["adapter"] else "base weights"


def _source(source: str) -> str:
    """Where dialogue is from, as a person says it."""
    return source.removeprefix("file:").removeprefix("sidecar:")


def _probabilities(found: dict[str, Any]) -> str:
    shares = {choice: share or 0.0 for choice, share in found["probabilities"].items()}
    highest = max(shares.values(), default=0.0)
    rows = [
        f"<li{' class=va-first' if share == highest else ''}><span>{escape(choice)}</span>"
        f'<i style="--share:{share:.4f}"></i><b>{share:.0%}</b></li>'
        for choice, share in shares.items()
    ]
    return f'<ul class="va-shares">{"".join(rows)}</ul>'


def inside(turn: Asked | None) -> str:
    """How far the Q-Former looked, and what was sent to it and to the LLM."""
    if turn is None or turn.told is None:
        return '<p class="va-seen">Ask something first.</p>'
    told = turn.told
    if (task := told.found["task"]) in recognised.UNSENT:
        return quiet(recognised.UNSENT[task])
    if not told.sent:
        return '<p class="va-seen">A saved conversation does not keep this; ask again.</p>'
    if turn.live is not None:
        drawn = '<p class="va-seen">Being worked out.</p>'
    elif told.routing:
        drawn = (
            f'<div class="va-routing">{as_svg(draw_routing(told.routing))}</div>'
            '<p class="va-legend">How far each layer looks: the darkest share sees everything, '
            "lighter ones only what is near.</p>"
        )
    elif "notes" in told.found:
        drawn = '<p class="va-seen">No routing: answered from words alone, those below.</p>'
    elif not told.sees:
        drawn = '<p class="va-seen">No routing: nothing was looked at, this adapter reads text.</p>'
    else:
        drawn = '<p class="va-seen">No routing: the base weights see every frame by itself.</p>'
    texts = [
        f"<h3>Sent to the {escape(reader)}</h3><pre>{escape(text)}</pre>"
        for reader, text in told.sent.items()
    ]
    return f'<div class="va-inside">{drawn}{"".join(texts)}</div>'


def loaded(models: Sequence[Loaded], resident: float, free: float) -> str:
    """What lies in memory; ``resident`` and ``free`` in bytes."""
    rows = [
        f"<li>{escape(held.model)}, {escape(held.precision)}: {held.parameters / 1e6:.0f} million "
        f"parameters, {held.megabytes:.0f} MB"
        + (f"; adapters {escape(', '.join(held.adapters))}" if held.adapters else "")
        + "</li>"
        for held in models
    ]
    listed = "".join(rows) or "<li>No model yet; it loads with the first clip.</li>"
    memory = f"This program takes {resident / 1e9:.1f} GB, {free / 1e9:.1f} GB are free."
    return f'<ul class="va-loaded">{listed}<li>{memory}</li></ul>'


def checks(found: Sequence[Check]) -> str:
    """`assistant doctor`'s report: what needs a look first, the rest folded."""
    fine = [check for check in found if check.status == "ok"]
    wanting = _check_list([check for check in found if check.status != "ok"])
    if not fine:
        return wanting
    what = "1 check is" if len(fine) == 1 else f"{len(fine)} checks are"
    return f"{wanting}<details><summary>{what} fine</summary>{_check_list(fine)}</details>"


def _check_list(found: Sequence[Check]) -> str:
    rows = [
        f'<li class="va-{check.status}"><b>{escape(check.name)}</b> {escape(check.found)}'
        + (f"<br><em>{escape(check.advice)}</em>" if check.advice else "")
        + "</li>"
        for check in found
    ]
    return f'<ul class="va-checks">{"".join(rows)}</ul>' if rows else ""
