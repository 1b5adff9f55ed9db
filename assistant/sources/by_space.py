"""What sources share that see by the joint space."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import torch

from assistant.errors import AssistantError, ConfigError, InputError, ModelError, WeightsError
from assistant.sources import Look, Perceiver, Source
from assistant.sources.bank import bank_of

DECIDING = ("bank.py", "lexicon.py", "lexicon.yaml", "seen.py")  # beside its own file
NO_SPACE = (InputError, ConfigError, WeightsError, ModelError)
# What shows as a whole: scene, activity, weather, what is going on.
WHOLE = re.compile(
    r"\bwhere\b|\bwhat(?: is|'s| are) (?:going on|happening|shown|this|that|it|in)\b"
    r"|\b(?:happen\w*|going on|describe|caption|summar\w+|scene|place|location|setting|surroundings"
    r"|indoors?|outdoors?|inside|outside|weather|sunny|rain\w*|snow\w*|cloud\w*|fog\w*|storm\w*"
    r"|season|night|day(?:time)?|activity|activities|sports?|action|event)\b"
    r"|\bdoing\b|\bwhat (?:do|does|did)\b.*\bdo\b"
)


class SpacePerceiver(Perceiver):
    """A source that says nothing, and why, where the model has no space."""

    def wanted(self, question: str) -> bool:
        """Loading the space takes a second or two."""
        return WHOLE.search(question.lower()) is not None

    def fingerprint(self, look: Look) -> str:
        """What decides its items beside the frames and their encoder: code, words, the space."""
        own = Path(str(sys.modules[type(self).__module__].__file__))
        total = hashlib.sha256()
        for path in (own, *(own.with_name(name) for name in DECIDING)):
            total.update(path.read_bytes())
        try:
            space = look.space()
            total.update(f"{space.fingerprint} {bank_of(space).config}".encode())
        except AssistantError as error:  # looking says so
            total.update(str(error).encode())
        return total.hexdigest()[:16]

    def look_at(self, name: str, look: Look) -> Source:
        try:
            with torch.inference_mode():
                return super().look_at(name, look)
        except NO_SPACE as error:
            return Source(name, warning=str(error))
