"""Load what looks at clips without the model around it, in a fraction of the time."""

from collections.abc import Callable
from pathlib import Path

from assistant.core.progress import report
from assistant.model.encoders.loading import load_encoder
from assistant.model.memory import AUTO
from assistant.model.placement import choose_device, choose_precision
from assistant.model.sight import EncoderAlone, Sight
from assistant.weights.base import find_base
from assistant.weights.spaces import check_space

LOADING = "Loading the image encoder"


def load_sight(
    name: str = "mini",
    *,
    base: Path | None = None,
    precision: str = AUTO,
    quantize: str = AUTO,
    device: str = AUTO,
    space: str = AUTO,
    tell: Callable[[str], None] | None = None,
) -> Sight:
    """What the named model looks with; its features are those of the whole model.

    At paper scale it is quantized where ``quantize`` says so, not by what else has to fit, and
    ``tell`` gets the terms.

    Raises:
        InputError: unknown name or option. WeightsError: weights missing or damaged.
        ModelError: no CUDA, no bitsandbytes, or not enough memory.
    """
    own = find_base(name, base)
    check_space(space)
    options = {"device": device, "precision": precision, "quantize": quantize}
    report(LOADING, 0.0)
    if own is None:
        from assistant.model.large.loading import load_paper_scale_encoder

        encoder = load_paper_scale_encoder(name, precision, quantize, device, tell)
        return EncoderAlone(encoder, space, **options)
    place = choose_device(device, large=False)
    encoder = load_encoder(own.config, choose_precision(precision))
    return EncoderAlone(encoder.to(place).eval(), space, **options)
