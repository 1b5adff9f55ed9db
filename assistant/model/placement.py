"""Where the frozen parts of a model compute, and in which precision."""

import os

import torch

from assistant.errors import InputError, ModelError
from assistant.model.memory import AUTO

DEVICES = (AUTO, "cpu", "cuda")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(device: str, *, large: bool) -> torch.device:
    """Where a model computes; "auto" is a GPU for a ``large`` one, where there is one.

    Raises:
        InputError: unknown. ModelError: CUDA is wanted and not there.
    """
    if device not in DEVICES:
        raise InputError(f"device {device!r} is unknown; choose one of {', '.join(DEVICES)}")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        built = "is not usable here" if torch.version.cuda else "is not in this build of torch"
        raise ModelError(
            f"CUDA {built}; install torch for your GPU and its driver, or choose --device cpu"
        )
    if device == "cuda" or (large and there and device == AUTO):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # one of several
    return torch.device("cpu")


def choose_dtype(precision: str, device: torch.device, *, wide: bool = False) -> torch.dtype:
    """What the frozen parts compute in; "auto" is 16 bit where the device computes in it.

    Args:
        wide: its states pass what fp16 can hold.

    Raises:
        InputError: unknown.
    """
    if precision == AUTO:
        if device.type == "cuda":
            bf16 = wide or torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if bf16 else torch.float16
        fast = torch.backends.cpu.get_cpu_capability() == "AVX512"
        return torch.bfloat16 if fast else torch.float32
    if precision not in PRECISIONS:
        wanted = ", ".join([AUTO, *PRECISIONS])
        raise InputError(f"precision {precision!r} is unknown; choose one of {wanted}")
    return PRECISIONS[precision]


def choose_precision(precision: str) -> torch.dtype:
    """The frozen parts' dtype; "auto" is bf16 where the processor computes in it."""
    if precision == AUTO and torch.cuda.is_available():
        return torch.bfloat16
    return choose_dtype(precision, torch.device("cpu"))
