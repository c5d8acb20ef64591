"""What of PyTorch's files is just allowed."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.checkpoints.test_torch_file import FLOAT_STORAGE, read_all, tensor, write


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
