"""Clips, pictures and texts found again: by what they show, and by the words for it."""

from assistant.retrieval.adding import Added, Outcome
from assistant.retrieval.index import Index, Info, Verified
from assistant.retrieval.ranking import BY, Hit
from assistant.retrieval.rows import KINDS

__all__ = ["BY", "KINDS", "Added", "Hit", "Index", "Info", "Outcome", "Verified"]
