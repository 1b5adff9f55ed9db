"""A joint space of a model hub: CLIP, SigLIP, SigLIP 2 or BLIP-2-ITM of ``transformers``.

Vectors are those of the checkpoint's own class, image processor and tokenizer; a picture of CLIP is
therefore the middle square of a frame, one of the others the whole frame.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    Blip2ForImageTextRetrieval,
    CLIPModel,
    PreTrainedModel,
    Siglip2Model,
    SiglipModel,
)

from assistant.errors import InputError, WeightsError
from assistant.model.encoders.base import CHUNK
from assistant.model.memory import in_chunks
from assistant.model.space.base import JointSpace, no_vectors
from assistant.weights.downloads import file_sha256
from assistant.weights.spaces import SMALL_FILES, WEIGHTS

if TYPE_CHECKING:
    from assistant.sources import Look

TEXTS = 256  # texts embedded at once
FINER = 2  # times the network's own side is the longer one of a frame: enough for the shorter, too
BLIP2_TEMPERATURE = 0.07  # that its training began with; checkpoints do not keep what it became


class HubSpace(JointSpace):
    """Pictures and texts by one frozen checkpoint; some at a time, fewer where memory ends."""

    lower_case = False  # texts are made so
    padding = "longest"

    def __init__(self, folder: Path, network: Any, images: Any, tokenizer: Any, kept: str) -> None:
        """
        Args:
            kept: in what the weights are kept, as `fingerprint` tells it.
        """
        self.folder: Path = folder
        self.network, self._kept = network, kept
        self._images, self._tokenizer = images, tokenizer
        self.width, self.scale = self._shape()
        self._chunk, self._text_chunk = CHUNK, TEXTS

    @cached_property
    def fingerprint(self) -> str:
        total = hashlib.sha256()
        read = {path for like in (*SMALL_FILES, *WEIGHTS) for path in self.folder.glob(like)}
        for path in sorted(read):
            total.update(f"{path.name} {file_sha256(path)}\n".encode())
        return f"{self.network.config.model_type}-{total.hexdigest()[:16]}-{self._kept}"

    @abstractmethod
    def _shape(self) -> tuple[int, float]:
        """Width of the vectors, and their scale."""

    @abstractmethod
    def _see(self, pixels: Mapping[str, Tensor]) -> Tensor:
        """``(n, E)`` of prepared pictures."""

    @abstractmethod
    def _read(self, ids: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """``(n, E)`` of texts, and ``(n, M, E)`` of their tokens."""

    @property
    def side(self) -> int:
        """The longer side that frames should have, in pixels."""
        seen = self.network.config.vision_config
        own = getattr(seen, "image_size", None)
        if own is None:  # SigLIP 2 keeps proportions within a number of patches
            own = seen.patch_size * math.isqrt(seen.num_patches)
        return FINER * int(np.max(own))

    def check_pictures(self) -> None:
        """Raises ValueError: the image processor makes pictures of another size than the network's.

        That of another checkpoint is not seen otherwise: what a file does not say has a default.
        """
        seen = self.network.config.vision_config
        own = getattr(seen, "image_size", None) or seen.num_channels * seen.patch_size**2
        made = self._pixels(np.zeros((1, 64, 64, 3), np.uint8))["pixel_values"].shape[-1]
        if made != int(np.max(own)):
            raise ValueError(f"it makes pictures of {made}, the network wants {own}")

    def embed_frames(self, look: Look) -> Tensor:
        return self.embed_pictures(self._frames_of(look))

    def embed_pictures(self, frames: np.ndarray) -> Tensor:
        """``(T, H, W, 3)`` uint8 RGB -> ``(T, E)``."""
        return self._seen(frames)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        parts, self._text_chunk = in_chunks(
            lambda some: unit(self._read(self._ids(some)[0])[0]), texts, self._text_chunk, "text"
        )
        return torch.cat(parts) if parts else no_vectors(self.width)

    def embed_words(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        def words_of(some: Sequence[str]) -> list[Tensor]:
            ids, there = self._ids(some)
            words = unit(self._read(ids)[1])
            return [own[mask] for own, mask in zip(words, there, strict=True)]

        parts, self._text_chunk = in_chunks(words_of, texts, self._text_chunk, "text")
        rows = [row for part in parts for row in part]  # each (M of its own, E)
        if not rows:
            return torch.zeros(0, 0, self.width), torch.zeros(0, 0, dtype=torch.bool)
        words = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return words, torch.arange(words.shape[1]) < lengths[:, None]

    def _frames_of(self, look: Look) -> np.ndarray:
        return look.pictures(len(look.seconds), self.side)[0]

    def _seen(self, frames: np.ndarray) -> Tensor:
        """Unit vectors of what :meth:`_see` gives."""
        parts, self._chunk = in_chunks(
            lambda some: unit(self._see(self._pixels(some))), frames, self._chunk, "frame"
        )
        return torch.cat(parts)

    def _pixels(self, frames: np.ndarray) -> Mapping[str, Tensor]:
        pictures = [Image.fromarray(frame) for frame in frames]
        pixels = self._images(images=pictures, return_tensors="pt")
        return dict(pixels.to(self.network.device, self.network.vision_model.dtype))

    def _ids(self, texts: Sequence[str]) -> tuple[Mapping[str, Tensor], Tensor]:
        """What the network reads of texts, and ``(n, M)``: where there is a token, on the CPU."""
        longest, vocabulary = self._text_limits()
        read = self._tokenizer(
            [text.lower() if self.lower_case else text for text in texts],
            padding=self.padding,
            truncation=True,
            max_length=longest,
            return_attention_mask=True,
            return_tensors="pt",
        )
        if read["input_ids"].max() >= vocabulary:
            place = int((read["input_ids"] >= vocabulary).any(1).nonzero()[0])
            raise InputError(
                f"text {texts[place]!r:.60} has a token that {self.folder} has no weights for; "
                "leave special tokens out, or get tokenizer and weights of one revision"
            )
        given = [name for name in self._tokenizer.model_input_names if name != "token_type_ids"]
        ids = {name: read[name].to(self.network.device) for name in given}
        return ids, read["attention_mask"].bool()

    def _text_limits(self) -> tuple[int, int]:
        """Most tokens of a text, and how many different ones there are."""
        config = self.network.config.text_config
        return config.max_position_embeddings, config.vocab_size


class ClipSpace(HubSpace):
    """CLIP."""

    def _shape(self) -> tuple[int, float]:
        return self.network.config.projection_dim, float(self.network.logit_scale.exp())

    def embed_cells(self, look: Look) -> Tensor:
        """``(T, K, E)``: patches take the way of the class token, by which they come near to texts
        without having been trained for it (dense CLIP; Zhou et al., ECCV 2022)."""
        parts, self._chunk = in_chunks(
            lambda some: unit(self._see_cells(self._pixels(some))),
            self._frames_of(look),
            self._chunk,
            "frame",
        )
        return torch.cat(parts)

    def embed_keywords(self, texts: Sequence[str]) -> Tensor:
        return self.embed_texts(texts)

    def _see(self, pixels: Mapping[str, Tensor]) -> Tensor:
        return self.network.get_image_features(**pixels).pooler_output

    def _see_cells(self, pixels: Mapping[str, Tensor]) -> Tensor:
        """``(n, K, E)`` of prepared pictures."""
        network = self.network
        patches = network.vision_model(**pixels).last_hidden_state[:, 1:]  # (n, K, Dv)
        return network.visual_projection(network.vision_model.post_layernorm(patches))

    def _read(self, ids: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        read = self.network.get_text_features(**ids)
        return read.pooler_output, self.network.text_projection(read.last_hidden_state)


class SiglipSpace(ClipSpace):
    """SigLIP and SigLIP 2, taught texts in lower case that are padded to one length. The bias of
    their similarities is the same for every pair, and left out."""

    embed_cells = JointSpace.embed_cells  # a head pools its patches: none has a vector of its own
    embed_keywords = JointSpace.embed_keywords

    lower_case = True
    padding = "max_length"

    def _shape(self) -> tuple[int, float]:
        seen, read = self.network.config.vision_config, self.network.config.text_config
        if not seen.vision_use_head or seen.hidden_size != read.projection_size:
            raise WeightsError(
                f"{self.folder}: its pictures are {seen.hidden_size} wide, pooled "
                f"{seen.vision_use_head}, its texts {read.projection_size}, which cannot be "
                "compared; give a checkpoint whose pictures and texts share a space"
            )
        return seen.hidden_size, float(self.network.logit_scale.exp())

    def _read(self, ids: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        read = self.network.get_text_features(**ids)
        return read.pooler_output, self.network.text_model.head(read.last_hidden_state)


class Blip2Space(HubSpace):
    """BLIP-2's contrastive half. A picture has Q query vectors, and its similarity to a text is
    that of the best query: :meth:`compare` and :meth:`embed_queries` have it exactly.

    The one vector of :meth:`embed_frames` is the queries' mean direction. With it a text is
    compared to all that is seen together: what one query alone sees counts for a Q-th.
    """

    def _shape(self) -> tuple[int, float]:
        return self.network.config.image_text_hidden_size, 1 / BLIP2_TEMPERATURE

    def embed_pictures(self, frames: np.ndarray) -> Tensor:
        return F.normalize(self._seen(frames).mean(1), dim=-1)

    def embed_queries(self, look: Look) -> Tensor:
        """``(T, Q, E)``."""
        return self._seen(self._frames_of(look))

    def compare(self, look: Look, texts: Sequence[str]) -> Tensor:
        texts_as_columns = self.embed_texts(texts).T  # (E, N)
        return torch.stack([(own @ texts_as_columns).amax(0) for own in self.embed_queries(look)])

    def _see(self, pixels: Mapping[str, Tensor]) -> Tensor:
        network = self.network
        patches = network.vision_model(**pixels).last_hidden_state  # (n, K, Dv)
        queries = network.query_tokens.expand(len(patches), -1, -1)
        states = network.qformer(query_embeds=queries, encoder_hidden_states=patches)
        return self._project(network.vision_projection, states.last_hidden_state)  # (n, Q, E)

    def _read(self, ids: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        words = self.network.embeddings(input_ids=ids["input_ids"])
        states = self.network.qformer(
            query_embeds=words, query_length=0, attention_mask=ids.get("attention_mask")
        )
        words = self._project(self.network.text_projection, states.last_hidden_state)
        return words[:, 0], words

    def _project(self, layer: torch.nn.Linear, states: Tensor) -> Tensor:
        return layer(states.to(layer.weight.dtype))

    def _text_limits(self) -> tuple[int, int]:
        config = self.network.config.qformer_config
        return config.max_position_embeddings, config.vocab_size


KINDS: Mapping[str, tuple[type[HubSpace], type[PreTrainedModel]]] = {  # by model_type
    "clip": (ClipSpace, CLIPModel),
    "siglip": (SiglipSpace, SiglipModel),
    "siglip2": (SiglipSpace, Siglip2Model),
    "blip-2": (Blip2Space, Blip2ForImageTextRetrieval),
}


def unit(vectors: Tensor) -> Tensor:
    """Of length 1, on the CPU in fp32."""
    return F.normalize(vectors.float(), dim=-1).cpu()
