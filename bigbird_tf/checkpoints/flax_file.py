"""Reads the tensors of `flax_model.msgpack`, which Flax models of `transformers` were saved as.

The file is one MessagePack map of maps, by the names of modules; its leaves are arrays, each an
extension of type 1 that holds shape, dtype and bytes.
"""

import functools
import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigbird_tf.checkpoints.tensor_reader import TensorReader

__all__ = ["open_flax_file"]

_ARRAY, _SCALAR = 1, 3
_DTYPES = ("float16", "float32", "float64", "int32", "int64", "uint32", "int8", "uint8", "bool")
# What a tensor is called there and in PyTorch. Kernels are stored [in, out].
_LEAVES = {"embedding": "weight", "kernel": "weight", "scale": "weight", "bias": "bias"}
# Arrays of more than a gigabyte are maps with this key: their shape, and flat pieces.
_CHUNKED = "__msgpack_chunked_array__"


class _Array(NamedTuple):
    """One array, its bytes as they were read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pieces: list[bytes]


def open_flax_file(stack: ExitStack, file: Path) -> dict[str, TensorReader]:
    """Opens a file that `save_pretrained` of a Flax model has written.

    Args:
        stack: Not used: the whole file is read at once.
        file: The file's path.

    Returns:
        For each name, as PyTorch has it, where the tensor is.

    Raises:
        ValueError: If it is no such file, or damaged.
        ImportError: If `msgpack` is not installed.
    """
    try:
        import msgpack
    except ImportError as error:
        raise ImportError(
            f"{file} is in Flax's format, which takes the package msgpack: "
            "`pip install 'bigbird-tf[flax]'`"
        ) from error

    def read_extension(code: int, data: bytes) -> _Array:
        if code not in (_ARRAY, _SCALAR):
            raise ValueError(f"it has an extension of type {code}, which is no array")
        return _read_array(*msgpack.unpackb(data, use_list=False))

    try:
        tree = msgpack.unpackb(file.read_bytes(), ext_hook=read_extension)
        if not isinstance(tree, dict):
            raise ValueError(f"it holds a {type(tree).__name__}, where a map was expected")
        arrays = dict(_flatten(tree.get("params", tree)))
    except Exception as error:  # whatever bytes are there
        raise ValueError(f"{file} is not a whole Flax checkpoint: {error}") from error
    readers = {}
    for path, array in arrays.items():
        *modules, leaf = path
        is_transposed = leaf == "kernel" and len(array.shape) == 2
        readers[".".join((*modules, _LEAVES.get(leaf, leaf)))] = TensorReader(
            array.shape[::-1] if is_transposed else array.shape,
            array.dtype.name,
            functools.partial(_read, array, is_transposed),
        )
    return readers


def _read(array: _Array, is_transposed: bool) -> np.ndarray:
    pieces = [np.frombuffer(piece, array.dtype) for piece in array.pieces]
    whole = np.concatenate(pieces).reshape(array.shape)
    return np.array(whole.T if is_transposed else whole, order="C")


def _read_array(shape: Any, name: Any, data: Any) -> _Array:
    name = name.decode() if isinstance(name, bytes) else name
    if name == "bfloat16":
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    elif name in _DTYPES:
        dtype = np.dtype(name)
    else:
        raise ValueError(f"an array has the dtype {name!r}")
    if not isinstance(data, bytes):
        raise ValueError(f"the data of an array are a {type(data).__name__}, bytes were expected")
    return _check(_Array(tuple(shape), dtype, [data]))


def _check(array: _Array) -> _Array:
    sizes_fit = all(type(size) is int and size >= 0 for size in array.shape)
    size = math.prod(array.shape) * array.dtype.itemsize if sizes_fit else -1
    if size != sum(map(len, array.pieces)):
        raise ValueError(f"an array of shape {array.shape} has {sum(map(len, array.pieces))} bytes")
    return array


def _flatten(tree: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], _Array]]:
    for name, value in tree.items():
        inner = (*path, name)
        if not isinstance(name, str):
            raise ValueError(f"a name is a {type(name).__name__}")
        if isinstance(value, dict) and _CHUNKED in value:
            yield inner, _join(value)
        elif isinstance(value, dict):
            yield from _flatten(value, inner)
        elif isinstance(value, _Array):
            yield inner, value
        else:
            raise ValueError(f"{'.'.join(inner)} is a {type(value).__name__}, no array")


def _join(chunked: dict) -> _Array:
    shape, chunks = (
        [chunked[key][str(index)] for index in range(len(chunked[key]))]
        for key in ("shape", "chunks")
    )
    pieces = [piece for chunk in chunks for piece in chunk.pieces]
    if len({chunk.dtype for chunk in chunks}) != 1:
        raise ValueError("the pieces of an array are of several dtypes")
    return _check(_Array(tuple(shape), chunks[0].dtype, pieces))
