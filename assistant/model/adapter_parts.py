"""What an adapter learns beside its LoRAs: gates, embeddings, routers, contrasts, text means,
regressions, and the projection of what is heard."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.core.config import TransferConfig
from assistant.model.hearing import SoundTokens
from assistant.model.qformer import QFormer
from assistant.model.qformer_layers import AttentionBlock
from assistant.model.routing import Route, Router
from assistant.model.temporal import FrameContrast, NeighbourContrast, TimeWindows

MASKS = 3  # receptive fields of the deepest layer; the first has one less, at least one


class AdapterParts(nn.Module):
    """Everything that is learned beside the LoRAs: small, saved whole with each adapter.

    Lists have one entry per adapted layer; ``first`` is the first of these in the Q-Former.
    """

    def __init__(self, config: TransferConfig, image: QFormer) -> None:
        super().__init__()
        shape = image.config
        layers, width = min(config.layers or shape.layers, shape.layers), shape.width
        self.config = config
        self.first, self.layers = shape.layers - layers, layers
        self.gates: nn.Parameter | None = None
        if config.gate is not None:
            gates = torch.full((layers,), config.gate)
            gates[: layers - (config.gate_layers or layers)] = 0.0
            self.gates = nn.Parameter(gates)
        self.frame_embedding: nn.Parameter | None = None  # e^t, Eq. 6
        if config.frames:
            self.frame_embedding = nn.Parameter(torch.zeros(config.frames, width))
        self.query_embedding = nn.Parameter(torch.zeros(shape.queries, width))  # e^s, Eq. 6
        self.reread_gates: nn.Parameter | None = None
        if config.rereads:
            self.reread_gates = nn.Parameter(torch.ones(config.rereads))

        def each(wanted: bool, make: Callable[[int], nn.Module]) -> nn.ModuleList:
            """One for each adapted layer, or none."""
            return nn.ModuleList(make(place) for place in range(layers if wanted else 0))

        def router(place: int) -> Router:
            return Router(width, masks_of(MASKS, place, layers), config.routing)

        temporal, routed = config.temporal, config.routing != "none"
        self.windows = each(temporal and config.windows, lambda _: TimeWindows(shape.heads))
        self.spatial_routers = each(routed, router)
        self.temporal_routers = each(temporal and routed, router)
        self.contrasts = each(config.contrast > 0, lambda _: FrameContrast(width, config.contrast))
        self.neighbours = each(
            config.neighbours > 0, lambda _: NeighbourContrast(width, config.neighbours)
        )
        self.text_means = each(config.text_mean > 0, lambda _: TextMean(width, config.text_mean))
        self.regression: TextRegression | None = None
        if config.regression:
            self.regression = TextRegression(
                width, config.regression, config.regressions, config.expectation
            )
        self.leanings = each(
            config.regression > 0, lambda _: nn.Linear(config.regression, width, bias=False)
        )
        for leaning in self.leanings:
            nn.init.zeros_(leaning.weight)
        self.sound_tokens: SoundTokens | None = None
        if config.sound:
            self.sound_tokens = SoundTokens(config.sound, width, config.sound_tokens)
        self.pooling = nn.Linear(width, 1, bias=False) if config.pooling == "learned" else None
        if self.pooling is not None:
            nn.init.zeros_(self.pooling.weight)
        anew = temporal and not config.reuse  # attention over frames that shares nothing
        self.fresh = each(anew, lambda _: AttentionBlock(width, shape.heads))

    def route_in_space(
        self, place: int, queries: Tensor, frames: Tensor | None, others: int
    ) -> Route | None:
        """Over the queries ``(B, T, L, D)`` and the other tokens of each frame; None: without
        routing."""
        if not len(self.spatial_routers):
            return None
        return self.spatial_routers[place](queries, frames, queries.shape[2], others)

    def route_in_time(self, place: int, queries: Tensor, frames: Tensor | None) -> Route | None:
        """Over the frames of each query ``(B, T, L, D)``; None: without routing, or one frame."""
        if not len(self.temporal_routers) or queries.shape[1] == 1:
            return None
        return self.temporal_routers[place](queries, frames, queries.shape[1])

    def contrast(self, place: int, queries: Tensor, frames: Tensor | None) -> Tensor:
        for contrasts in (self.contrasts, self.neighbours):
            queries = contrasts[place](queries, frames) if len(contrasts) else queries
        return queries

    def tell_text(self, place: int, queries: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        return self.text_means[place](queries, text, mask) if len(self.text_means) else queries

    def tell_scores(self, place: int, queries: Tensor, scores: Tensor | None) -> Tensor:
        """``(B, T, L, D)``: the regression's scores ``(B, S)`` are told to each of them."""
        if scores is None:
            return queries
        leaning = self.leanings[place]
        told = leaning(scores.to(leaning.weight.dtype))
        return queries + told[:, None, None].to(queries.dtype)


class TextMean(nn.Module):
    """What is said as a whole: adds to each query, by way of a few channels, the mean of the text's
    tokens. Nothing at the start.

    MiniLM was trained so that this mean is what a sentence means; a query's own attention rests on
    [CLS] alone, most of it (73 % in the layers between).
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, channels, bias=False)
        self.up = nn.Linear(channels, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, queries: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Queries ``(B, T, L, D)``, text ``(B, T, Kt, D)`` and its mask ``(B, Kt)`` -> queries."""
        mean = mean_token(text, mask).to(self.down.weight.dtype)  # (B, T, D)
        return queries + self.up(self.down(mean))[:, :, None].to(queries.dtype)


class TextRegression(nn.Module):
    """Scores of a regression of the embedded text's mean and of what its last line stands beside.

    It is fitted in closed form before training (`assistant.training.regression`) and then frozen:
    of some hundred examples a gradient learns less than a regression that is held back. Lines of
    several kinds have one each, and one more that tells how likely each kind is.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int, scores: int, kinds: int, signals: int) -> None:
        super().__init__()
        rows = kinds * scores + (kinds if kinds > 1 else 0)
        self.register_buffer("weight", torch.zeros(rows, width + signals))
        self.register_buffer("bias", torch.zeros(rows))
        self.scores, self.kinds, self.signals = scores, kinds, signals

    def forward(self, text: Tensor, mask: Tensor, expected: Tensor | None) -> Tensor:
        """Text ``(B, 1, Kt, D)`` as embedded, its mask ``(B, Kt)``, signals ``(B, K)`` or None,
        where nothing is said -> ``(B, S)``."""
        mean = mean_token(text.float(), mask)[:, 0]
        if expected is None:
            expected = mean.new_zeros(len(mean), self.signals)
        known = torch.cat([mean, expected.float()], dim=1)
        with torch.autocast(known.device.type, enabled=False):
            told = F.linear(known, self.weight.float(), self.bias.float())
        scores = told[:, : self.kinds * self.scores].unflatten(1, (self.kinds, self.scores))
        if self.kinds == 1:
            return scores[:, 0]
        likely = told[:, self.kinds * self.scores :].softmax(1)  # (B, kinds)
        return (scores * likely[..., None]).sum(1)


def mean_token(text: Tensor, mask: Tensor) -> Tensor:
    """``(B, T, Kt, D)`` and ``(B, Kt)`` -> ``(B, T, D)``: padding does not count."""
    said = mask.to(text.dtype)[:, None, :, None]
    return (text * said).sum(2) / said.sum(2).clamp(min=1.0)


def masks_of(most: int, layer: int, layers: int) -> int:
    """Deeper layers choose among more receptive fields; the deepest among ``most``."""
    return max(1, round(1 + (most - 1) * (layer + 1) / layers))
