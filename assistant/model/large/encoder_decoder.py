"""The frozen language model where it is an encoder-decoder (Flan-T5)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutput

from assistant.model.llm import LanguageModel

NO_LABEL = -100  # what a loss leaves out, in transformers


class EncoderDecoder(LanguageModel):
    """Its encoder reads ``[visual tokens][history][prompt]``, its decoder writes the answer."""

    def answer_losses(
        self, visual: Tensor, prompts: Sequence[Tensor], answers: Sequence[Sequence[Tensor]]
    ) -> list[Tensor]:
        """As :meth:`LanguageModel.answer_losses`; what a sample's answers share is encoded once."""
        x, mask = self._left_padded(visual, prompts)  # (B, N, W)
        read = self.network.get_encoder()(inputs_embeds=x, attention_mask=mask).last_hidden_state
        counts = [len(some) for some in answers]
        rows = torch.repeat_interleave(torch.tensor(counts)).to(read.device)  # (A,), its sample
        ids = pad_sequence(
            [answer for some in answers for answer in some],
            batch_first=True,
            padding_value=NO_LABEL,
        ).to(read.device)  # (A, La)
        logits = self.network(
            encoder_outputs=BaseModelOutput(last_hidden_state=read[rows]),
            attention_mask=mask[rows],
            decoder_input_ids=self.network.prepare_decoder_input_ids_from_labels(labels=ids),
            use_cache=False,
        ).logits  # (A, La, V)
        losses = F.cross_entropy(
            logits.float().transpose(1, 2), ids, ignore_index=NO_LABEL, reduction="none"
        )
        return list((losses.sum(1) / (ids != NO_LABEL).sum(1)).split(counts))
