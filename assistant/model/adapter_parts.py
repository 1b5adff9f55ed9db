"""What an adapter learns beside its LoRAs: gates, embeddings, routers, contrasts, text means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from assistant.core.config import QFormerConfig, TransferConfig
from assistant.model.routing import Router
from assistant.model.temporal import FrameContrast, TimeWindows

__all__ = ["Parts", "masks_of", "mean_token"]


class Parts(nn.Module):
    """Everything that is learned beside the LoRAs: small, saved whole with each adapter.

    Lists have one entry per adapted layer; ``first`` is the first of these in the Q-Former.
    """

    def __init__(self, config: TransferConfig, shape: QFormerConfig) -> None:
        super().__init__()
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
        self.windows = nn.ModuleList()
        if config.temporal and config.windows:
            self.windows.extend(TimeWindows(shape.heads) for _ in range(layers))
        self.query_embedding = nn.Parameter(torch.zeros(shape.queries, width))  # e^s, Eq. 6
        routed = config.routing != "none"
        counts = (
            [masks_of(config.masks, index, layers) for index in range(layers)] if routed else []
        )

        def routers() -> nn.ModuleList:
            make = (Router(width, n, config.router_width, config.routing) for n in counts)
            return nn.ModuleList(make)

        self.spatial_routers = routers()
        self.temporal_routers = routers() if config.temporal else nn.ModuleList()
        self.contrasts = nn.ModuleList()  # after each layer
        if config.contrast:
            self.contrasts.extend(FrameContrast(width, config.contrast) for _ in range(layers))
        self.reread_gates: nn.Parameter | None = None
        if config.rereads:
            self.reread_gates = nn.Parameter(torch.ones(config.rereads))
        self.text_means = nn.ModuleList()  # after each layer
        if config.text_mean:
            self.text_means.extend(TextMean(width, config.text_mean) for _ in range(layers))
        self.pooling = nn.Linear(width, 1, bias=False) if config.pooling == "learned" else None
        if self.pooling is not None:
            nn.init.zeros_(self.pooling.weight)
        self.fresh = nn.ModuleList()  # attention over frames that shares nothing, if not reused


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


def mean_token(text: Tensor, mask: Tensor) -> Tensor:
    """``(B, T, Kt, D)`` and ``(B, Kt)`` -> ``(B, T, D)``: padding does not count."""
    said = mask.to(text.dtype)[:, None, :, None]
    return (text * said).sum(2) / said.sum(2).clamp(min=1.0)


def masks_of(most: int, layer: int, layers: int) -> int:
    """Deeper layers choose among more receptive fields; the deepest among ``most``."""
    return max(1, round(1 + (most - 1) * (layer + 1) / layers))
