"""Tiny random models of the real classes, so that tests run in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    InstructBlipQFormerConfig,
    InstructBlipQFormerModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from assistant.core.config import EfficientNetConfig, LLMConfig, ModelConfig, QFormerConfig
from assistant.model.assistant import VideoAssistant
from assistant.model.encoders.cnn import EfficientNetEncoder
from assistant.model.encoders.efficientnet import EfficientNetLite
from assistant.model.llama import Llama, make_llama, plain_config
from assistant.model.llm import LanguageModel
from assistant.model.qformer import QFormer

LETTERS = " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!':|<>_/\n"
TURN = "Q {prompt} A "


def letter_tokenizer(bert: bool = False) -> PreTrainedTokenizerFast:
    """One token per letter; as BERT it adds [CLS] and [SEP]."""
    special = ["[PAD]", "[CLS]", "[SEP]", "<end>"]
    vocabulary = {token: i for i, token in enumerate([*special, *LETTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if bert:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", eos_token="<end>", cls_token="[CLS]"
    )


def tiny_qformer(token_width: int = 24, patch_width: int = 20, seed: int = 0) -> QFormer:
    """Three layers, 16 wide, 4 queries, with weights large enough to see."""
    torch.manual_seed(seed)
    config = QFormerConfig(
        queries=4, width=16, layers=3, heads=2, intermediate=32, text_positions=40, vocabulary=120
    )
    model = QFormer(config, patch_width, token_width).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    return model


def official_qformer(image: QFormer, state: dict[str, Tensor] | None = None) -> nn.Module:
    """`transformers`' own Q-Former with the weights of ``image``, or with those of ``state``."""
    shape, seen = image.config, image.layers[0].crossattention.attention.key.in_features
    theirs = InstructBlipQFormerModel._from_config(
        InstructBlipQFormerConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.intermediate,
            max_position_embeddings=shape.text_positions,
            cross_attention_frequency=shape.cross_every,
            encoder_hidden_size=seen,
        )
    )
    theirs.load_state_dict(image.qformer.state_dict() if state is None else state)
    return theirs.eval()


def tiny_llm(seed: int = 0) -> LanguageModel:
    """A two-layer Llama over letters."""
    torch.manual_seed(seed)
    tokenizer = letter_tokenizer()
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=120,
            hidden_size=24,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            initializer_range=0.3,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=1,
            pad_token_id=0,
        )
    )
    return LanguageModel(network, tokenizer, LLMConfig(turn=TURN, end="\n", max_new_tokens=6))


def llama_pair(seed: int = 0) -> tuple[LlamaForCausalLM, Llama]:
    """A two-layer Llama over letters: `transformers`' own, and ours with its weights."""
    torch.manual_seed(seed)
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=120,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            initializer_range=0.15,
            eos_token_id=letter_tokenizer().eos_token_id,
            bos_token_id=1,
            pad_token_id=0,
        )
    ).eval()
    config = plain_config(theirs.config.to_dict())
    assert config is not None
    state = {name: value.clone() for name, value in theirs.state_dict().items()}
    return theirs, make_llama(config, state)


def tiny_assistant(seed: int = 0) -> VideoAssistant:
    """The whole model, tiny; the encoder has its real shape at 64 pixels."""
    torch.manual_seed(seed)
    encoder = EfficientNetEncoder(EfficientNetLite().fuse(), EfficientNetConfig(size=64))
    llm = tiny_llm(seed)
    qformer = tiny_qformer(llm.width, encoder.width, seed)
    config = ModelConfig("tiny", encoder.config, qformer.config, llm.config)
    return VideoAssistant(
        config, encoder, qformer, letter_tokenizer(bert=True), llm, "tiny-0"
    ).eval()


def bert_folder(path: Path, seed: int = 0) -> Path:
    """A BERT checkpoint on disk that fits :func:`tiny_qformer`."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=120,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(path)
    letter_tokenizer(bert=True).save_pretrained(path)
    return path
