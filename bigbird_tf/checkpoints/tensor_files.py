"""Reads and writes the files that hold a checkpoint's tensors."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigbird_tf import hub

__all__ = ["SAFETENSORS_NAME", "TensorFiles", "open_tensors", "write_tensors"]

SAFETENSORS_NAME = "model.safetensors"
SAFETENSORS_INDEX_NAME = "model.safetensors.index.json"
TORCH_NAME = "pytorch_model.bin"


class TensorReader(NamedTuple):
    """Where a tensor is.

    Attributes:
        shape: Its shape.
        dtype: Its dtype, as NumPy or the file's format calls it.
        read: Reads it.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


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
        """Gives a tensor's shape without reading it."""
        return self._readers[name].shape

    def dtype(self, name: str) -> str:
        """Gives a tensor's dtype without reading it."""
        return self._readers[name].dtype

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


@contextlib.contextmanager
def open_tensors(name_or_path: str | os.PathLike, **hub_options) -> Iterator[TensorFiles]:
    """Opens `model.safetensors`, its shards, or `pytorch_model.bin`, whichever is there first.

    Args:
        name_or_path: A directory or a repository id.
        **hub_options: Of `hub.find_file`.

    Raises:
        FileNotFoundError: If there are no weights, or a shard is missing.
        ValueError: If a file is damaged, or is not what its name says.
        ImportError: If there is only `pytorch_model.bin`, and torch is not installed.
    """
    with contextlib.ExitStack() as stack:
        file = hub.find_file(name_or_path, SAFETENSORS_NAME, **hub_options)
        if file is not None:
            yield TensorFiles(_safetensors_readers(stack, [file]), str(file))
            return
        index = hub.find_file(name_or_path, SAFETENSORS_INDEX_NAME, **hub_options)
        if index is not None:
            yield _open_shards(stack, name_or_path, index, hub_options)
            return
        file = hub.find_file(name_or_path, TORCH_NAME, **hub_options)
        if file is not None:
            yield _load_torch(file)
            return
    raise FileNotFoundError(
        f"{str(name_or_path)!r} has a config but no weights: none of {SAFETENSORS_NAME}, "
        f"{SAFETENSORS_INDEX_NAME}, {TORCH_NAME} is there (or, offline, in the cache)."
    )


def _open_shards(stack, name_or_path, index, hub_options) -> TensorFiles:
    try:
        weight_map = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        shard_names = sorted(set(weight_map.values()))
        # The index comes from outside, and must not lead out of the model's folder.
        if any(Path(name).name != name for name in shard_names):
            raise ValueError("names of shards must be plain file names")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is not an index of safetensors shards: {error!r}") from error
    files = [hub.require_file(name_or_path, name, **hub_options) for name in shard_names]
    readers = _safetensors_readers(stack, files)
    missing = sorted(set(weight_map) - set(readers))
    if missing:
        raise ValueError(f"{index} lists tensors that its shards do not have: {missing[:10]}")
    return TensorFiles(readers, str(index))


def _safetensors_readers(stack, files) -> dict[str, TensorReader]:
    from safetensors import SafetensorError, safe_open

    readers = {}
    for file in files:
        try:
            opened = stack.enter_context(safe_open(file, framework="numpy"))
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{file} is not a whole safetensors file (damaged or cut off?): {error}"
            ) from error
        for name in opened.keys():  # noqa: SIM118, it is no dictionary
            view = opened.get_slice(name)
            readers[name] = TensorReader(
                tuple(view.get_shape()),
                view.get_dtype(),
                functools.partial(opened.get_tensor, name),
            )
    return readers


def _load_torch(file) -> TensorFiles:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{file} is in PyTorch's own format, which only PyTorch reads: `pip install torch`, or "
            "save the model as model.safetensors where there is PyTorch."
        ) from error
    import pickle

    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise ValueError(f"{file} is not a whole PyTorch checkpoint: {error}") from error
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise ValueError(
            f"{file} must hold a dictionary of tensors, what `model.state_dict()` gives in PyTorch."
        )

    def read(tensor):
        # NumPy has no bfloat16 that torch knows of.
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()

    readers = {
        name: TensorReader(tuple(tensor.shape), str(tensor.dtype), functools.partial(read, tensor))
        for name, tensor in tensors.items()
    }
    return TensorFiles(readers, str(file))


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
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        # safetensors makes files that their owner alone may read, whatever the user's mask says.
        partial.touch()
        mode = partial.stat().st_mode
        # `transformers` refuses files that do not say which framework's layout they have.
        save_file(tensors, partial, metadata={"format": "pt"})
        partial.chmod(mode)
        os.replace(partial, file)
    except SafetensorError as error:
        raise OSError(f"{file} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
