"""Linear layers in 8 bit (LLM.int8) or 4 bit (NF4, double quantization): the door to bitsandbytes.

Only frozen Linear layers are quantized, one at a time as their weights are read, so that a model
never lies in memory in full precision. Embeddings, norms and the output layer stay as they are.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from assistant.errors import ModelError

QUANTIZATIONS = ("none", "8bit", "4bit")
BITS = {"none": 0, "8bit": 8, "4bit": 4}  # 0: as they are
BLOCK = 64  # weights that share a scale, NF4
NESTED_BLOCK = 256  # scales that share a scale, double quantization
OUTLIER = 6.0  # an activation beyond it is multiplied in 16 bit, LLM.int8
CODE_BYTES = 16 * 4 + 256 * 4 + 4  # of each NF4 layer: two code tables and an offset
PACKS = "support_avx512bf16_for_cpu"  # bitsandbytes: a 4-bit layer may be packed for inference
KERNEL = (32, 64)  # rows and columns that the packed kernel takes at a time; it computes in bf16
KEPT = ("lm_head",)
T5_OUT = "wo"  # T5's second feed-forward layer: its inputs pass what fp16 can hold, and it casts
KEPT_8BIT = (*KEPT, T5_OUT)  # them to its weight's dtype


def check_quantization(bits: int, device: torch.device) -> None:
    """Say at once what would fail at the first layer.

    Raises:
        ModelError: bitsandbytes is missing, or cannot quantize on this device.
    """
    if not bits:
        return
    try:
        quantized_linear(nn.Linear(BLOCK, BLOCK, bias=False), bits, torch.bfloat16, device)
    except ImportError as error:
        raise ModelError(
            f"bitsandbytes is not usable here ({error}); pip install bitsandbytes, "
            "or choose --quantize none"
        ) from error
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        told = " ".join(str(error).split())[:160]
        raise ModelError(
            f"bitsandbytes cannot quantize to {bits} bit on {device.type} ({told}); "
            "use a GPU with CUDA, or choose --quantize none"
        ) from error


def quantizable(network: nn.Module, bits: int) -> Iterator[tuple[str, nn.Linear]]:
    """The Linear layers of ``network`` that may be quantized, by name."""
    kept = KEPT_8BIT if bits == 8 else KEPT
    for name, module in network.named_modules():
        if type(module) is nn.Linear and name.rpartition(".")[2] not in kept:
            yield name, module


def quantize_network(
    network: nn.Module, bits: int, dtype: torch.dtype, device: torch.device
) -> None:
    """Quantize a network that lies in memory, in place; it computes in ``dtype``."""
    for name, linear in list(quantizable(network, bits)):
        fresh = quantized_linear(linear, bits, dtype, device, name=name)
        if linear.bias is not None:
            fresh.bias = nn.Parameter(linear.bias.data.to(device), requires_grad=False)
        network.set_submodule(name, fresh)


def quantized_linear(
    linear: nn.Linear,
    bits: int,
    dtype: torch.dtype,
    device: torch.device,
    weight: Tensor | None = None,
    name: str = "",
) -> nn.Linear:
    """A quantized layer of the shape of ``linear``; its bias is left to the caller.

    Args:
        weight: ``(out, in)``, instead of that of ``linear``, which may then lie on no device.
        name: of the layer in its network.
    """
    import bitsandbytes as bnb

    values = (linear.weight.data if weight is None else weight).to("cpu", dtype)
    shape = (linear.in_features, linear.out_features, linear.bias is not None)
    if bits == 8:
        eight = bnb.nn.Linear8bitLt(
            *shape, has_fp16_weights=False, threshold=OUTLIER, device="meta"
        )
        held = bnb.nn.Int8Params(values, requires_grad=False, has_fp16_weights=False)
        eight.weight = held.to(device)
        return eight
    # Stored as ``dtype``: T5 casts its states to a weight's dtype, FSDP gathers one dtype.
    whole = values.numel() // 2 % dtype.itemsize == 0
    storage = dtype if whole else torch.uint8
    four = bnb.nn.Linear4bit(
        *shape,
        compute_dtype=dtype,
        compress_statistics=True,
        quant_type="nf4",
        quant_storage=storage,
        device="meta",
    )
    packed = bnb.nn.Params4bit(
        values,
        requires_grad=False,
        compress_statistics=True,
        quant_type="nf4",
        quant_storage=storage,
        module=four,
    )
    four.weight = packed.to(device)
    rows, columns = linear.out_features, linear.in_features
    fits = dtype == torch.bfloat16 and not rows % KERNEL[0] and not columns % KERNEL[1]
    if not fits or name.rpartition(".")[2] == T5_OUT:
        setattr(four, PACKS, False)  # else the first answer on a processor would fail
    return four


def let_gradients_through(network: nn.Module) -> None:
    """Undo and forbid what bitsandbytes does to 4-bit layers for inference on a processor.

    At the first forward pass in evaluation it packs their weights for a kernel without gradients,
    and training goes on with gradients of zero: a run that learns nothing and does not fail.
    """
    for module in network.modules():
        if hasattr(module, PACKS):
            setattr(module, PACKS, False)
            module.state_dict()  # unpacks the weight, where it is packed


def is_quantized(network: nn.Module) -> bool:
    """Whether some layer is in 8 or 4 bit."""
    return any(hasattr(p, "quant_state") or hasattr(p, "SCB") for p in network.parameters())


def precision_of(network: nn.Module) -> str:
    """What the network's layers compute in, and the kinds of them."""
    kinds = {type(part).__name__ for part in network.modules() if isinstance(part, nn.Linear)}
    return " ".join([str(getattr(network, "dtype", "")), *sorted(kinds)])


def stored_bytes(rows: int, columns: int, bits: int, plain: int) -> int:
    """Bytes of a Linear layer's weight ``(rows, columns)`` once loaded.

    Args:
        bits: 8, 4, or 0: as it is, ``plain`` bytes a number.
    """
    count = rows * columns
    if bits == 8:
        return count + 4 * rows  # a scale for each row
    if bits == 4:
        scales = -(-count // BLOCK)
        return -(-count // 2) + scales + 4 * -(-scales // NESTED_BLOCK) + CODE_BYTES
    return count * plain
