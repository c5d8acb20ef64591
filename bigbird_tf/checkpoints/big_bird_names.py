"""The names that `transformers` has for the tensors of BigBird's classes."""

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

__all__ = ["BIG_BIRD_NAMES", "modern_name"]

_EMBEDDINGS = (
    ("embeddings.word_embeddings", "embeddings.word_embeddings", EMBEDDING),
    ("embeddings.position_embeddings", "embeddings.position_embeddings", EMBEDDING),
    ("embeddings.token_type_embeddings", "embeddings.token_type_embeddings", EMBEDDING),
    ("embeddings.global_embeddings", "embeddings.global_embeddings", EMBEDDING),
    ("embeddings.LayerNorm", "embeddings.layer_norm", LAYER_NORM),
)
_BLOCK = (
    ("attention.self.query", "attention.query_dense", DENSE),
    ("attention.self.key", "attention.key_dense", DENSE),
    ("attention.self.value", "attention.value_dense", DENSE),
    ("attention.self", "attention", (("relative_embeddings", "relative_embeddings", False),)),
    ("attention.output.dense", "attention.output_dense", DENSE),
    ("attention.output.LayerNorm", "layer_norm", LAYER_NORM),
    ("intermediate.dense", "feed_forward.intermediate_dense", DENSE),
    ("output.dense", "feed_forward.output_dense", DENSE),
    ("output.LayerNorm", "feed_forward.layer_norm", LAYER_NORM),
)
_POOLER = (("pooler", "pooler.dense", DENSE),)


def _language_model(path: str) -> tuple:
    # A tied decoder is the word embeddings, and not stored again.
    return (
        ("cls.predictions.decoder", f"{path}.decoder", (("weight", "kernel", True),)),
        ("cls.predictions.transform.dense", f"{path}.dense", DENSE),
        ("cls.predictions.transform.LayerNorm", f"{path}.layer_norm", LAYER_NORM),
        ("cls.predictions", path, (("bias", "bias", False),)),
    )


_LINEAR = (("classifier", "head.dense", DENSE),)
_HEADS: dict[str, Rows] = {
    "BigBirdForPreTraining": (
        *_language_model("head.predictions"),
        ("cls.seq_relationship", "head.seq_relationship", DENSE),
    ),
    "BigBirdForMaskedLM": _language_model("head"),
    "BigBirdForCausalLM": _language_model("head"),
    "BigBirdForMultipleChoice": _LINEAR,
    "BigBirdForTokenClassification": _LINEAR,
    "BigBirdForSequenceClassification": (
        ("classifier.dense", "head.dense", DENSE),
        ("classifier.out_proj", "head.output_dense", DENSE),
    ),
    "BigBirdForQuestionAnswering": (
        ("qa_classifier.intermediate.dense", "head.feed_forward.intermediate_dense", DENSE),
        ("qa_classifier.output.dense", "head.feed_forward.output_dense", DENSE),
        ("qa_classifier.output.LayerNorm", "head.feed_forward.layer_norm", LAYER_NORM),
        ("qa_classifier.qa_outputs", "head.output_dense", DENSE),
    ),
}
_BIAS, _DECODER, _DECODER_BIAS = (
    f"cls.predictions.{name}" for name in ("bias", "decoder.weight", "decoder.bias")
)


def _backbone_entries(backbone: Any, prefix: str) -> Iterator[tuple[str, Entry]]:
    yield from entries(backbone, _EMBEDDINGS, prefix)
    for index, block in enumerate(backbone.encoder.blocks):
        yield from entries(block, _BLOCK, f"{prefix}encoder.layer.{index}.")
    if backbone.pooler is not None:
        yield from entries(backbone, _POOLER, prefix)


def _optional_parts(backbone: Any) -> tuple[str, ...]:
    parts = ["pooler."]
    # Of checkpoints without global tokens; where the model has none, they are none of its tensors.
    if backbone.embeddings.global_embeddings is not None:
        parts.append("embeddings.global_embeddings.")
    # Of checkpoints with a table of positions, which the model has not.
    if backbone.embeddings.position_embeddings is None:
        parts.append("embeddings.position_embeddings.")
        parts += [
            f"encoder.layer.{index}.attention.self.relative_embeddings"
            for index in range(len(backbone.encoder.blocks))
        ]
    return tuple(parts)


def _head_entries(rows: Rows) -> Callable[[Any], Iterator[tuple[str, Entry]]]:
    return lambda model: entries(model, rows, "")


def modern_name(name: str) -> str:
    """Returns today's name of a tensor; checkpoints of old have gamma and beta."""
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)


def _rename(names: dict[str, str]) -> dict[str, str]:
    renamed = {modern_name(name): stored for name, stored in names.items()}
    if _DECODER_BIAS in renamed:
        # The one that `transformers` reads; they are the same where the decoder is tied.
        renamed[_BIAS] = renamed.pop(_DECODER_BIAS)
    return renamed


def _copies(model: Any, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    # In `transformers` a decoder that is not tied has this bias, and does not read the other.
    return {_DECODER_BIAS: tensors[_BIAS]} if _DECODER in tensors else {}


BIG_BIRD_NAMES = NameTable(
    prefix="bert.",
    backbone_parts=("embeddings.", "encoder.", "pooler."),
    optional_parts=_optional_parts,
    head_prefixes=("cls.predictions.", "cls.seq_relationship.", "classifier.", "qa_classifier."),
    backbone_entries=_backbone_entries,
    head_entries={name: _head_entries(rows) for name, rows in _HEADS.items()},
    word_embeddings=("bert.embeddings.word_embeddings.weight",),
    decoder=_DECODER,
    decoding_heads=("BigBirdForPreTraining", "BigBirdForMaskedLM", "BigBirdForCausalLM"),
    # Counted positions, and copies of tied weights.
    no_weights=re.compile(
        r"(\.|^)(position_ids|token_type_ids)$|^cls\.predictions\.decoder\.(weight|bias)$"
    ),
    rename=_rename,
    copies=_copies,
)
