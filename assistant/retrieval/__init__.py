"""Clips, pictures and texts found again: by what they show, and by the words for it."""

from assistant.retrieval.index import Added, Index, Info, Outcome, Verified
from assistant.retrieval.ranking import BY, Hit
from assistant.retrieval.store import KINDS

__all__ = ["BY", "KINDS", "Added", "Hit", "Index", "Info", "Outcome", "Verified"]
