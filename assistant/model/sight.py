"""What looks at clips: the frozen image encoder and the joint space on it; nothing that speaks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder
    from assistant.model.space.base import JointSpace


class Sight:
    """An encoder, as whoever looks needs it."""

    encoder: Encoder

    @property
    def encoder_fingerprint(self) -> str:
        """Changes whenever cached features are no longer those of this encoder."""
        return self.encoder.fingerprint

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the encoder's classifier tells apart; () where it is no classifier."""
        return self.encoder.names

    def use_space(self, name: str, **options: str) -> None:
        """Before its first use: "auto", a hub id or a folder; ``options`` of `load_space`."""
        self.space_name, self._space_options = name, options

    @cached_property
    def space(self) -> JointSpace:
        """The joint space of pictures and texts, loaded with the first use.

        Raises:
            InputError: there is none for this encoder. WeightsError: its weights cannot be used.
            ModelError: there is not enough memory for it.
        """
        from assistant.model.space.loading import load_space

        return load_space(self.space_name, self.encoder, **self._space_options)


class EncoderAlone(Sight):
    """That of a model which is not loaded."""

    def __init__(self, encoder: Encoder, space: str, **options: str) -> None:
        """``space`` and ``options``: of :meth:`use_space`."""
        self.encoder = encoder
        self.use_space(space, **options)
