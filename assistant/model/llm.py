"""The frozen language model: visual tokens and a prompt in, streamed text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from assistant.core.config import LLMConfig
from assistant.errors import ModelError
from assistant.model import decoding
from assistant.model.generating import streamed
from assistant.model.llama import Llama
from assistant.model.quantization import is_quantized, let_gradients_through
from assistant.model.rules import NoLoops, is_whole, list_once, never_twice, penalise

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from assistant.model.tokens import Tokens

History = Sequence[tuple[str, str]]


class LanguageModel(nn.Module):
    """A frozen causal LLM that reads ``[visual tokens][history][prompt]``.

    A `Llama` answers by `assistant.model.decoding`, any other network by its own `generate`.
    """

    def __init__(
        self,
        network: Llama | PreTrainedModel,
        tokenizer: Tokens | PreTrainedTokenizerBase,
        config: LLMConfig,
    ) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        # A Linear on a slice of a batch would copy its weights once per row.
        head = self.network.get_output_embeddings()
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
        self.tokenizer = tokenizer
        self.config = config
        self._loops = NoLoops(tokenizer)
        self._guess: decoding.Weights | None = None  # made with the second answer that streams
        self._streams = 0

    def weights_changed(self) -> None:
        """Call it after a weight of the network was changed in place: copies are made anew.

        Answers are right without it; they stream slower, as what guesses ahead guesses worse.
        """
        self._guess = None

    @property
    def width(self) -> int:
        """W, the width of an input embedding."""
        return self.network.get_input_embeddings().weight.shape[1]

    def let_learn(self, *, checkpointing: bool = False) -> None:
        """Prepare to pass gradients to the visual tokens, in training mode; nothing here learns.

        Args:
            checkpointing: compute layers anew in the backward pass instead of keeping what they
                made: about a third more time for much less memory.
        """
        let_gradients_through(self.network)
        if checkpointing:
            self.network.activation_checkpointing_enable({"use_reentrant": False})

    def shard(self, device: torch.device) -> None:
        """Spread every layer over the processes that train together (FSDP): each holds its part, on
        ``device``, and gathers the whole layer while it is at work.

        Raises:
            ModelError: the LLM is quantized; then it is small already.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        if is_quantized(self.network):
            raise ModelError("a quantized LLM is not spread out; choose --quantize none with shard")
        mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
        kinds = set(self.network._no_split_modules)
        for layer in list(self.network.modules()):
            if type(layer).__name__ in kinds:
                fully_shard(layer, mesh=mesh, reshard_after_forward=True)

    def prompt_ids(self, prompt: str, history: History = ()) -> Tensor:
        """Ids of the earlier turns and the prompt, ``(Lp,)``."""
        turn, end = self.config.turn, self.config.end
        past = "".join(turn.format(prompt=asked) + answer + end for asked, answer in history)
        text = past + turn.format(prompt=prompt)
        special = self.config.special_tokens
        ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return torch.tensor(ids, dtype=torch.long)

    def answer_ids(self, answer: str, *, ended: bool = True) -> Tensor:
        """Ids of an answer, ``(La,)``, with the end token where it ``ended``."""
        ids = self.tokenizer(answer, add_special_tokens=False)["input_ids"]
        end = [self.tokenizer.eos_token_id] if ended else []
        return torch.tensor([*ids, *end], dtype=torch.long)

    def answer_losses(
        self, visual: Tensor, prompts: Sequence[Tensor], answers: Sequence[Sequence[Tensor]]
    ) -> list[Tensor]:
        """Mean cross-entropy per token of each answer (MTransLLAMA, Eq. 3), ``(A,)`` per sample.

        Arguments as of :meth:`token_losses`.
        """
        told = self.token_losses(visual, prompts, answers)
        return [torch.stack([losses.mean() for losses in some]) for some in told]

    def token_losses(
        self, visual: Tensor, prompts: Sequence[Tensor], answers: Sequence[Sequence[Tensor]]
    ) -> list[list[Tensor]]:
        """Cross-entropy of the tokens of each answer, ``(La,)``, A of them per sample.

        All answers follow the prompt in one sequence, each blind for the others, so that what they
        share is computed once.

        Args:
            visual: ``(B, L, W)``. prompts: ids per sample. answers: ids of A answers per sample.
        """
        embed = self.network.get_input_embeddings()
        device = visual.device
        width = visual.shape[1]
        starts = [width + len(prompt) for prompt in prompts]  # of the first answer
        texts = [torch.cat([p, *some]) for p, some in zip(prompts, answers, strict=True)]
        ids = pad_sequence(texts, batch_first=True).to(device)
        tokens = embed(ids)
        x = torch.cat([visual.to(tokens.dtype), tokens], dim=1)  # (B, N, W)
        owner = torch.zeros(x.shape[:2], dtype=torch.long)  # 0: shared, j: of answer j
        position = torch.arange(x.shape[1]).repeat(len(x), 1)
        before: list[Tensor] = []  # places whose states predict a row's answer tokens, per answer
        for row, (start, some) in enumerate(zip(starts, answers, strict=True)):
            at = start
            for number, answer in enumerate(some, 1):
                end = at + len(answer)
                owner[row, at:end] = number
                position[row, at:end] = torch.arange(start, start + len(answer))
                before.append(torch.tensor([start - 1, *range(at, end - 1)]))
                at = end
        shared, own = owner[:, None] == 0, owner[:, None] == owner[:, :, None]
        earlier = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        hidden_from = ~(earlier & (shared | own))[:, None].to(device)  # (B, 1, N, N)
        bias = torch.zeros(hidden_from.shape, dtype=x.dtype, device=device)
        states = self.network.base_model(
            inputs_embeds=x,
            attention_mask=bias.masked_fill(hidden_from, torch.finfo(x.dtype).min),
            position_ids=position.to(device),
            use_cache=False,
        ).last_hidden_state
        counts = [len(some) for some in answers]
        rows = [row for row, count in enumerate(counts) for _ in range(count)]
        picked = [states[row, places.to(device)] for row, places in zip(rows, before, strict=True)]
        losses = iter(self._losses(picked, [answer for some in answers for answer in some]))
        return [list(islice(losses, count)) for count in counts]

    def _losses(self, states: Sequence[Tensor], answers: Sequence[Tensor]) -> Sequence[Tensor]:
        """Of each answer ``(La,)``, from the states ``(La, W)`` that predict it; the head is
        costly."""
        hidden = torch.cat(list(states)).contiguous()  # (N, W)
        labels = torch.cat(list(answers)).to(hidden.device)
        head = self.network.get_output_embeddings()
        # bf16 logits of likely words often tie: the label's own is computed in fp32.
        exact = (hidden.float() * head.weight[labels].float()).sum(-1)
        losses = head(hidden).float().logsumexp(-1) - exact
        return losses.split([len(answer) for answer in answers])

    @torch.inference_mode()
    def complete(
        self,
        visual: Tensor,
        prompts: Sequence[Tensor],
        max_new_tokens: int,
        beams: int | None = None,
    ) -> list[str]:
        """Whole answers; arguments as of :meth:`generate_batch`."""
        out = self._answer_ids(visual, prompts, max_new_tokens, beams or self.config.beams)
        return self._texts(out)

    @torch.inference_mode()
    def propose(
        self,
        visual: Tensor,
        prompts: Sequence[Tensor],
        max_new_tokens: int,
        beams: int | None = None,
    ) -> list[list[str]]:
        """The best answers to each prompt that beam search ends with, the best first, each once."""
        beams = beams or self.config.beams
        rows = self._answer_ids(visual, prompts, max_new_tokens, beams, answers=beams)
        texts = self._texts(rows)
        groups = (texts[start : start + beams] for start in range(0, len(texts), beams))
        return [list(dict.fromkeys(filter(None, some))) for some in groups]

    def _texts(self, rows: Tensor) -> list[str]:
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        once = self.config.one_sentence
        return [list_once(text.strip()) if once else text.strip() for text in texts]

    def generate_batch(
        self,
        visual: Tensor,
        prompts: Sequence[Tensor],
        max_new_tokens: int,
        beams: int | None = None,
    ) -> list[Iterator[str]]:
        """Pieces of the answer to each prompt; a single one's come as they are made.

        Beam search knows its answers only at the end: one piece. ``visual`` ``(B, L, W)``.
        """
        beams = beams or self.config.beams
        if beams > 1:
            whole = self.complete(visual, prompts, max_new_tokens, beams)
            return [iter([text] if text else []) for text in whole]
        if len(prompts) == 1:
            return [self._stream(visual, prompts[0], max_new_tokens)]
        with torch.inference_mode():
            rows = self._answer_ids(visual, prompts, max_new_tokens, beams)
        return [self._told(row.tolist()) for row in rows]

    def _answer_ids(
        self,
        visual: Tensor,
        prompts: Sequence[Tensor],
        max_new_tokens: int,
        beams: int,
        answers: int = 1,
    ) -> Tensor:
        """``(B * answers, N)``, a prompt's best first, shorter ones filled up with end tokens."""
        if not isinstance(self.network, Llama):
            x, mask = self._left_padded(visual, prompts)
            return self.network.generate(
                inputs_embeds=x,
                attention_mask=mask,
                num_return_sequences=answers,
                **self._options(max_new_tokens, beams),
            )
        rows = self._embedded(visual, prompts)
        if beams > 1:
            steps = decoding.Steps(self.network, rows, max_new_tokens, beams)
            found = decoding.search(steps, beams, max_new_tokens, self._rule, self._ended)
            end = self.tokenizer.eos_token_id
            told = [own[min(place, len(own) - 1)] for own in found for place in range(answers)]
            return pad_sequence(told, batch_first=True, padding_value=end)
        return torch.stack(list(self._greedy(rows, max_new_tokens)), dim=1)

    def _stream(self, visual: Tensor, prompt: Tensor, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one answer; ``visual`` ``(1, L, W)``. Leaving early stops the work."""
        if not isinstance(self.network, Llama):
            x, mask = self._left_padded(visual, [prompt])
            options = self._options(max_new_tokens, beams=1)
            return self._told(streamed(self.network, x, mask, options))
        tokens = self._greedy(self._embedded(visual, [prompt]), max_new_tokens)
        return self._told(int(token) for token in tokens)

    def _told(self, tokens: Iterable[int]) -> Iterator[str]:
        """Text of tokens as far as it is sure: whole words, each with the space after it."""
        kept: list[int] = []
        told = 0  # characters
        for token in tokens:
            kept.append(token)
            text = self.tokenizer.decode(kept, skip_special_tokens=True)
            sure = len(text) if text.endswith("\n") else text.rfind(" ") + 1
            if piece := text[told:sure].strip("\n"):
                yield piece
            told = max(told, sure)
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        if piece := text[told:].strip("\n"):
            yield piece

    def _greedy(self, rows: Sequence[Tensor], max_new_tokens: int) -> Iterator[Tensor]:
        """Tokens ``(B,)`` of a `Llama`'s answers to embeddings ``(N, W)``."""
        if len(rows) == 1:
            if self._guess is None and self._streams:  # a copy costs more than one answer gains
                self._guess = decoding.guessing(self.network)
            self._streams += 1
        with torch.inference_mode():
            steps = decoding.Steps(self.network, rows, max_new_tokens)
        end = self.tokenizer.eos_token_id
        yield from decoding.greedy(steps, max_new_tokens, self._rule, self._ended, end, self._guess)

    def _left_padded(self, visual: Tensor, prompts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Visual tokens and prompts ``(B, N, W)``, padded on the left, and their mask."""
        rows = self._embedded(visual, prompts)
        x = pad_sequence(rows, batch_first=True, padding_side="left")
        lengths = torch.tensor([len(row) for row in rows], device=visual.device)
        mask = torch.arange(x.shape[1], device=visual.device) >= x.shape[1] - lengths[:, None]
        return x, mask.long()

    def _embedded(self, visual: Tensor, prompts: Sequence[Tensor]) -> list[Tensor]:
        """Visual tokens and prompts, ``(N, W)`` each."""
        embed = self.network.get_input_embeddings()
        return [
            torch.cat([tokens.to(embed.weight.dtype), embed(ids.to(visual.device))])
            for tokens, ids in zip(visual, prompts, strict=True)
        ]

    def _ended(self, ids: Tensor) -> Tensor:
        """Which of some answers ``(R, N)`` have come to their end."""
        ended = ids[:, -1] == self.tokenizer.eos_token_id
        return ended | self._sentence_ended(ids) if self.config.one_sentence else ended

    def _sentence_ended(self, ids: Tensor, *_: object, **__: object) -> Tensor:
        """Which have ended their first sentence or line, or say a list once more."""
        said = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return torch.tensor([is_whole(text) for text in said], device=ids.device)

    def _rule(self, ids: Tensor, scores: Tensor) -> Tensor:
        """What `_options` asks of `generate`."""
        config = self.config
        if config.repetition_penalty != 1.0:
            scores = penalise(ids, scores, config.repetition_penalty)
        if config.no_repeat:
            scores = never_twice(ids, scores, config.no_repeat)
        return self._loops(ids, scores) if config.one_sentence else scores

    def _options(self, max_new_tokens: int, beams: int) -> dict[str, Any]:
        one = self.config.one_sentence
        return {
            "max_new_tokens": max_new_tokens,
            "do_sample": False,
            "num_beams": beams,
            **({"early_stopping": True} if beams > 1 else {}),
            "repetition_penalty": self.config.repetition_penalty,
            "no_repeat_ngram_size": self.config.no_repeat,
            "pad_token_id": self.tokenizer.eos_token_id,
            "stopping_criteria": [self._sentence_ended] if one else [],
            "logits_processor": [self._loops] if one else [],
        }
