"""Writes what Flax's `msgpack_serialize` writes, without Flax."""

from pathlib import Path

import msgpack
import numpy as np


def pack_array(array: np.ndarray) -> msgpack.ExtType:
    parts = (array.shape, array.dtype.name, array.tobytes("C"))
    return msgpack.ExtType(1, msgpack.packb(parts, use_bin_type=True))


def pack_chunks(array: np.ndarray, size: int) -> dict:
    """Returns an array as Flax writes those of more than a gigabyte."""
    flat = array.reshape(-1)
    chunks = [flat[start : start + size] for start in range(0, flat.size, size)]
    return {
        "__msgpack_chunked_array__": True,
        "shape": {str(i): size for i, size in enumerate(array.shape)},
        "chunks": {str(i): pack_array(chunk) for i, chunk in enumerate(chunks)},
    }


def flax_tree(tensors: dict[str, np.ndarray]) -> dict:
    """Returns tensors as the Flax classes of `transformers` name and lay them out."""
    tree: dict = {}
    for name, array in tensors.items():
        *modules, leaf = name.split(".")
        if leaf == "weight" and "LayerNorm" in name:
            leaf = "scale"
        elif leaf == "weight" and "embeddings" in name:
            leaf = "embedding"
        elif leaf == "weight":
            leaf, array = "kernel", array.T
        place = tree
        for module in modules:
            place = place.setdefault(module, {})
        place[leaf] = pack_array(np.ascontiguousarray(array))
    return tree


def write_flax_file(file: Path, tree: dict) -> None:
    file.write_bytes(msgpack.packb(tree, strict_types=True))
