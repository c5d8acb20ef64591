"""The checkpoints of `transformers`: names of tensors, and which of them are transposed.

A pretrained model is saved here in the same form, so this is also the library's own format.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np

from bigbird_tf.checkpoints.big_bird_names import BIG_BIRD_NAMES, modern_name
from bigbird_tf.checkpoints.big_bird_pegasus_names import BIG_BIRD_PEGASUS_NAMES
from bigbird_tf.checkpoints.name_table import Entry, NameTable
from bigbird_tf.checkpoints.tensor_files import (
    SAFETENSORS_NAME,
    TensorFiles,
    open_tensors,
    write_tensors,
)
from bigbird_tf.config import BigBirdConfig, BigBirdPegasusConfig, ModelConfig

__all__ = [
    "load",
    "match_tensors",
    "modern_name",
    "open_tensors",
    "save",
    "tensor_table",
    "untie",
]

C = TypeVar("C", bound=ModelConfig)
_NAME_TABLES = {
    BigBirdConfig.model_type: BIG_BIRD_NAMES,
    BigBirdPegasusConfig.model_type: BIG_BIRD_PEGASUS_NAMES,
}
_STORED_DTYPES = (None, "float32", "bfloat16", "float16")


def _names_of(model: Any) -> NameTable:
    """Returns the table of a model's family, or of a class's."""
    return _NAME_TABLES[model.config_class.model_type]


def tensor_table(model: keras.Model) -> dict[str, Entry]:
    """Lists a model's weights by the names that `transformers` has for the same class."""
    names = _names_of(model)
    backbone = getattr(model, "backbone", model)
    prefix = "" if backbone is model else names.prefix
    table = dict(names.backbone_entries(backbone, prefix))
    if backbone is not model:
        table.update(_head_entries(type(model))(model))
    return table


def _head_entries(model_class: Any) -> Callable:
    name, known = model_class.public_name, _names_of(model_class).head_entries
    if name not in known:
        raise TypeError(
            f"A head must derive from one of {', '.join(sorted(known))}: others have no "
            f"form that `transformers` reads. Received: {model_class.__name__}. `model.save` "
            "writes any model to a `.keras` file"
        )
    return known[name]


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
    tensors.update(_names_of(model).copies(model, tensors))
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
    _check_one_tensor(model, tensors)
    table = tensor_table(model)
    _check_shared(model, table, match, tensors)
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


def _check_one_tensor(model: keras.Model, tensors: TensorFiles) -> None:
    """Refuses a checkpoint in which what is one tensor here is several, and they differ."""
    names = _names_of(model).one_tensor
    copies = [name for name in tensors if name in names]
    # A decoder alone has its own.
    if len(copies) < 2 or not hasattr(getattr(model, "backbone", model), "encoder"):
        return
    first = tensors[copies[0]]
    other = [name for name in copies[1:] if not np.array_equal(tensors[name], first)]
    if other:
        raise ValueError(
            f"{_listing(other)} of the checkpoint {tensors.source} must be equal to {copies[0]}, "
            f"since {type(model).__name__} has one table of words for encoder and decoder. Nothing "
            "was loaded"
        )


def _check_shared(
    model: keras.Model, table: dict[str, Entry], match: Match, tensors: TensorFiles
) -> None:
    """Refuses a checkpoint in which what two stacks share here differs."""
    stored: dict[Any, list[str]] = {}
    for name, theirs in match.fitting.items():
        stored.setdefault((id(table[name].layer), table[name].attribute), []).append(theirs)
    other = [
        name
        for first, *copies in stored.values()
        for name in copies
        if not np.array_equal(tensors[name], tensors[first])
    ]
    if other:
        raise ValueError(
            f"{_listing(other)} of the checkpoint {tensors.source} must be equal to the encoder's, "
            f"since {type(model).__name__} has tie_encoder_decoder=True. Nothing was loaded; pass "
            "tie_encoder_decoder=False for a decoder with weights of its own"
        )


def match_tensors(
    model: keras.Model, tensors: TensorFiles, *, ignore_mismatched_sizes: bool = False
) -> Match:
    """Returns how a checkpoint's tensors fit a model, and reads none of them.

    Args:
        model, tensors, ignore_mismatched_sizes: As in `load`.
    """
    table, of_family = tensor_table(model), _names_of(model)
    is_backbone = not hasattr(model, "backbone")
    names = _names_for(of_family, tensors, is_backbone)
    prefix = "" if is_backbone else of_family.prefix
    optional_parts = of_family.optional_parts(getattr(model, "backbone", model))
    optional = (*(prefix + part for part in optional_parts), *of_family.head_prefixes)
    problems = []

    missing = [name for name in table if name not in names and name not in of_family.zeros]
    optional_groups = [
        [name for name in table if name.startswith(start) and name not in of_family.zeros]
        for start in optional
    ]
    fresh = [name for group in optional_groups if set(group) <= set(missing) for name in group]
    missing = [name for name in missing if name not in fresh]
    if missing:
        problems.append(f"missing: {_listing(missing)}")

    unexpected = [
        name
        for name in names
        if not (name in table or name.startswith(optional) or of_family.no_weights.search(name))
    ]
    of_backbone = (of_family.prefix, *of_family.backbone_parts)
    is_of_backbone = any(names[name].startswith(of_backbone) for name in unexpected)
    if is_of_backbone or (problems and unexpected):
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
        elif ignore_mismatched_sizes and name.startswith(of_family.head_prefixes):
            fresh.append(name)
        else:
            misshapen.append(f"{name} is {shape}, the model has {entry.shape}")
    if misshapen:
        problems.append(f"of wrong shape: {_listing(misshapen)}")
    if not_floating:
        problems.append(f"that are not floating-point numbers: {_listing(not_floating)}")
    advice = ""
    if any(name.startswith(of_family.head_prefixes) for name in misshapen):
        advice = " For another number of labels, pass `ignore_mismatched_sizes=True`."
    return Match(fitting, fresh, unexpected, problems, advice)


def untie(model_class: type[Any], config: C, tensors: TensorFiles) -> C:
    """Returns the config of a checkpoint whose decoder is a matrix of its own.

    That is what the tensors say, even where the config says otherwise, as in `transformers`.

    Args:
        model_class: The class that is to be loaded.
        config: The checkpoint's config.
        tensors: The checkpoint's tensors.
    """
    names = _names_of(model_class)
    if not config.tie_word_embeddings or model_class.public_name not in names.decoding_heads:
        return config
    word_embeddings = next((name for name in names.word_embeddings if name in tensors), None)
    if word_embeddings is None or names.decoder not in tensors:
        return config
    shapes = [tensors.shape(name) for name in (names.decoder, word_embeddings)]
    if shapes[0] == shapes[1] and np.array_equal(tensors[names.decoder], tensors[word_embeddings]):
        return config
    warnings.warn(
        f"{names.decoder} of the checkpoint {tensors.source} is not its word embeddings, though "
        "its config has tie_word_embeddings=True. The decoder stays as it is stored "
        "(tie_word_embeddings=False); for the word embeddings, pass tie_word_embeddings=True.",
        stacklevel=3,
    )
    return config.replace(tie_word_embeddings=False)


def _names_for(names: NameTable, tensors: TensorFiles, is_backbone: bool) -> dict[str, str]:
    """Returns the checkpoint's own name for each name as the model's table has it."""
    has_prefix = any(name.startswith(names.prefix) for name in tensors)
    found = {}
    for stored in tensors:
        name = stored
        if is_backbone:
            name = name.removeprefix(names.prefix)
        elif not has_prefix and name.startswith(names.backbone_parts):
            name = names.prefix + name
        found[name] = stored
    return names.rename(found)


def _listing(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
