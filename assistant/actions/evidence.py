"""Where a named action rests: Grad-CAM (Selvaraju et al. 2017) on the recogniser's patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.actions.head import score_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.figure import Figure

    from assistant.actions.head import ActionHead

COLUMNS, SIDE = 4, 3.0  # pictures in a row; inches of one
HEAT, OPACITY = "inferno", 0.6  # of what is hottest; what is cold is seen as it is


def rests_on(head: ActionHead, seen: Tensor, label: int, texts: Tensor | None = None) -> Tensor:
    """What is seen of one clip -> ``(T', g, g)``: how much each patch of each time speaks for a
    label, 1 at the most; all 0: none does.

    Args:
        texts: ``(C, E)``, labels that the head did not learn, which ``label`` is one of.
    """
    with torch.no_grad():
        states, there = head.states(seen)
    with torch.enable_grad():
        states.requires_grad_()
        found = score_states(head, states, there, texts)[0, label]
        (slopes,) = torch.autograd.grad(found, states)
    slopes, patches = map(head.network.patches, (slopes, states.detach()))
    weights = slopes.mean((1, 2), keepdim=True)  # of channels
    cells = (weights * patches).sum(-1)[0].relu()  # (T', g g)
    grid = head.network.grid
    return (cells / cells.max().clamp(min=1e-12)).unflatten(1, (grid, grid))


def heat_over(pictures: np.ndarray, heat: Tensor) -> np.ndarray:
    """``(T, H, W, 3)`` uint8 RGB frames with ``(T, g, g)`` over them, as pictures again."""
    from matplotlib import colormaps

    size = pictures.shape[1:3]
    smooth = F.interpolate(heat[:, None], size, mode="bilinear", align_corners=False)[:, 0].numpy()
    colors, opacity = colormaps[HEAT](smooth)[..., :3] * 255, OPACITY * smooth[..., None]
    return ((1 - opacity) * pictures + opacity * colors).round().astype(pictures.dtype)


def draw_evidence(
    pictures: np.ndarray, seconds: Sequence[float], heat: Tensor, title: str
) -> Figure:
    """``(T, H, W, 3)`` uint8 RGB frames with ``(T, g, g)`` over them."""
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // COLUMNS)
    high = SIDE * pictures.shape[1] / pictures.shape[2] + 0.3
    figure = Figure(figsize=(COLUMNS * SIDE, rows * high + 0.5), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, picture, second in zip(panels, heat_over(pictures, heat), seconds, strict=False):
        axes.imshow(picture)
        axes.set_title(f"{second:.1f} s", fontsize=9)
    figure.suptitle(title.replace("$", r"\$"))  # no formula
    return figure
