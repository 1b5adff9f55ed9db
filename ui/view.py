"""What the page shows of a visitor, part by part.

A change of the page is a dict from the name of a part to its new value, or to ``Props`` where more
than its value changes. Nothing here knows Gradio.
"""

from typing import Any

from assistant.ui import cards, picking, scene_band, seen
from assistant.ui.chat import messages
from assistant.ui.visitor import OpenClip, Visitor

from assistant.sources import SOURCES
from assistant.vqa.perception import is_still

TRIES = 4  # buttons with questions to try
Parts = dict[str, Any]


class Props(dict[str, Any]):
    """Properties of a part, where more than its value changes."""


# The text box when a question can be asked; what was typed meanwhile stays.
READY = Props(submit_btn=True, stop_btn=False)


def shown(visitor: Visitor) -> Parts:
    """Everything that belongs to the visitor."""
    return {**shown_clips(visitor), **shown_answers(visitor), **shown_undo(visitor)}


def shown_answers(visitor: Visitor) -> Parts:
    """The conversation, and what its shown answer rests on; the player goes on playing."""
    return {"chat": messages(visitor.turns), **shown_evidence(visitor)}


def shown_undo(visitor: Visitor) -> Parts:
    """The way back after the conversation was cleared."""
    return {"undo": Props(visible=bool(visitor.cleared))}


def shown_clips(visitor: Visitor) -> Parts:
    """The open clips, and the one that plays."""
    names = picking.clip_choices(list(visitor.clips))
    if visitor.chosen not in names:
        visitor.chosen = names[0] if names else ""
    clip = played(visitor)
    return {
        "clips": Props(choices=names, value=visitor.chosen or None, visible=bool(names)),
        "close": Props(visible=bool(names)),
        "player": cards.player(clip),
        "thumbnails": cards.thumbnails([*visitor.clips.values()]),
        "said": cards.spoken(clip),
        "moment": cards.moment(clip),
        "whole": Props(visible=clip is not None and clip.moment is not None),
        **shown_seen(visitor),
        **shown_scenes(visitor),
    }


def played(visitor: Visitor) -> OpenClip | None:
    """The clip on show: the chosen one; where all are asked, the one whose answer is shown."""
    clip = visitor.clips.get(visitor.chosen)
    if clip is None and visitor.clips:
        clip = visitor.clips.get(visitor.shown.clip if visitor.shown else "")
        clip = clip or next(iter(visitor.clips.values()))
    return clip


def shown_seen(visitor: Visitor) -> Parts:
    """What is perceived of the clip on show, and what else can be looked for."""
    clip = played(visitor)
    if clip is None or clip.seen is None:
        return {"seen": "", "seeing": "", "see all": Props(visible=False)}
    pictures = clip.pictures.get((clip.seen.window, clip.seen.frames), ())
    left = " and ".join(SOURCES[name].thing for name in seen.unseen(clip, visitor.settings.sources))
    more = Props(value=f"Also look for {left}", visible=bool(left))
    return {"seen": seen.panel(clip.seen, pictures), "seeing": "", "see all": more}


def shown_scenes(visitor: Visitor) -> Parts:
    """The timeline of the clip on show, or the way to it."""
    clip = played(visitor)
    drawn = status = ""
    scenes, wanting, making = None, False, False
    if clip is not None and clip.known is not None and not is_still((0.0, clip.known.seconds)):
        scenes, making = clip.scenes, clip.is_timed
        wanting = scenes is None and not making
        status = cards.thinking("Finding the scenes") if making else clip.sceneless
    if clip is not None and scenes is not None:
        about, curve = scenes.asked or ("", None)
        curve = curve if about == visitor.question_to(clip) else None
        drawn = scene_band.band(scenes.timeline, [*scenes.found.values()], curve)
        status = "".join(
            cards.quiet(visitor.without_paths(told)) for told in scenes.timeline.warnings
        )
    return {
        "scenes": drawn,
        "scenes status": status,
        "find scenes": Props(visible=wanting),
        "stop scenes": Props(visible=making),
        "scenes form": Props(visible=scenes is not None),
    }


def shown_evidence(visitor: Visitor) -> Parts:
    """What the answer on the page rests on."""
    return {"evidence": cards.evidence(visitor.shown), "inside": cards.inside(visitor.shown)}


def tries(questions: list[str]) -> Parts:
    """The buttons with questions to try."""
    filled = [*questions, *[""] * TRIES][:TRIES]
    return {
        f"example {number}": Props(value=text, visible=bool(text))
        for number, text in enumerate(filled)
    }


def ready(text: str) -> Props:
    """The text box when a question can be asked, with ``text`` in it."""
    return Props(value=text, **READY)
