"""Reads and writes the files that hold a checkpoint's tensors."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bigbird_tf import hub
from bigbird_tf.checkpoints.flax_file import open_flax_file
from bigbird_tf.checkpoints.tensor_reader import TensorReader
from bigbird_tf.checkpoints.torch_file import open_torch_file
from bigbird_tf.whole_files import whole_file

__all__ = ["SAFETENSORS_NAME", "TensorFiles", "open_tensors", "write_tensors"]

SAFETENSORS_NAME = "model.safetensors"
TORCH_NAME = "pytorch_model.bin"
FLAX_NAME = "flax_model.msgpack"
# Added to a name: the index of its shards.
_INDEX = ".index.json"


class TensorFiles(Mapping):
    """The tensors of a checkpoint by name, each read from disk when it is asked for.

    Args:
        readers: For each name, where the tensor is.
        source: The file, for messages.
    """

    def __init__(self, readers: dict[str, TensorReader], source: str):
        self._readers = readers
        self.source = source

    def __getitem__(self, name: str) -> np.ndarray:
        return self._readers[name].read()

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it."""
        return self._readers[name].shape

    def dtype(self, name: str) -> str:
        """Returns a tensor's dtype without reading it."""
        return self._readers[name].dtype

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


@contextlib.contextmanager
def open_tensors(name_or_path: str | os.PathLike, **hub_options: Any) -> Iterator[TensorFiles]:
    """Opens `model.safetensors`, `pytorch_model.bin` or `flax_model.msgpack`, the first there is.

    Args:
        name_or_path: A directory or a repository id.
        **hub_options: Of `hub.find_file`.

    Raises:
        FileNotFoundError: If there are no weights, or a shard is missing.
        ValueError: If a file is damaged, or is not what its name says.
        ImportError: If a package is needed to read what is there, and is not installed.
    """
    with contextlib.ExitStack() as stack:
        for name, open_file in _FORMS.items():
            file = hub.find_file(name_or_path, name, **hub_options)
            if file is not None:
                yield TensorFiles(open_file(stack, file), str(file))
                return
            if open_file is open_flax_file:
                continue
            index = hub.find_file(name_or_path, f"{name}{_INDEX}", **hub_options)
            if index is not None:
                yield _open_shards(stack, name_or_path, index, open_file, hub_options)
                return
    raise FileNotFoundError(
        f"{str(name_or_path)!r} has a config but no weights: none of {SAFETENSORS_NAME}, "
        f"{SAFETENSORS_NAME}{_INDEX}, {TORCH_NAME}, {FLAX_NAME} is there (or, offline, in the "
        f"cache).{hub.describe_files(name_or_path, _FORMS, **hub_options)}"
    )


def _open_shards(
    stack: contextlib.ExitStack,
    name_or_path: str | os.PathLike,
    index: Any,
    open_file: Any,
    hub_options: Any,
) -> TensorFiles:
    try:
        weight_map = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        shard_names = sorted(set(weight_map.values()))
        # The index comes from outside, and must not lead out of the model's folder.
        if any(Path(name).name != name for name in shard_names):
            raise ValueError("names of shards must be plain file names")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        kind = "safetensors" if open_file is _open_safetensors else "PyTorch"
        raise ValueError(f"{index} is not an index of {kind} shards: {error!r}") from error
    readers: dict[str, TensorReader] = {}
    for name in shard_names:
        readers |= open_file(stack, hub.require_file(name_or_path, name, **hub_options))
    missing = sorted(set(weight_map) - set(readers))
    if missing:
        raise ValueError(f"{index} lists tensors that its shards do not have: {missing[:10]}")
    return TensorFiles(readers, str(index))


def _open_safetensors(stack: contextlib.ExitStack, file: Path) -> dict[str, TensorReader]:
    from safetensors import SafetensorError, safe_open

    try:
        opened = stack.enter_context(safe_open(file, framework="numpy"))
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file} is not a whole safetensors file (damaged or cut off?): {error}"
        ) from error
    readers = {}
    for name in opened.keys():  # noqa: SIM118, it is no dictionary
        view = opened.get_slice(name)
        readers[name] = TensorReader(
            tuple(view.get_shape()),
            view.get_dtype(),
            functools.partial(opened.get_tensor, name),
        )
    return readers


# What is looked for, in this order; the first two whole or in shards. (Flax made shards from 10 GB
# on, which no BigBird has.)
_FORMS = {
    SAFETENSORS_NAME: _open_safetensors,
    TORCH_NAME: open_torch_file,
    FLAX_NAME: open_flax_file,
}


def write_tensors(tensors: dict[str, np.ndarray], file: Path) -> None:
    """Writes a safetensors file, whole or not at all.

    Args:
        tensors: Arrays by name.
        file: The path; its folder is made if it is not there.

    Raises:
        OSError: If it cannot be written; what was at `file` before stays.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_file(file) as partial:
            # safetensors makes files that their owner alone may read, whatever the user's mask is.
            partial.touch()
            mode = partial.stat().st_mode
            # `transformers` refuses files that do not say which framework's layout they have.
            save_file(tensors, partial, metadata={"format": "pt"})
            partial.chmod(mode)
    except SafetensorError as error:
        raise OSError(f"{file} could not be written: {error}") from error
