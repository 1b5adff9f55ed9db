"""What a recogniser of actions said, on the page."""

from html import escape
from typing import Any

from assistant.ui.visitor import Told

from assistant.vqa.basis import FROM_SOUND, FROM_TIMELINE
from assistant.vqa.conversation import ACTIONS, HEARD, SEVERAL, TALK, TIMELINE

# By task: why no text was sent to a model for an answer.
UNSENT = {
    TALK: "Small talk: no frame was looked at, no model asked.",
    TIMELINE: f"Answered from {FROM_TIMELINE}.",
    HEARD: f"Answered from {FROM_SOUND}.",
    ACTIONS: "Answered from the frames alone: no text was sent.",
    SEVERAL: "Each clip was compared with the question's words: no text was sent.",
}
FEW = 3  # labels that are named in a line
HEAT = (
    '<p class="va-legend"><span><i class="va-heat"></i> where in the frames the likeliest action '
    "rests (Grad-CAM)</span></p>"
)


def answerer(found: dict[str, Any]) -> str:
    """The recogniser that answered; "": another one did. ``found``: see `Answer.as_dict`."""
    return _called(found) if found["task"] == ACTIONS else ""


def _called(found: dict[str, Any]) -> str:
    return f"recogniser {found.get('recognised', {}).get('by', 'of actions')}"


def thought_of(found: dict[str, Any]) -> str:
    """``recogniser gestures: waving 41%, clapping 30%``."""
    some = found["recognised"]["actions"][:FEW]
    told = ", ".join(f"{one['label']} {one['probability']:.0%}" for one in some)
    return f"{_called(found)}: {told}"


def legend(told: Told) -> str:
    """HTML that tells what is drawn over the frames; "": nothing is."""
    return HEAT if told.found["task"] == ACTIONS and told.pictures else ""


def unsure(found: dict[str, Any]) -> str:
    """HTML of what one thinks where another answered; "": none was asked, or it answered."""
    if "recognised" not in found or found["task"] == ACTIONS:
        return ""
    told = f"Not sure enough to answer: {thought_of(found)}"
    return f'<p class="va-seen">{escape(told)}</p>'


def is_sound(found: Any) -> bool:
    """Whether it is what a recogniser thinks; a file may come from anywhere."""
    return (
        isinstance(found, dict)
        and isinstance(found.get("by"), str)
        and isinstance(found.get("actions"), list)
        and all(
            isinstance(one, dict)
            and isinstance(one.get("label"), str)
            and isinstance(one.get("probability"), int | float)
            for one in found["actions"]
        )
    )
