"""Reads the tensors of `pytorch_model.bin` without PyTorch.

Since 1.6 `torch.save` writes a zip archive: `data.pkl` is the pickle of a dictionary of tensors, in
which each tensor is a view of a storage, and `data/KEY` are the storages' bytes, not compressed.
"""

import functools
import math
import mmap
import re
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigbird_tf.checkpoints.restricted_unpickler import load_pickle
from bigbird_tf.checkpoints.tensor_reader import TensorReader

__all__ = ["open_torch_file"]

_LOCAL_HEADER_SIZE = 30
# The dictionaries of models of thousands of tensors take some hundreds of kilobytes. A byte of a
# pickle can make a hundred bytes of memory.
_LARGEST_PICKLE = 2**22
_MOST_DIMENSIONS = 32
# Files in the form before 1.6 begin with a pickle of this number.
_OLD_FORM = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
# Before it, `torch.load(weights_only=True)` can be made to run what a file holds: CVE-2025-32434.
_SAFE_TORCH = (2, 6)
_GIT_LFS = b"version https://git-lfs"


def _dtypes() -> tuple[dict[str, np.dtype | None], dict[str, np.dtype]]:
    """Returns dtypes by the storages' names and by PyTorch's own names of newer ones."""
    import ml_dtypes

    storages = {
        "FloatStorage": "<f4",
        "DoubleStorage": "<f8",
        "HalfStorage": "<f2",
        "BFloat16Storage": ml_dtypes.bfloat16,
        "LongStorage": "<i8",
        "IntStorage": "<i4",
        "ShortStorage": "<i2",
        "CharStorage": "i1",
        "ByteStorage": "u1",
        "BoolStorage": "?",
        # Bytes, whose dtype stands beside them.
        "UntypedStorage": None,
    }
    newer = {
        "uint16": "<u2",
        "uint32": "<u4",
        "uint64": "<u8",
        "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
        "float8_e5m2": ml_dtypes.float8_e5m2,
    }
    return (
        {name: dtype if dtype is None else np.dtype(dtype) for name, dtype in storages.items()},
        {name: np.dtype(dtype) for name, dtype in newer.items()},
    )


class _StorageType(NamedTuple):
    """A class of storages: what its elements are; `None` for bytes."""

    dtype: np.dtype | None


class _Storage(NamedTuple):
    """Where a storage is in the file, and how many bytes it has."""

    dtype: np.dtype | None
    start: int
    size: int


class _View(NamedTuple):
    """A tensor: elements of a storage, its strides counted in elements."""

    storage: _Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def open_torch_file(stack: ExitStack, file: Path) -> dict[str, TensorReader]:
    """Opens a file that `torch.save` has written of a model's `state_dict()`.

    Nothing in the file is run, whatever it is. The file is mapped into memory, and a tensor's bytes
    are read when it is asked for.

    Args:
        stack: Closes the file.
        file: The file's path.

    Returns:
        For each name, where the tensor is.

    Raises:
        ValueError: If it is no such file, damaged, or made to do harm.
        ImportError: If it is in the form before PyTorch 1.6 and there is no PyTorch, which alone
            reads it, or none from 2.6 on, which runs nothing in it.
    """
    with file.open("rb") as opened:
        start = opened.read(64)
    if _OLD_FORM in start:
        return _read_old_form(file)
    if start.startswith(_GIT_LFS):
        raise ValueError(
            f"{file} is not a whole PyTorch checkpoint: it is the pointer that Git LFS leaves in "
            "place of a large file. Get the file itself with `git lfs pull`."
        )
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
        opened = stack.enter_context(file.open("rb"))
        # Never closed here: arrays read from it. It is freed with the last of its readers.
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        tensors = _Archive(archive, mapped).read_index()
    except Exception as error:  # whatever bytes are there
        raise ValueError(f"{file} is not a whole PyTorch checkpoint: {error}") from error
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(view, _View) for name, view in tensors.items()
    ):
        raise ValueError(
            f"{file} must hold a dictionary of tensors, what `model.state_dict()` gives in PyTorch."
        )
    return {
        name: TensorReader(view.shape, view.dtype.name, functools.partial(_read, mapped, view))
        for name, view in tensors.items()
    }


def _read(mapped: mmap.mmap, view: _View) -> np.ndarray:
    size = view.dtype.itemsize
    array = np.ndarray(
        view.shape,
        view.dtype,
        mapped,
        view.storage.start + view.offset * size,
        [stride * size for stride in view.strides],
    )
    # A copy lives on when the file is closed.
    return np.array(array, order="C")


class _Archive:
    """The parts of a zip archive, none of which is believed to be what it says."""

    def __init__(self, archive: zipfile.ZipFile, mapped: mmap.mmap):
        self._archive = archive
        self._mapped = mapped
        self._names = set(archive.namelist())
        pickles = [name for name in self._names if name.count("/") == 1]
        pickles = [name for name in pickles if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it must have one data.pkl in one folder, as `torch.save` writes it")
        self._folder = pickles[0].removesuffix("data.pkl")
        self._storage_types, self._newer_dtypes = _dtypes()

    def read_index(self) -> Any:
        """Returns what the pickle holds, with a `_View` for each tensor."""
        if f"{self._folder}constants.pkl" in self._names:
            raise ValueError("it is a program of TorchScript; save `model.state_dict()` instead")
        if f"{self._folder}byteorder" in self._names:
            start, size = self._find("byteorder")
            if (order := self._mapped[start : start + size]) != b"little":
                raise ValueError(
                    f"its bytes must be in the order 'little'. Received: {order[:9]!r}"
                )
        start, size = self._find("data.pkl")
        if size > _LARGEST_PICKLE:
            raise ValueError(f"its data.pkl is of {size} bytes, more than any model's")
        functions: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": _make_dictionary,
            "torch._utils._rebuild_tensor_v2": self._rebuild,
            "torch._utils._rebuild_tensor_v3": self._rebuild_newer,
            "torch._utils._rebuild_parameter": _rebuild_parameter,
        }
        names = {
            f"torch.{name}": _StorageType(dtype) for name, dtype in self._storage_types.items()
        } | {f"torch.{name}": dtype for name, dtype in self._newer_dtypes.items()}
        # Where storages without a dtype are now, and were when they were new.
        names["torch.storage.UntypedStorage"] = _StorageType(None)
        data = self._mapped[start : start + size]
        return load_pickle(data, functions, names, self._find_storage)

    def _find(self, name: str) -> tuple[int, int]:
        """Returns where the bytes of an entry begin, and how many there are."""
        name = self._folder + name
        if name not in self._names:
            raise ValueError(f"it has no {name!r}, which its pickle speaks of")
        entry = self._archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise ValueError(f"its {name!r} is compressed or encrypted; `torch.save` stores as is")
        header = entry.header_offset
        if self._mapped[header : header + 4] != b"PK\x03\x04":
            raise ValueError(f"its {name!r} is not where the archive says")
        start = header + _LOCAL_HEADER_SIZE
        # The header's own fields of variable size: the name, and what aligns the data.
        start += int.from_bytes(self._mapped[header + 26 : header + 28], "little")
        start += int.from_bytes(self._mapped[header + 28 : header + 30], "little")
        if start + entry.file_size > len(self._mapped):
            raise ValueError(f"its {name!r} leads out of the file (cut off?)")
        return start, entry.file_size

    def _find_storage(self, persistent_id: Any) -> _Storage:
        match persistent_id:
            case ("storage", _StorageType(dtype), str(key), str(), int(count)):
                start, size = self._find(f"data/{key}")
                expected = count * (1 if dtype is None else dtype.itemsize)
                if size != expected:
                    raise ValueError(
                        f"its storage {key!r} must be of {expected} bytes. Received: {size} bytes"
                    )
                return _Storage(dtype, start, size)
        raise ValueError("its pickle refers to something that is no storage")

    def _rebuild(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any,
        hooks: Any,
        metadata: Any = None,
    ) -> Any:
        if not isinstance(storage, _Storage) or storage.dtype is None:
            raise ValueError("a tensor has no storage")
        return self._make_view(storage, storage.dtype, offset, shape, strides, metadata)

    def _rebuild_newer(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any,
        hooks: Any,
        dtype: Any,
        metadata: Any = None,
    ) -> Any:
        if not isinstance(storage, _Storage) or not isinstance(dtype, np.dtype):
            raise ValueError("a tensor has no storage or no dtype")
        return self._make_view(storage, dtype, offset, shape, strides, metadata)

    def _make_view(
        self, storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any, metadata: Any
    ) -> _View:
        if metadata:
            raise ValueError("a tensor is conjugated or negated when it is read")
        for numbers in (shape, strides, (offset,)):
            if not isinstance(numbers, tuple) or any(type(n) is not int or n < 0 for n in numbers):
                raise ValueError("shapes, strides and offsets must be integers, 0 or more")
        if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
            raise ValueError(
                f"a tensor must have as many strides as sizes, and {_MOST_DIMENSIONS} at most. "
                f"Received: {len(shape)} sizes, {len(strides)} strides"
            )
        count = storage.size // dtype.itemsize
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if math.prod(shape) and last >= count:
            raise ValueError(
                f"a tensor of shape {shape}, strides {strides} and offset {offset} leads out of "
                f"its storage of {count} elements"
            )
        # Strides of 0 make much of little, as `Tensor.expand` does.
        if math.prod(shape) * dtype.itemsize > len(self._mapped):
            raise ValueError(f"a tensor of shape {shape} is larger than the file that it is in")
        return _View(storage, dtype, min(offset, count), shape, strides)


def _make_dictionary(*pairs: Any) -> dict:
    if pairs:
        raise ValueError("an ordered dictionary must be made empty")
    return {}


def _rebuild_parameter(tensor: Any, requires_grad: Any, hooks: Any) -> _View:
    if not isinstance(tensor, _View):
        raise ValueError("a parameter has no tensor")
    return tensor


def _read_old_form(file: Path) -> dict[str, TensorReader]:
    """Reads the form before PyTorch 1.6 with PyTorch, whose own reader runs nothing from 2.6 on."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{file} is in PyTorch's own format, which only PyTorch reads: `pip install torch`, or "
            "save the model as model.safetensors where there is PyTorch. (It is of the form before "
            "PyTorch 1.6; later files are read without PyTorch.)"
        ) from error
    version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if version < _SAFE_TORCH:
        raise ImportError(
            f"{file} is of the form before PyTorch 1.6, which takes PyTorch 2.6 or newer: `pip "
            "install 'torch>=2.6'`. Earlier ones can be made to run what such a file holds "
            f"(CVE-2025-32434). Received: torch {torch.__version__}"
        )
    import pickle

    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is not a whole PyTorch checkpoint: {error}") from error
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise ValueError(
            f"{file} must hold a dictionary of tensors, what `model.state_dict()` gives in PyTorch."
        )

    def read(tensor):
        tensor = tensor.detach()
        if tensor.dtype == torch.bfloat16:
            # NumPy has no bfloat16 that PyTorch knows of.
            return tensor.view(torch.int16).numpy().view(dtypes["BFloat16Storage"])
        return tensor.numpy()

    dtypes, _ = _dtypes()
    return {
        name: TensorReader(
            tuple(tensor.shape),
            str(tensor.dtype).removeprefix("torch."),
            functools.partial(read, tensor),
        )
        for name, tensor in tensors.items()
    }
