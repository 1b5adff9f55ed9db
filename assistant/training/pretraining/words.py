"""Which words of a text are true of a picture, as far as captions and scenes tell."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from assistant.data.scenes import COLORS, MATERIALS, SHAPES
from assistant.model.tokens import Tokens
from assistant.training.losses.cells import SceneObjects
from assistant.training.pretraining.captions import PhotoConcepts, photo_concepts, thing_words

UNKNOWN = -1.0


class WordTruths:
    """Labels for the tokens of texts about photos with captions and about generated scenes.

    A thing is true where a caption names it, false where no caption leaves room for it; words that
    are no things, and pieces of words, are unknown.
    """

    def __init__(
        self,
        tokenizer: Tokens,
        captions: Mapping[str, Sequence[str]],
        scenes: Mapping[str, SceneObjects],
    ) -> None:
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        things = thing_words()
        parts = {word: word for word in (*COLORS, *SHAPES, *MATERIALS)}
        parts |= {f"{shape}s": shape for shape in SHAPES}
        self.things = [things.get(piece) for piece in pieces]
        self.parts = [parts.get(piece) for piece in pieces]
        self.continues = torch.tensor([piece.startswith("##") for piece in pieces])
        self.photos: dict[str, PhotoConcepts] = {
            name: photo_concepts(texts) for name, texts in captions.items()
        }
        self.scenes = {name: _words(objects) for name, objects in scenes.items()}

    def labels(self, pictures: Sequence[str], ids: Tensor) -> Tensor:
        """``(B, Kt)``: 1 true, 0 false, -1 unknown, for texts ``ids`` about ``pictures``."""
        split = self.continues[ids.cpu()]
        split[:, :-1] |= split[:, 1:].clone()  # the piece before a continuation, too
        labels = torch.full(ids.shape, UNKNOWN)
        for row, (picture, tokens) in enumerate(zip(pictures, ids.tolist(), strict=True)):
            for place, token in enumerate(tokens):
                if not split[row, place]:
                    labels[row, place] = self._truth(picture.split("|")[0], token)
        return labels.to(ids.device)

    def _truth(self, picture: str, token: int) -> float:
        if picture in self.scenes:
            part = self.parts[token]
            return UNKNOWN if part is None else float(part in self.scenes[picture])
        thing = self.things[token]
        known = self.photos.get(picture)
        if thing is None or known is None:
            return UNKNOWN
        if thing in known.named:
            return 1.0
        return UNKNOWN if thing in known.possible else 0.0


def _words(objects: SceneObjects) -> frozenset[str]:
    colors = list(COLORS)
    return frozenset(
        word
        for _, _, color, shape, material in objects
        for word in (colors[color], SHAPES[shape], MATERIALS[material])
    )
