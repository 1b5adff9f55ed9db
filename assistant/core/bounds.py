"""Bounds of the numbers in configs: a file may be a stranger's."""

import reprlib
from collections.abc import Mapping

from assistant.errors import ConfigError


def check_bounds(config: object, **bounds: tuple[float, float]) -> None:
    """That what a stranger's file asks for can be held and computed with.

    Args:
        bounds: by field, the least and the most of its number, or of each number in a mapping.
    Raises:
        ConfigError: a number is out of its bounds, or none (NaN).
    """
    for field, (least, most) in bounds.items():
        value = getattr(config, field)
        several = value if isinstance(value, Mapping) else {"": value}
        for key, number in several.items():
            if number is not None and not least <= number <= most:
                name = f"{field}: {key}" if key else field
                raise ConfigError(f"{name} is {reprlib.repr(number)}; give {least:g} to {most:g}")


def check_optimizer(betas: tuple[float, ...], weight_decay: float) -> None:
    """Raises ConfigError: AdamW takes no such settings."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ConfigError(f"betas are {betas}; give two from 0 to less than 1")
    if not 0 <= weight_decay <= 1:
        raise ConfigError(f"weight_decay is {weight_decay}; give 0 to 1")
