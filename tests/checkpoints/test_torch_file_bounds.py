"""What of PyTorch's files is just allowed."""

import itertools
import sys
import zipfile
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from bigbird_tf.checkpoints import torch_file
from tests.checkpoints.test_torch_file import FLOAT_STORAGE, read_all, tensor, write
from tests.checkpoints.torch_archive import Call, Name, storage


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((1,), (1,), 23),
        ((2, 3), (1, 11), 0),
        ((1,) * 32, (1,) * 32, 5),
        # Nothing is read of it.
        ((0,), (1,), 99),
    ],
)
def test_the_last_element_of_a_storage(tmp_path, shape, strides, offset):
    """It has the numbers 0 to 23."""
    file = tmp_path / "pytorch_model.bin"
    write(file, tensor(FLOAT_STORAGE, shape, strides, offset))
    (found,) = read_all(file).values()
    steps = [[i * stride for i in range(size)] for size, stride in zip(shape, strides, strict=True)]
    expected = [offset + sum(index) for index in itertools.product(*steps)]
    np.testing.assert_array_equal(found, np.float32(expected).reshape(shape))


@pytest.mark.parametrize("version", ["2.6.0", "2.10.0a0+git12"])
def test_the_first_torch_that_runs_nothing_in_files_of_old(tmp_path, monkeypatch, version):
    file = tmp_path / "pytorch_model.bin"
    file.write_bytes(bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de903"))
    calls = []

    def load(path, **options):
        calls.append((path, options))
        return {}

    torch = SimpleNamespace(__version__=version, load=load, is_tensor=None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert read_all(file) == {}
    assert calls == [(file, {"map_location": "cpu", "weights_only": True})]


def test_the_largest_pickle(tmp_path, monkeypatch):
    assert torch_file._LARGEST_PICKLE == 4 * 2**20
    file = tmp_path / "pytorch_model.bin"
    write(file, tensor(FLOAT_STORAGE, (24,)))
    with zipfile.ZipFile(file) as archive:
        size = archive.getinfo("archive/data.pkl").file_size
    monkeypatch.setattr(torch_file, "_LARGEST_PICKLE", size)
    assert read_all(file)["a"].shape == (24,)
    monkeypatch.setattr(torch_file, "_LARGEST_PICKLE", size - 1)
    with pytest.raises(ValueError, match=rf"of {size} bytes, more than any model's"):
        read_all(file)


@pytest.mark.parametrize(
    "dtype",
    ["uint16", "uint32", "uint64", ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2],
    ids=lambda dtype: np.dtype(dtype).name,
)
@pytest.mark.parametrize("kind", ["UntypedStorage", "storage.UntypedStorage"])
def test_dtypes_of_newer_files(tmp_path, dtype, kind):
    """A storage of bytes, and the dtype's name beside it."""
    file = tmp_path / "pytorch_model.bin"
    array = np.array([1, 2, 16], dtype)
    stored = storage(kind, "7", array.nbytes)
    hooks = Call("collections.OrderedDict")
    name = Name(f"torch.{array.dtype.name}")
    arguments = (stored, 1, (2,), (1,), False, hooks, name)
    view = Call("torch._utils._rebuild_tensor_v3", arguments)
    write(file, view, **{"7": array.tobytes()})
    found = read_all(file)["a"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[1:])


def test_a_tensor_as_large_as_its_file(tmp_path):
    """Strides of 0 make much of little: up to the file's own size."""
    file = tmp_path / "pytorch_model.bin"
    # All of these take one byte in the pickle.
    write(file, tensor(FLOAT_STORAGE, (200,), (0,), 3))
    count = file.stat().st_size // 4
    assert 24 < count < 255
    write(file, tensor(FLOAT_STORAGE, (count,), (0,), 3))
    np.testing.assert_array_equal(read_all(file)["a"], np.full(count, 3.0))
    write(file, tensor(FLOAT_STORAGE, (count + 1,), (0,), 3))
    with pytest.raises(ValueError, match="is larger than the file that it is in"):
        read_all(file)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [({}, None), (None, None), ({"conj": True}, "is conjugated or negated when it is read")],
    ids=str,
)
def test_what_is_said_beside_a_tensor(tmp_path, metadata, message):
    file = tmp_path / "pytorch_model.bin"
    hooks = Call("collections.OrderedDict")
    arguments = (FLOAT_STORAGE, 1, (2,), (3,), False, hooks, metadata)
    write(file, Call("torch._utils._rebuild_tensor_v2", arguments))
    if message is None:
        np.testing.assert_array_equal(read_all(file)["a"], np.float32([1, 4]))
    else:
        with pytest.raises(ValueError, match=message):
            read_all(file)


def test_a_parameter_of_something_else(tmp_path):
    file = tmp_path / "pytorch_model.bin"
    write(file, Call("torch._utils._rebuild_parameter", (FLOAT_STORAGE, True, None)))
    with pytest.raises(ValueError, match="a parameter has no tensor"):
        read_all(file)
