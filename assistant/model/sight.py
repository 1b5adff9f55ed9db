"""What looks at clips: the frozen image encoder and the joint space on it; nothing that speaks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from assistant.model.devices import AUTO

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder
    from assistant.model.space.base import JointSpace


class Sight:
    """An encoder, as whoever looks needs it."""

    encoder: Encoder
    space_name: str  # "auto": the model's own; a hub id or a folder

    @property
    def encoder_fingerprint(self) -> str:
        """Changes whenever cached features are no longer those of this encoder."""
        return self.encoder.fingerprint

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the encoder's classifier tells apart; () where it is no classifier."""
        return self.encoder.names

    @cached_property
    def space(self) -> JointSpace:
        """The joint space of pictures and texts, loaded with the first use.

        Raises:
            InputError: there is none for this encoder. WeightsError: its weights cannot be used.
        """
        from assistant.model.space.loading import load_space

        return load_space(self.space_name, self.encoder)


class EncoderAlone(Sight):
    """That of a model which is not loaded."""

    def __init__(self, encoder: Encoder, space: str = AUTO) -> None:
        self.encoder, self.space_name = encoder, space
