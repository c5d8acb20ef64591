"""`NameTable`: how `transformers` names the tensors of a family of models."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

__all__ = ["DENSE", "EMBEDDING", "LAYER_NORM", "Entry", "NameTable", "Rows", "entries"]

# Names there, attributes of layers here, and whether one is the other's transpose: kernels of dense
# layers are stored [out, in] there and [in, out] here.
DENSE = (("weight", "kernel", True), ("bias", "bias", False))
LAYER_NORM = (("weight", "gamma", False), ("bias", "beta", False))
EMBEDDING = (("weight", "embeddings", False),)
# Each row: a layer's name there, its path here, and one of the above.
Rows = Iterable[tuple[str, str, tuple[tuple[str, str, bool], ...]]]


class Entry(NamedTuple):
    """One tensor of a checkpoint: the layer's attribute that holds it, and how.

    Attributes:
        layer, attribute: What holds it.
        is_transposed: Whether it is stored the other way round.
        is_row: Whether a vector is stored as a matrix of one row.
    """

    layer: keras.layers.Layer
    attribute: str
    is_transposed: bool
    is_row: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the checkpoint."""
        shape = tuple(getattr(self.layer, self.attribute).shape)
        if self.is_row:
            return (1, *shape)
        return shape[::-1] if self.is_transposed else shape

    def read(self) -> np.ndarray:
        """Returns the tensor as the checkpoint has it."""
        array = keras.ops.convert_to_numpy(getattr(self.layer, self.attribute))
        array = array.T if self.is_transposed else array
        return np.ascontiguousarray(array[None] if self.is_row else array)

    def write(self, array: np.ndarray) -> None:
        """Assigns the checkpoint's tensor."""
        array = array[0] if self.is_row else array
        array = array.T if self.is_transposed else array
        getattr(self.layer, self.attribute).assign(array)


def entries(root: keras.layers.Layer, rows: Rows, prefix: str) -> Iterator[tuple[str, Entry]]:
    """Yields name and entry of each tensor that a layer has, of those that rows tell of.

    Args:
        root: Where the rows' paths begin.
        rows: See `Rows`.
        prefix: What the names there begin with.
    """
    for name, path, attributes in rows:
        layer = root
        for part in path.split(".") if path else ():
            layer = getattr(layer, part)
        for suffix, attribute, is_transposed in attributes:
            if getattr(layer, attribute, None) is not None:
                yield f"{prefix}{name}.{suffix}", Entry(layer, attribute, is_transposed)


def _unchanged(names: dict[str, Any]) -> dict[str, Any]:
    return names


class NameTable(NamedTuple):
    """What differs between families in the names of tensors.

    Attributes:
        prefix: Of the backbone's tensors in checkpoints of a head, such as `"bert."`.
        backbone_parts: How the backbone's names begin without it.
        optional_parts: `backbone -> parts` that a checkpoint may lack, or have in vain.
        head_prefixes: How the names of tensors of heads begin; a head may be missing, too.
        backbone_entries: `(backbone, prefix) -> names and entries`.
        head_entries: By class, `model -> names and entries`.
        word_embeddings: Names of the word embeddings in checkpoints of heads; any of them.
        decoder: Name of what logits of pieces are products with, where a head has it.
        decoding_heads: The classes that have it.
        no_weights: Names that some versions of `transformers` store, and that are no weights.
        zeros: Names of tensors that are zeros where they are missing.
        one_tensor: Names of what is one tensor here, where a checkpoint may have it several times.
        rename: `names -> names`, of a checkpoint: today's names for older ones and for copies.
        copies: `(model, tensors) -> tensors`, what is stored besides.
    """

    prefix: str
    backbone_parts: tuple[str, ...]
    optional_parts: Callable[[Any], tuple[str, ...]]
    head_prefixes: tuple[str, ...]
    backbone_entries: Callable[[Any, str], Iterator[tuple[str, Entry]]]
    head_entries: Mapping[str, Callable[[Any], Iterator[tuple[str, Entry]]]]
    word_embeddings: tuple[str, ...]
    decoder: str
    decoding_heads: tuple[str, ...]
    no_weights: re.Pattern
    zeros: frozenset[str] = frozenset()
    one_tensor: tuple[str, ...] = ()
    rename: Callable[[dict[str, str]], dict[str, str]] = _unchanged
    copies: Callable[[Any, dict[str, np.ndarray]], dict[str, np.ndarray]] = lambda *_: {}
