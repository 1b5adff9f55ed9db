"""What is learned; a file each. ``LOSSES`` are those of finetuning, by their key in a recipe."""

from assistant.training.losses.answer import AnswerLoss, ChoiceLoss
from assistant.training.losses.base import Loss
from assistant.training.losses.motion import MotionSupervision
from assistant.training.losses.naming import NamedChoice
from assistant.training.losses.slots import SpelledAnswer
from assistant.training.losses.sounding import SoundSupervision
from assistant.training.losses.walking import WalkSupervision

LOSSES: dict[str, type[Loss]] = {
    "motion": MotionSupervision,
    "walking": WalkSupervision,
    "sounding": SoundSupervision,
    "naming": NamedChoice,
    "slots": SpelledAnswer,
    "llm": AnswerLoss,
    "choices": ChoiceLoss,
}
