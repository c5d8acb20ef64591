"""The names that `transformers` has for the tensors of BigBird-Pegasus' classes."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bigbird_tf.checkpoints.name_table import (
    DENSE,
    EMBEDDING,
    LAYER_NORM,
    Entry,
    NameTable,
    Rows,
    entries,
)

__all__ = ["BIG_BIRD_PEGASUS_NAMES"]


def _decoder_attention(name: str, path: str) -> Rows:
    parts = {"q": "query", "k": "key", "v": "value", "out": "output"}
    return tuple(
        (f"{name}.{theirs}_proj", f"{path}.{ours}_dense", DENSE) for theirs, ours in parts.items()
    )


_FEED_FORWARD = (
    ("fc1", "feed_forward.intermediate_dense", DENSE),
    ("fc2", "feed_forward.output_dense", DENSE),
    ("final_layer_norm", "feed_forward.layer_norm", LAYER_NORM),
)
_ENCODER_BLOCK = (
    ("self_attn_layer_norm", "layer_norm", LAYER_NORM),
    ("self_attn.self.query", "attention.query_dense", DENSE),
    ("self_attn.self.key", "attention.key_dense", DENSE),
    ("self_attn.self.value", "attention.value_dense", DENSE),
    ("self_attn.output", "attention.output_dense", DENSE),
    *_FEED_FORWARD,
)
_DECODER_BLOCK = (
    ("self_attn_layer_norm", "layer_norm", LAYER_NORM),
    *_decoder_attention("self_attn", "attention"),
    ("encoder_attn_layer_norm", "cross_layer_norm", LAYER_NORM),
    *_decoder_attention("encoder_attn", "cross_attention"),
    *_FEED_FORWARD,
)
_DECODER, _FINAL_BIAS = "lm_head.weight", "final_logits_bias"
_SHARED, _ENCODER_WORDS, _DECODER_WORDS = _WORD_EMBEDDINGS = (
    "shared.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
)


def _stack_entries(
    stack: Any, embeddings: Any, rows: Rows, prefix: str
) -> Iterator[tuple[str, Entry]]:
    table = (("embed_positions", "position_embeddings", EMBEDDING),)
    yield from entries(embeddings, table, prefix)
    # At the beginning of a stack, or at its end.
    owner = stack if embeddings.layer_norm is None else embeddings
    yield from entries(owner, (("layernorm_embedding", "layer_norm", LAYER_NORM),), prefix)
    for index, block in enumerate(stack.blocks):
        yield from entries(block, rows, f"{prefix}layers.{index}.")


def _backbone_entries(backbone: Any, prefix: str) -> Iterator[tuple[str, Entry]]:
    encoder = getattr(backbone, "encoder", None)
    # A decoder alone has word embeddings of its own.
    words = _DECODER_WORDS if encoder is None else _SHARED
    yield f"{prefix}{words}", Entry(backbone.word_embeddings, "embeddings", False)
    if encoder is not None:
        yield from _stack_entries(
            encoder, backbone.encoder_embeddings, _ENCODER_BLOCK, f"{prefix}encoder."
        )
    yield from _stack_entries(
        backbone.decoder, backbone.decoder_embeddings, _DECODER_BLOCK, f"{prefix}decoder."
    )


def _decoder_entries(model: Any) -> Iterator[tuple[str, Entry]]:
    # A tied decoder is the word embeddings, and not stored again.
    if model.head.decoder is not None:
        yield _DECODER, Entry(model.head.decoder, "kernel", True)


def _generation_entries(model: Any) -> Iterator[tuple[str, Entry]]:
    yield from _decoder_entries(model)
    yield _FINAL_BIAS, Entry(model.head, "bias", False, is_row=True)


def _head_entries(*rows: Any) -> Callable[[Any], Iterator[tuple[str, Entry]]]:
    return lambda model: entries(model, rows, "")


def _rename(names: dict[str, str]) -> dict[str, str]:
    """Finds the word embeddings under any of their names; files hold one of the copies or all."""
    for prefix in ("", "model."):
        stored = [names[prefix + name] for name in _WORD_EMBEDDINGS if prefix + name in names]
        for name in (_SHARED, _DECODER_WORDS) if stored else ():
            names = {prefix + name: stored[0], **names}
    return names


def _copies(model: Any, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "encoder"):
        # `transformers` 5.24 has no ties in a decoder alone, whatever the config says.
        is_whole = backbone is model or _DECODER in tensors
        return {} if is_whole else {_DECODER: tensors[f"model.{_DECODER_WORDS}"]}
    if model.config.tie_word_embeddings:
        return {}
    # `transformers` then has word embeddings in both stacks, too.
    prefix = "" if backbone is model else "model."
    words = tensors[f"{prefix}{_SHARED}"]
    return {f"{prefix}{name}": words for name in (_ENCODER_WORDS, _DECODER_WORDS)}


BIG_BIRD_PEGASUS_NAMES = NameTable(
    prefix="model.",
    backbone_parts=("shared.", "encoder.", "decoder."),
    # A decoder alone may be taken from a checkpoint of both.
    optional_parts=lambda backbone: () if hasattr(backbone, "encoder") else ("encoder.",),
    head_prefixes=("lm_head.", "final_logits_bias", "classification_head.", "qa_outputs."),
    backbone_entries=_backbone_entries,
    head_entries={
        "BigBirdPegasusForConditionalGeneration": _generation_entries,
        "BigBirdPegasusForCausalLM": _decoder_entries,
        "BigBirdPegasusForSequenceClassification": _head_entries(
            ("classification_head.dense", "head.dense", DENSE),
            ("classification_head.out_proj", "head.output_dense", DENSE),
        ),
        "BigBirdPegasusForQuestionAnswering": _head_entries(("qa_outputs", "head.dense", DENSE)),
    },
    word_embeddings=tuple(f"model.{name}" for name in _WORD_EMBEDDINGS),
    decoder=_DECODER,
    decoding_heads=("BigBirdPegasusForConditionalGeneration", "BigBirdPegasusForCausalLM"),
    # Copies of tied weights.
    no_weights=re.compile(r"(\.|^)(shared|embed_tokens)\.weight$"),
    zeros=frozenset({_FINAL_BIAS}),
    one_tensor=(*_WORD_EMBEDDINGS, *(f"model.{name}" for name in _WORD_EMBEDDINGS)),
    rename=_rename,
    copies=_copies,
)
