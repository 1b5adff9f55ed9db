"""The whole model: frozen encoder, Q-Former, projection, frozen LLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import RLock, get_ident
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from assistant.core.config import ModelConfig
from assistant.errors import ModelError
from assistant.model.encoders.base import Encoder
from assistant.model.hearing import Heard, together
from assistant.model.llm import History, LanguageModel
from assistant.model.memory import each_within_memory, within_memory
from assistant.model.qformer import QFormer
from assistant.model.sight import Sight
from assistant.tasks.recipes import Recipe
from assistant.tasks.store import adapter_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from assistant.model.lora import Adapters
    from assistant.model.spatiotemporal import SpatioTemporalQFormer
    from assistant.model.tokens import Tokens

OCCLUDED = 4  # frames that are left out in turn in one pass


class VideoAssistant(nn.Module, Sight):
    """Answers about T frames: encode once, ask many.

    ``qformer_text`` is what the Q-Former reads beside the frames, ``prompt`` and ``history`` what
    the LLM reads after the visual tokens. ``adapter`` is a name that :meth:`load_adapter` gave;
    None is the image model as it was pretrained, run per frame.
    """

    def __init__(
        self,
        config: ModelConfig,
        encoder: Encoder,
        qformer: QFormer,
        qformer_tokenizer: Tokens | PreTrainedTokenizerBase,
        llm: LanguageModel,
        fingerprint: str,
        space: str = "auto",
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.qformer = qformer
        self.qformer_tokenizer = qformer_tokenizer
        self.llm = llm
        self.fingerprint = fingerprint
        self.use_space(space)
        self.reads: tuple[str, ...] = ()  # sources that its LLM has learned to read
        self.reading: Path | None = None  # the folder with what it learned
        self._load_unread: Callable[[], LanguageModel] | None = None
        self._lock = RLock()  # an adapter is loaded, chosen and used in one; the LLM goes without
        self._trainer: int | None = None  # the thread that trains it

    @property
    def name(self) -> str:
        return self.config.name

    def reads_notes(
        self, reads: Sequence[str], folder: Path, unread: Callable[[], LanguageModel]
    ) -> None:
        """Its LLM has been tuned to read what sources say; adapters were made for the one before.

        Args:
            reads: names of the sources. folder: with what it learned. unread: loads the LLM as it
                was, for adapters.
        """
        self.reads, self.reading, self._load_unread = tuple(reads), folder, unread

    @cached_property
    def _unread(self) -> LanguageModel:
        assert self._load_unread is not None
        return self._load_unread().to(self.qformer.queries.device).eval()

    def llm_of(self, adapter: str | None, *, choosing: bool = False) -> LanguageModel:
        """The LLM that answers with an adapter; None: by the base weights alone.

        Args:
            choosing: among given choices, as the Q-Former learned to with the LLM before that.
        """
        if self._load_unread is None or (adapter is None and not choosing):
            return self.llm
        with self._lock:
            return self._unread

    def expectation(self, lines: Sequence[str], texts: Sequence[str] | None) -> Tensor:
        """As `assistant.model.expectation.expectation` has it, by the LLM that adapters choose
        with."""
        from assistant.model.expectation import expectation

        return expectation(self.llm_of(None, choosing=True), lines, texts)

    @property
    def choice_prior(self) -> float:
        """What `assistant.vqa.scoring.without_prior` takes off the choices' log-probabilities."""
        return self.config.llm.choice_prior

    @cached_property
    def adapters(self) -> Adapters:
        """The task adapters in memory; made with the first."""
        from assistant.model.lora import Adapters
        from assistant.model.spatiotemporal import SpatioTemporalQFormer

        return Adapters(SpatioTemporalQFormer(self.qformer))

    @contextmanager
    def learning(self) -> Iterator[None]:
        """This thread trains the model, and no other asks it meanwhile.

        Raises:
            ModelError: another thread trains it.
        """
        with self._lock:
            self._check_free()
            self._trainer = get_ident()
        try:
            yield
        finally:
            self._trainer = None

    def _check_free(self) -> None:
        """Raises ModelError: another thread trains the model."""
        if self._trainer not in (None, get_ident()):
            raise ModelError(
                "this model is being trained in this process, so that its weights change; load "
                "another one to ask, or wait until the run ends"
            )

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[SpatioTemporalQFormer]:
        """The Q-Former with an adapter, for this thread alone; see `Adapters.using`.

        Raises:
            ModelError: another thread trains the model.
        """
        with self._lock:
            self._check_free()
            with self.adapters.using(adapter) as qformer:
                yield qformer

    @property
    def loaded_adapters(self) -> tuple[str, ...]:
        """Names of those in memory."""
        with self._lock:
            return tuple(self.adapters.names) if "adapters" in self.__dict__ else ()

    def load_adapter(self, folder: Path, recipe: Recipe) -> str:
        """Keep the adapter in ``folder`` in memory; returns its name there. Twice is once.

        Raises:
            WeightsError: it was made for other base weights, or its files are not its recipe's.
        """
        name = self.adapter_name(folder, recipe)
        with self._lock:
            self._check_free()
            if name not in self.adapters.names:
                self.adapters.load(name, folder, recipe.lora, recipe.transfer)
        return name

    def adapter_name(self, folder: Path, recipe: Recipe) -> str:
        """The task, and a hash of the weights in ``folder``.

        Raises:
            WeightsError: it was made for other base weights, or there are none.
        """
        return adapter_key(folder, recipe, self.fingerprint)

    def visual_tokens(
        self,
        patches: Tensor | None,
        qformer_text: Sequence[str],
        adapter: str | None = None,
        heard: Heard | None = None,
        expected: Tensor | None = None,
    ) -> Tensor:
        """Visual tokens ``(B, L, W)`` for B texts about as many clips' frames ``(B, T, K, Dv)``,
        what an adapter with sound hears beside these, and how expected ``(B, K)`` their last lines
        were."""
        ids, mask = self.qformer_ids(qformer_text)
        patches = None if patches is None else patches.to(ids.device)
        with self._lock:
            self._check_free()
            if adapter is None and not self.loaded_adapters:
                return self.qformer(patches, ids, mask)
            with self.using(adapter) as qformer:
                if adapter is None:
                    return self.qformer(patches, ids, mask)
                heard = heard and heard.to(ids.device)
                expected = None if expected is None else expected.to(ids.device)
                return qformer(patches, ids, mask, heard=heard, expected=expected)

    def qformer_ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Padded Q-Former ids and mask ``(B, Kt)``, at most the Q-Former's text positions."""
        limit = self.config.qformer.text_positions
        rows = [
            torch.tensor(self.qformer_tokenizer(text)["input_ids"][:limit], dtype=torch.long)
            for text in texts
        ]
        device = self.qformer.queries.device
        ids = pad_sequence(rows, batch_first=True).to(device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        return ids, (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long()

    def fit_qformer_text(self, parts: Sequence[str]) -> tuple[str, int]:
        """Join ``parts``, the most important first, as far as the Q-Former's positions reach.

        Returns:
            The text and how many parts, from the end, were dropped.
        """
        room = self.config.qformer.text_positions - 2  # [CLS] and [SEP]
        kept: list[str] = []
        for part in parts:
            room -= len(self.qformer_tokenizer(part, add_special_tokens=False)["input_ids"])
            if room < 0:
                break
            kept.append(part)
        return "\n".join(kept), len(parts) - len(kept)

    @within_memory()
    @torch.inference_mode()
    def generate_batch(
        self,
        visual: Tensor,
        prompts: Sequence[str],
        histories: Sequence[History],
        max_new_tokens: int | None = None,
        beams: int | None = None,
        adapter: str | None = None,
    ) -> list[Iterator[str]]:
        """Pieces of the answer to each prompt; a single one streams, unless it is found by beams.

        ``visual`` ``(B, L, W)`` of :meth:`visual_tokens`.
        """
        self._check_free()
        longest = max_new_tokens or self.config.llm.max_new_tokens
        answers = self.llm_of(adapter).generate_batch(
            visual, self._prompt_ids(prompts, histories), longest, beams
        )
        return [each_within_memory(answer) for answer in answers]

    @within_memory()
    def propose(
        self,
        visual: Tensor,
        prompts: Sequence[str],
        histories: Sequence[History],
        max_new_tokens: int | None = None,
        beams: int | None = None,
    ) -> list[list[str]]:
        """Several answers to each prompt, by the base weights, the best first."""
        self._check_free()
        longest = max_new_tokens or self.config.llm.max_new_tokens
        return self.llm.propose(visual, self._prompt_ids(prompts, histories), longest, beams)

    @within_memory()
    @torch.no_grad()  # training measures by it, too
    def score_batch(
        self,
        visual: Tensor,
        prompts: Sequence[str],
        histories: Sequence[History],
        answers: Sequence[Sequence[tuple[str, bool]]],
        adapter: str | None = None,
        *,
        choosing: bool = False,
    ) -> list[list[float]]:
        """Mean log-probability per token of some answers to each prompt: their texts, and whether
        they ended or are the beginning of more. ``visual`` ``(B, L, W)``; ``choosing``: see
        :meth:`llm_of`."""
        self._check_free()
        llm = self.llm_of(adapter, choosing=choosing)
        ids = [[llm.answer_ids(text, ended=ended) for text, ended in some] for some in answers]
        losses = llm.answer_losses(visual, self._prompt_ids(prompts, histories), ids)
        return [(-own).tolist() for own in losses]

    def _prompt_ids(self, prompts: Sequence[str], histories: Sequence[History]) -> list[Tensor]:
        pairs = zip(prompts, histories, strict=True)
        return [self.llm.prompt_ids(prompt, history) for prompt, history in pairs]

    @torch.inference_mode()
    def routing(
        self,
        patches: Tensor | None,
        *,
        qformer_text: str,
        adapter: str | None,
        heard: Heard | None = None,
        expected: Tensor | None = None,
    ) -> list[dict[str, list[float]]]:
        """Per layer the weights of the receptive fields in "space" and "time", widest first.

        Empty without an adapter, and for one without routing; ``patches`` ``(T, K, Dv)``.
        """
        if adapter is None:
            return []
        ids, mask = self.qformer_ids([qformer_text])
        with self.using(adapter) as qformer:
            seen = None if patches is None else patches[None].to(ids.device)
            sound = together([heard])
            sound = sound and sound.to(ids.device)
            expected = None if expected is None else expected[None].to(ids.device)
            routes = qformer.states(seen, ids, mask, heard=sound, expected=expected).routes
        found = [{axis: alpha[0].tolist() for axis, alpha in route.items()} for route in routes]
        return found if any(found) else []

    def occlusion(
        self,
        patches: Tensor,
        *,
        qformer_text: str,
        prompt: str,
        answer: str,
        history: History = (),
        adapter: str | None = None,
        choosing: bool = False,
        ended: bool = True,
        heard: Heard | None = None,
        expected: Tensor | None = None,
    ) -> Iterator[float]:
        """What each of T frames ``(T, K, Dv)`` adds to an answer's mean log-probability per token.

        It is what the answer loses when the frame is left out, and what is ``heard`` beside it; a
        single frame's loss is that of all pictures. A pass of the model leaves out ``OCCLUDED``
        frames in turn; between two passes others may have the model, and the reader may leave.
        """

        @within_memory()
        @torch.inference_mode()
        def scores(left: Sequence[Sequence[int]]) -> list[float]:
            seen = [patches[list(frames)] if frames else None for frames in left]
            sounds = [heard.of(frames) if heard and frames else None for frames in left]
            texts = [qformer_text] * len(seen)
            kept = [frames for frames in seen if frames is not None]
            pictures = torch.stack(kept) if kept else None
            signals = None if expected is None else expected.expand(len(seen), -1)
            visual = self.visual_tokens(pictures, texts, adapter, together(sounds), signals)
            prompts, histories = [prompt] * len(seen), [history] * len(seen)
            same = [[(answer, ended)]] * len(seen)
            told = self.score_batch(visual, prompts, histories, same, adapter, choosing=choosing)
            return [score for (score,) in told]

        places = range(len(patches))
        (whole,) = scores([places])
        rest = [[one for one in places if one != place] for place in places]
        for start in range(0, len(rest), OCCLUDED):
            yield from (whole - without for without in scores(rest[start : start + OCCLUDED]))
