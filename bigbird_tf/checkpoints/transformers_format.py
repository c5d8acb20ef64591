"""The checkpoints of `transformers`: names of tensors, and which of them are transposed.

A pretrained model is saved here in the same form, so this is also the library's own format.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from bigbird_tf.checkpoints.tensor_files import (
    SAFETENSORS_NAME,
    TensorFiles,
    open_tensors,
    write_tensors,
)
from bigbird_tf.config import BigBirdConfig

__all__ = [
    "load",
    "match_tensors",
    "modern_name",
    "open_tensors",
    "save",
    "tensor_table",
    "untie",
]

# Kernels of dense layers are stored [out, in] there and [in, out] here.
_DENSE = (("weight", "kernel", True), ("bias", "bias", False))
_LAYER_NORM = (("weight", "gamma", False), ("bias", "beta", False))
_EMBEDDING = (("weight", "embeddings", False),)

_EMBEDDINGS_TABLE = (
    ("embeddings.word_embeddings", "embeddings.word_embeddings", _EMBEDDING),
    ("embeddings.position_embeddings", "embeddings.position_embeddings", _EMBEDDING),
    ("embeddings.token_type_embeddings", "embeddings.token_type_embeddings", _EMBEDDING),
    ("embeddings.LayerNorm", "embeddings.layer_norm", _LAYER_NORM),
)
_BLOCK_TABLE = (
    ("attention.self.query", "attention.query_dense", _DENSE),
    ("attention.self.key", "attention.key_dense", _DENSE),
    ("attention.self.value", "attention.value_dense", _DENSE),
    ("attention.output.dense", "attention.output_dense", _DENSE),
    ("attention.output.LayerNorm", "layer_norm", _LAYER_NORM),
    ("intermediate.dense", "feed_forward.intermediate_dense", _DENSE),
    ("output.dense", "feed_forward.output_dense", _DENSE),
    ("output.LayerNorm", "feed_forward.layer_norm", _LAYER_NORM),
)
_POOLER_TABLE = (("pooler", "pooler.dense", _DENSE),)


def _language_model_table(path: str) -> tuple:
    # A tied decoder is the word embeddings, and not stored again.
    return (
        ("cls.predictions.decoder", f"{path}.decoder", (("weight", "kernel", True),)),
        ("cls.predictions.transform.dense", f"{path}.dense", _DENSE),
        ("cls.predictions.transform.LayerNorm", f"{path}.layer_norm", _LAYER_NORM),
        ("cls.predictions", path, (("bias", "bias", False),)),
    )


_LINEAR_TABLE = (("classifier", "head.dense", _DENSE),)
_HEAD_TABLES = {
    "BigBirdForPreTraining": (
        *_language_model_table("head.predictions"),
        ("cls.seq_relationship", "head.seq_relationship", _DENSE),
    ),
    "BigBirdForMaskedLM": _language_model_table("head"),
    "BigBirdForCausalLM": _language_model_table("head"),
    "BigBirdForMultipleChoice": _LINEAR_TABLE,
    "BigBirdForTokenClassification": _LINEAR_TABLE,
    "BigBirdForSequenceClassification": (
        ("classifier.dense", "head.dense", _DENSE),
        ("classifier.out_proj", "head.output_dense", _DENSE),
    ),
    "BigBirdForQuestionAnswering": (
        ("qa_classifier.intermediate.dense", "head.feed_forward.intermediate_dense", _DENSE),
        ("qa_classifier.output.dense", "head.feed_forward.output_dense", _DENSE),
        ("qa_classifier.output.LayerNorm", "head.feed_forward.layer_norm", _LAYER_NORM),
        ("qa_classifier.qa_outputs", "head.output_dense", _DENSE),
    ),
}
_BACKBONE_PREFIX = "bert."
_STORED_DTYPES = (None, "float32", "bfloat16", "float16")
# Where the encoder's tensors are in a checkpoint of `BigBirdModel`, which has no prefix.
_BACKBONE_PARTS = ("embeddings.", "encoder.", "pooler.")
_WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
_BIAS, _DECODER, _DECODER_BIAS = (
    f"cls.predictions.{name}" for name in ("bias", "decoder.weight", "decoder.bias")
)
_HEAD_PREFIXES = ("cls.predictions.", "cls.seq_relationship.", "classifier.", "qa_classifier.")
# Stored by some versions of `transformers`, and no weights: counted positions, and copies of tied
# weights.
_NO_WEIGHTS = re.compile(
    r"(\.|^)(position_ids|token_type_ids)$|^cls\.predictions\.decoder\.(weight|bias)$"
)


class Entry(NamedTuple):
    """One tensor of a checkpoint: the layer's attribute that holds it, and how."""

    layer: keras.layers.Layer
    attribute: str
    is_transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the checkpoint."""
        shape = tuple(getattr(self.layer, self.attribute).shape)
        return shape[::-1] if self.is_transposed else shape

    def read(self) -> np.ndarray:
        """Returns the tensor as the checkpoint has it."""
        array = keras.ops.convert_to_numpy(getattr(self.layer, self.attribute))
        return np.ascontiguousarray(array.T if self.is_transposed else array)

    def write(self, array: np.ndarray) -> None:
        """Assigns the checkpoint's tensor."""
        array = array.T if self.is_transposed else array
        getattr(self.layer, self.attribute).assign(array)


def tensor_table(model: keras.Model) -> dict[str, Entry]:
    """Lists a model's weights by the names that `transformers` has for the same class."""
    backbone = getattr(model, "backbone", model)
    prefix = "" if backbone is model else _BACKBONE_PREFIX
    table = dict(_entries(backbone, _EMBEDDINGS_TABLE, prefix))
    for index, block in enumerate(backbone.encoder.blocks):
        table.update(_entries(block, _BLOCK_TABLE, f"{prefix}encoder.layer.{index}."))
    if backbone.pooler is not None:
        table.update(_entries(backbone, _POOLER_TABLE, prefix))
    if backbone is not model:
        table.update(_entries(model, _head_table(type(model)), ""))
    return table


def _head_table(model_class: Any) -> tuple:
    name = model_class.public_name
    if name not in _HEAD_TABLES:
        raise TypeError(
            f"A head must derive from one of {', '.join(sorted(_HEAD_TABLES))}: others have no "
            f"form that `transformers` reads. Received: {model_class.__name__}. `model.save` "
            "writes any model to a `.keras` file"
        )
    return _HEAD_TABLES[name]


def _entries(root: keras.layers.Layer, table: Any, prefix: str) -> Iterator[tuple[str, Entry]]:
    for name, path, attributes in table:
        layer = root
        for part in path.split("."):
            layer = getattr(layer, part)
        for suffix, attribute, is_transposed in attributes:
            if getattr(layer, attribute, None) is not None:
                yield f"{prefix}{name}.{suffix}", Entry(layer, attribute, is_transposed)


def save(model: keras.Model, directory: str | Path, *, dtype: str | None = None) -> None:
    """Writes a model's weights as `model.safetensors` into a directory.

    Weights of LoRA are added to the kernels that they belong to.

    Args:
        model: The model.
        directory: The folder.
        dtype: The floating-point dtype to store, such as `"float16"`; `None` for the weights' own.

    Raises:
        ValueError: If the model is quantized, if `dtype` is none that weights can be stored in, or
            if a weight is too large for it.
    """
    if dtype not in _STORED_DTYPES:
        choices = ", ".join(map(repr, _STORED_DTYPES))
        raise ValueError(f"`dtype` must be one of {choices}. Received: dtype={dtype!r}")
    table = tensor_table(model)
    quantized = [
        name for name, entry in table.items() if getattr(entry.layer, "quantization_mode", None)
    ]
    if quantized:
        raise ValueError(
            "A quantized model has no form that `transformers` reads: save it with "
            "`model.save('….keras')`, or call `save_pretrained` before `quantize`. Quantized are: "
            f"{_listing(quantized)}"
        )
    tensors = {name: entry.read() for name, entry in table.items()}
    if _DECODER in tensors:
        # In `transformers` a decoder that is not tied has this bias, and does not read the other.
        tensors[_DECODER_BIAS] = tensors[_BIAS]
    if dtype is not None:
        tensors = {name: _cast(name, tensor, dtype) for name, tensor in tensors.items()}
    write_tensors(tensors, Path(directory) / SAFETENSORS_NAME)


def _cast(name: str, tensor: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        cast = tensor.astype(dtype)
    if not np.isfinite(cast.astype("float32")).all() and np.isfinite(tensor).all():
        raise ValueError(
            f"`dtype` must hold all weights. Received: dtype={dtype!r}; the largest weight of "
            f"{name!r} is {np.abs(tensor).max():.3g}. Use 'bfloat16', or None for their own dtype."
        )
    return cast


class Match(NamedTuple):
    """How a checkpoint's tensors fit a model.

    Attributes:
        fitting: The checkpoint's own names by those of the model's table.
        fresh: Names of heads or the pooler that stay as they are.
        left_out: Names that the model has no place for.
        problems: Why nothing can be loaded, such as `"missing: bert.pooler.bias"`.
        advice: What may mend that, with a space before it.
    """

    fitting: dict[str, str]
    fresh: list[str]
    left_out: list[str]
    problems: list[str]
    advice: str


def load(
    model: keras.Model, tensors: TensorFiles, *, ignore_mismatched_sizes: bool = False
) -> None:
    """Loads a checkpoint's tensors into a model: all that belong there, or none.

    A head (or the pooler) that the checkpoint does not have at all stays as it is, with a warning;
    heads of other models in the checkpoint are passed over, those of no model here with a warning.

    Args:
        model: The model.
        tensors: The checkpoint's tensors.
        ignore_mismatched_sizes: Leave head weights of other shapes as they are, too.

    Raises:
        ValueError: If tensors are missing, of other shapes, or not floating-point numbers (a
            quantized checkpoint), or the encoder has more of them. The message names them.
    """
    match = match_tensors(model, tensors, ignore_mismatched_sizes=ignore_mismatched_sizes)
    if match.problems:
        raise ValueError(
            f"The checkpoint {tensors.source} does not fit {type(model).__name__}, and nothing of "
            f"it was loaded. Tensors {'; tensors '.join(match.problems)}.{match.advice}"
        )
    table = tensor_table(model)
    for name, stored in match.fitting.items():
        table[name].write(tensors[stored])
    if match.left_out:
        warnings.warn(
            f"{type(model).__name__} has no place for {_listing(match.left_out)} of the checkpoint "
            f"{tensors.source}: they are left out.",
            stacklevel=3,
        )
    if match.fresh:
        advice = "Train the model before you use it."
        is_unread = not getattr(model, "uses_pooler", True)
        if is_unread and all("pooler." in name for name in match.fresh):
            advice = "This model does not read them, but a `BigBirdModel` of what it saves would."
        warnings.warn(
            f"{type(model).__name__}: {_listing(match.fresh)} of the model are not in the "
            f"checkpoint {tensors.source} and start from fresh weights. {advice}",
            stacklevel=3,
        )


def match_tensors(
    model: keras.Model, tensors: TensorFiles, *, ignore_mismatched_sizes: bool = False
) -> Match:
    """Returns how a checkpoint's tensors fit a model, and reads none of them.

    Args:
        model, tensors, ignore_mismatched_sizes: As in `load`.
    """
    table = tensor_table(model)
    is_backbone = not hasattr(model, "backbone")
    names = _names_for(tensors, is_backbone)
    prefix = "" if is_backbone else _BACKBONE_PREFIX
    problems = []

    missing = [name for name in table if name not in names]
    optional_groups = [
        [name for name in table if name.startswith(start)]
        for start in (f"{prefix}pooler.", *_HEAD_PREFIXES)
    ]
    fresh = [name for group in optional_groups if set(group) <= set(missing) for name in group]
    missing = [name for name in missing if name not in fresh]
    if missing:
        problems.append(f"missing: {_listing(missing)}")

    unexpected = [name for name in names if name not in table and not _is_ignored(name, prefix)]
    if any(_is_of_encoder(names[name]) for name in unexpected) or (problems and unexpected):
        problems.append(f"unexpected: {_listing(unexpected)}")

    fitting = {}
    misshapen = []
    not_floating = []
    for name, entry in table.items():
        if name not in names:
            continue
        shape, dtype = tensors.shape(names[name]), tensors.dtype(names[name])
        # F32, BF16, float16: all have an f, and integers and booleans have none.
        if "f" not in dtype.lower():
            not_floating.append(f"{name} is {dtype}")
        elif shape == entry.shape:
            fitting[name] = names[name]
        elif ignore_mismatched_sizes and name.startswith(_HEAD_PREFIXES):
            fresh.append(name)
        else:
            misshapen.append(f"{name} is {shape}, the model has {entry.shape}")
    if misshapen:
        problems.append(f"of wrong shape: {_listing(misshapen)}")
    if not_floating:
        problems.append(f"that are not floating-point numbers: {_listing(not_floating)}")
    advice = ""
    if any(name.startswith(_HEAD_PREFIXES) for name in misshapen):
        advice = " For another number of labels, pass `ignore_mismatched_sizes=True`."
    return Match(fitting, fresh, unexpected, problems, advice)


def untie(model_class: type[Any], config: BigBirdConfig, tensors: TensorFiles) -> BigBirdConfig:
    """Returns the config of a checkpoint whose decoder is a matrix of its own.

    That is what the tensors say, even where the config says otherwise, as in `transformers`.

    Args:
        model_class: The class that is to be loaded.
        config: The checkpoint's config.
        tensors: The checkpoint's tensors.
    """
    entries = _HEAD_TABLES.get(model_class.public_name, ())
    if not config.tie_word_embeddings or not any(n == "cls.predictions" for n, *_ in entries):
        return config
    if not {_DECODER, _WORD_EMBEDDINGS} <= set(tensors):
        return config
    shapes = [tensors.shape(name) for name in (_DECODER, _WORD_EMBEDDINGS)]
    if shapes[0] == shapes[1] and np.array_equal(tensors[_DECODER], tensors[_WORD_EMBEDDINGS]):
        return config
    warnings.warn(
        f"{_DECODER} of the checkpoint {tensors.source} is not its word embeddings, though its "
        "config has tie_word_embeddings=True. The decoder stays as it is stored "
        "(tie_word_embeddings=False); for the word embeddings, pass tie_word_embeddings=True.",
        stacklevel=3,
    )
    return config.replace(tie_word_embeddings=False)


def _names_for(tensors: TensorFiles, is_backbone: bool) -> dict[str, str]:
    """Returns the checkpoint's own name for each name as the model's table has it."""
    has_prefix = any(name.startswith(_BACKBONE_PREFIX) for name in tensors)
    names = {}
    for stored in tensors:
        name = stored
        if is_backbone:
            name = name.removeprefix(_BACKBONE_PREFIX)
        elif not has_prefix and name.startswith(_BACKBONE_PARTS):
            name = _BACKBONE_PREFIX + name
        names[modern_name(name)] = stored
    if _DECODER_BIAS in names:
        # The one that `transformers` reads; they are the same where the decoder is tied.
        names[_BIAS] = names.pop(_DECODER_BIAS)
    return names


def _is_of_encoder(stored_name: str) -> bool:
    return stored_name.startswith((_BACKBONE_PREFIX, *_BACKBONE_PARTS))


def modern_name(name: str) -> str:
    """Returns today's name of a tensor; checkpoints of old have gamma and beta."""
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)


def _is_ignored(name: str, prefix: str) -> bool:
    return bool(
        _NO_WEIGHTS.search(name)
        or name.startswith(_HEAD_PREFIXES)
        or name.startswith(f"{prefix}pooler.")
    )


def _listing(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
