"""Adapters on the Q-Former's attention, in PEFT's format. The only file that imports peft.

An adapter is LoRA on the queries' and values' projections of every attention, one for space and one
for time over the same weights (MTransLLAMA, Eq. 10), and the transfer's other parts; on other
projections where its settings say so.
"""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from torch import Tensor, nn

from assistant.core.config import LoraSettings, QFormerConfig, TransferConfig
from assistant.errors import WeightsError
from assistant.model.adapter_parts import AdapterParts
from assistant.model.qformer import QFormer
from assistant.model.spatiotemporal import SpatioTemporalQFormer
from assistant.model.weight_files import read_weights, save_weights
from assistant.tasks.store import ADAPTER_CONFIG, ADAPTER_WEIGHTS

LORA_NAME = re.compile(r"\.lora_([AB])\.default\.weight")  # as PEFT calls them
GROWN = (
    *("rereads.", "parts.reread_gates", "hearing.", "parts.sound_tokens."),
    *("parts.neighbours.", "parts.regression.", "parts.leanings."),
)
"""Of the Q-Former: what an adapter may have beside one that it goes on from."""
HEARING = r"hearing\..*"


class Adapters:
    """Several adapters over one Q-Former in memory, at most one of them in use, by one thread."""

    def __init__(self, qformer: SpatioTemporalQFormer) -> None:
        self.qformer = qformer
        self._peft: PeftModel | None = None
        self._learning: tuple[str, bool] | None = None  # an adapter, and what of it learns

    @property
    def names(self) -> tuple[str, ...]:
        return () if self._peft is None else tuple(self._peft.peft_config)

    def add(self, name: str, lora: LoraSettings, transfer: TransferConfig) -> None:
        """A fresh adapter: the LoRAs change nothing yet."""
        parts = AdapterParts(transfer, self.qformer.image).to(self.qformer.image.queries.device)
        layers = range(parts.first, parts.first + parts.layers)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            rank_pattern={HEARING: heard_rank(lora)},
            alpha_pattern={HEARING: lora.alpha * heard_rank(lora) / lora.rank},
            target_modules=adapted_layers(lora, transfer, layers),
            modules_to_save=["parts"],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tied weights: never merged, which is the danger
            if self._peft is None:
                self._peft = get_peft_model(self.qformer, config, adapter_name=name)
            else:
                self._peft.add_adapter(name, config)
        self.qformer.parts.modules_to_save[name] = parts
        self.qformer.train(self.qformer.image.training)  # new modules begin in training mode
        self._require_grad()

    @contextmanager
    def using(self, name: str | None) -> Iterator[SpatioTemporalQFormer]:
        """The Q-Former with adapter ``name``; None: the image model as it was pretrained."""
        if self._peft is None:
            if name is not None:
                raise WeightsError(f"there is no adapter {name!r} in memory; load it first")
            yield self.qformer
        elif name is None:
            with self._peft.disable_adapter():
                yield self.qformer
        else:
            self._activate(name)
            yield self.qformer

    def trainable(self, name: str, *, lora: bool = True) -> dict[str, nn.Parameter]:
        """What training changes, by name; from now on that has gradients, and nothing else.

        Args:
            lora: False leaves the LoRAs as they are.
        """
        self._learning = (name, lora)
        self._activate(name)
        return {n: p for n, p in self.qformer.named_parameters() if p.requires_grad}

    def state(self, name: str) -> dict[str, Tensor]:
        """Everything the adapter learned, under PEFT's names."""
        assert self._peft is not None
        return get_peft_model_state_dict(self._peft, adapter_name=name, save_embedding_layers=False)

    def size(self, name: str) -> int:
        """How many numbers the adapter has."""
        return sum(torch.numel(value) for value in self.state(name).values())

    def save(self, name: str, folder: Path) -> None:
        """Write the adapter to ``folder``: fp16 weights and PEFT's config, the weights last."""
        assert self._peft is not None
        folder.mkdir(parents=True, exist_ok=True)
        config = self._peft.peft_config[name].to_dict()
        config = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
        text = json.dumps(config | {"inference_mode": True}, indent=1, sort_keys=True, default=str)
        (folder / ADAPTER_CONFIG).write_text(text + "\n")
        save_weights(self.state(name), folder / ADAPTER_WEIGHTS)

    def load(self, name: str, folder: Path, lora: LoraSettings, transfer: TransferConfig) -> None:
        """Read an adapter from ``folder``; every key must be there and nothing else.

        Raises:
            WeightsError: a file missing or damaged, a key missing, unknown or of another shape, a
                number that is not finite.
        """
        self.add(name, lora, transfer)
        try:
            self.fill(name, folder)
        except WeightsError:
            self.remove(name)
            raise

    def fill(self, name: str, folder: Path, *, grow: bool = False) -> frozenset[str]:
        """Give the adapter ``name`` the weights in ``folder``; what of :meth:`trainable` they are.

        Args:
            grow: what is in GROWN and those weights lack stays as it is.
        Raises:
            WeightsError: as :meth:`load`; the adapter is then as it was.
        """
        assert self._peft is not None
        path = folder / ADAPTER_WEIGHTS
        state = read_weights(path)
        wanted = self.state(name)
        missing, unknown = wanted.keys() - state.keys(), state.keys() - wanted.keys()
        begun = wanted.keys() & state.keys()
        if grow:
            whole = tuple(f"base_model.model.{name}" for name in GROWN)
            state |= {key: wanted[key] for key in missing if key.startswith(whole)}
            missing -= state.keys()
        wrong = [k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape]
        if missing or unknown or wrong:
            raise WeightsError(
                f"{path}: lacks {sorted(missing)[:2]}, has unknown {sorted(unknown)[:2]}, other "
                f"shapes of {wrong[:2]}; it does not belong to its recipe"
            )
        set_peft_model_state_dict(
            self._peft, {k: v.float() for k, v in state.items()}, adapter_name=name
        )
        own = f".{name}."
        names = (n for n, _ in self.qformer.named_parameters() if own in n)
        return frozenset(n for n in names if saved_name(n, name) in begun)

    def remove(self, name: str) -> None:
        """Forget an adapter."""
        if self._peft is None or name not in self._peft.peft_config:
            return
        if len(self._peft.peft_config) > 1:
            self._peft.delete_adapter(name)
        else:  # PEFT takes no new one after its last
            parts = self.qformer.parts.original_module
            self._peft.unload()  # leaves the adapter's parts
            self.qformer.parts = parts
            self._peft = None

    def _activate(self, name: str) -> None:
        if self._peft is None or name not in self._peft.peft_config:
            raise WeightsError(f"there is no adapter {name!r} in memory; load it first")
        self._peft.set_adapter(name)
        self._require_grad()

    def _require_grad(self) -> None:
        """Let the adapter that learns learn, and nothing else."""
        name, lora = self._learning or (None, False)
        for key, parameter in self.qformer.named_parameters():
            own = name is not None and f".{name}." in key
            parameter.requires_grad_(own and (lora or "lora_" not in key))


def saved_name(name: str, adapter: str) -> str:
    """What PEFT's files call a Q-Former's parameter ``name`` of an adapter."""
    plain = name.replace("modules_to_save.", "").replace(f".{adapter}.", ".", 1)
    return f"base_model.model.{plain}"


def heard_rank(lora: LoraSettings) -> int:
    """Of what reads sound: half, or an adapter of the paper's size had more than its 2.5 M."""
    return max(1, lora.rank // 2)


def adapted_layers(lora: LoraSettings, transfer: TransferConfig, layers: range) -> str:
    """The adapted Linear layers of a Q-Former, as a pattern over their full names."""
    number = "|".join(map(str, layers))
    blocks = [rf"encoder\.layer\.({number})\.attention"]
    if transfer.temporal and transfer.reuse:
        blocks.append(rf"temporal\.({number})")
    if transfer.rereads:
        again = rf"rereads\.({'|'.join(map(str, range(transfer.rereads)))})"
        blocks.append(rf"{again}\.attention")
    own = "|".join(blocks)
    found = [rf"({own}|encoder\.layer\.({number})\.crossattention)\.attention\.(query|value)"]
    if lora.output:
        found.append(rf"({own})\.output\.dense")
    if lora.feed_forward:
        found.append(rf"encoder\.layer\.({number})\.(intermediate|output)_query\.dense")
    if transfer.sound:  # what hears reads sound with the weights that read text
        found.append(rf"hearing\.({number})\.attention\.(query|key|value)")
    if transfer.rereads:  # what a feed-forward makes of both at once is what rereading is for
        found.append(rf"{again}\.attention\.attention\.key")
        found.append(rf"{again}\.(intermediate|output)_query\.dense")
    return rf"(.*\.)?({'|'.join(found)})"


def tune_language_model(
    network: nn.Module, lora: LoraSettings, seed: int
) -> dict[str, nn.Parameter]:
    """LoRA on every Linear of a language model but its head: what learns, by name."""
    head = network.get_output_embeddings()
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Linear) and m is not head]
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names
    )
    inject_adapter_in_model(config, network)
    found = {n: p for n, p in network.named_parameters() if "lora_" in n}
    for parameter in found.values():
        parameter.requires_grad_(True)
    return {LORA_NAME.sub(r".lora_\1", name): p for name, p in found.items()}


def adapter_size(
    shape: QFormerConfig, patch_width: int, lora: LoraSettings, transfer: TransferConfig
) -> int:
    """How many numbers an adapter of a Q-Former learns, without making either."""
    with torch.device("meta"):
        adapters = Adapters(SpatioTemporalQFormer(QFormer(shape, patch_width, shape.width)))
        adapters.add("counted", lora, transfer)
    return count_trainable(adapters.trainable("counted", lora=lora.train))


def count_trainable(parameters: dict[str, nn.Parameter]) -> int:
    """How many numbers an adapter learns."""
    return sum(torch.numel(parameter) for parameter in parameters.values())
