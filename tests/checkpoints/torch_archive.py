"""Writes what `torch.save` writes, and what would do harm, without PyTorch."""

import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

STORAGES = {
    np.dtype("float32"): "FloatStorage",
    np.dtype("float64"): "DoubleStorage",
    np.dtype("float16"): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype("int64"): "LongStorage",
    np.dtype("int32"): "IntStorage",
    np.dtype("int16"): "ShortStorage",
    np.dtype("int8"): "CharStorage",
    np.dtype("uint8"): "ByteStorage",
    np.dtype("bool"): "BoolStorage",
}


class Name(NamedTuple):
    """A function or class that the pickle names, such as `"os.system"`."""

    name: str


class Call(NamedTuple):
    """What the pickle calls."""

    name: str
    arguments: tuple = ()


class Reference(NamedTuple):
    """What the pickle refers to outside of itself."""

    identifier: Any


class Raw(NamedTuple):
    """Operations of a pickle as they are."""

    operations: bytes


def operations_of(value: Any) -> bytes:
    """Returns the operations that put a value on the stack."""
    match value:
        case Raw(operations):
            return operations
        case Name(name):
            module, _, attribute = name.rpartition(".")
            return f"c{module}\n{attribute}\n".encode()
        case Call(name, arguments):
            return operations_of(Name(name)) + operations_of(arguments) + b"R"
        case Reference(identifier):
            return operations_of(identifier) + b"Q"
        case dict():
            items = b"".join(operations_of(part) for item in value.items() for part in item)
            return b"}(" + items + b"u"
        case list():
            return b"](" + b"".join(map(operations_of, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(operations_of, value)) + b"t"
    # PROTO and STOP are around it.
    return pickle.dumps(value, 2)[2:-1].replace(b"q\x00", b"")


def storage(kind: str, key: str, count: int) -> Reference:
    return Reference(("storage", Name(f"torch.{kind}"), key, "cpu", count))


def tensor(stored, shape: tuple, strides: tuple | None = None, offset: int = 0) -> Call:
    """Returns a view of a storage, by default contiguous."""
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1 :], dtype=int)) for i in range(len(shape)))
    hooks = Call("collections.OrderedDict")
    return Call("torch._utils._rebuild_tensor_v2", (stored, offset, shape, strides, False, hooks))


def write_archive(
    file: Path, value: Any, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """Writes an archive of a pickle of a value, and of storages."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + operations_of(value) + b".")
        archive.writestr("archive/byteorder", b"little")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", b"3\n")


def write_torch_file(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a state dictionary, each tensor in a storage of its own."""
    views, storages = {}, {}
    for key, (name, array) in enumerate(arrays.items()):
        stored = storage(STORAGES[array.dtype], str(key), array.size)
        views[name] = tensor(stored, array.shape)
        storages[str(key)] = array.tobytes()
    write_archive(file, views, storages)
