"""Flax's files: the same weights as in the form of PyTorch, and damaged ones are refused."""

import sys
from contextlib import ExitStack

import ml_dtypes
import msgpack
import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird_tf.checkpoints.flax_file import open_flax_file
from bigbird_tf.models import BigBirdForPreTraining, BigBirdForQuestionAnswering, BigBirdModel
from tests.checkpoints.flax_archive import flax_tree, pack_array, pack_chunks, write_flax_file
from tests.contract import randomize, tiny_config


@pytest.fixture
def file(tmp_path):
    return tmp_path / "flax_model.msgpack"


def read_all(file):
    with ExitStack() as stack:
        readers = open_flax_file(stack, file)
        arrays = {name: reader.read() for name, reader in readers.items()}
    for name, reader in readers.items():
        assert (reader.shape, reader.dtype) == (arrays[name].shape, arrays[name].dtype.name)
    return arrays


class TestModels:
    @pytest.mark.parametrize(
        "make", [BigBirdModel, BigBirdForPreTraining, BigBirdForQuestionAnswering]
    )
    def test_same_weights(self, make, tmp_path, file):
        model = make(tiny_config())
        randomize(model)
        model.save_pretrained(tmp_path)
        write_flax_file(file, flax_tree(load_file(tmp_path / "model.safetensors")))
        (tmp_path / "model.safetensors").unlink()
        loaded = make.from_pretrained(tmp_path)
        for one, other in zip(loaded.weights, model.weights, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=one.path)

    def test_answer_types_have_no_place(self, tmp_path, file):
        """As in vasudevgupta/flax-bigbird-natural-questions, which has nothing else."""
        model = BigBirdForQuestionAnswering(tiny_config())
        randomize(model)
        model.save_pretrained(tmp_path)
        tensors = load_file(tmp_path / "model.safetensors")
        tensors |= {"cls.weight": np.ones((5, 21), "float32"), "cls.bias": np.ones(5, "float32")}
        write_flax_file(file, flax_tree(tensors))
        (tmp_path / "model.safetensors").unlink()
        with pytest.warns(UserWarning, match=r"has no place for cls\.weight, cls\.bias of"):
            loaded = BigBirdForQuestionAnswering.from_pretrained(tmp_path)
        np.testing.assert_array_equal(loaded.weights[-1], model.weights[-1])


class TestFile:
    def test_dtypes_chunks_and_names(self, file):
        table = np.arange(28, dtype="float32").reshape(7, 4)
        tree = {
            "a": {"kernel": pack_array(table.astype("float16")), "bias": pack_array(table[0])},
            "b": {"embedding": pack_chunks(table, 10)},
            "c": {"scale": pack_array(table[1].astype(ml_dtypes.bfloat16))},
            "d": {"kernel": pack_chunks(table, 5), "step": pack_array(np.array(3))},
            # Of convolutions, say: the form of matrices is no form for these.
            "e": {"kernel": pack_array(table.reshape(7, 2, 2))},
        }
        write_flax_file(file, {"params": tree})
        found = read_all(file)
        expected = {
            "a.weight": table.T.astype("float16"),
            "a.bias": table[0],
            "b.weight": table,
            "c.weight": table[1].astype(ml_dtypes.bfloat16),
            "d.weight": table.T,
            "d.step": np.array(3),
            "e.weight": table.reshape(7, 2, 2),
        }
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)

    @pytest.mark.parametrize("code", [1, 3], ids=["array", "scalar"])
    def test_all_dtypes(self, file, code):
        names = ("float16", "float32", "float64", "int32", "int64", "uint32", "int8", "uint8")
        arrays = {name: np.array([[0, 3], [1, 120]], name) for name in names}
        arrays["bool"] = np.array([True, False])
        tree = {name: pack_array(array) for name, array in arrays.items()}
        tree = {name: msgpack.ExtType(code, packed.data) for name, packed in tree.items()}
        write_flax_file(file, tree)
        found = read_all(file)
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)

    def test_without_msgpack(self, file, monkeypatch):
        file.write_bytes(b"\x80")
        monkeypatch.setitem(sys.modules, "msgpack", None)
        with pytest.raises(ImportError, match=r"takes the package msgpack: .*bigbird-tf\[flax\]"):
            read_all(file)

    @pytest.mark.parametrize(
        ("tree", "match"),
        [
            ([1, 2], "it holds a list, where a map was expected"),
            ({"a": {"kernel": "text"}}, r"a\.kernel is a str, no array"),
            ({"a": {b"kernel": {}}}, "a name is a bytes"),
            ({"a": msgpack.ExtType(7, b"")}, "an extension of type 7"),
            (
                {"a": msgpack.ExtType(1, msgpack.packb(((10**12,), "float32", b"1234")))},
                r"an array of shape \(1000000000000,\) has 4 bytes",
            ),
            (
                {"a": msgpack.ExtType(1, msgpack.packb(((-2, -2), "uint8", b"1234")))},
                "has 4 bytes",
            ),
            ({"a": msgpack.ExtType(1, msgpack.packb(((1,), "object", b"12345678")))}, "'object'"),
            (
                {"a": msgpack.ExtType(1, msgpack.packb(((4,), "uint8", "text")))},
                "the data of an array are a str, bytes were expected",
            ),
        ],
    )
    def test_what_is_no_tree_of_arrays(self, file, tree, match):
        write_flax_file(file, tree)
        with pytest.raises(ValueError, match=f"is not a whole Flax checkpoint: .*{match}"):
            read_all(file)

    @pytest.mark.parametrize("kept", [0, 9, -1])
    def test_truncated_file(self, file, kept):
        write_flax_file(file, {"a": {"bias": pack_array(np.ones(5))}})
        file.write_bytes(file.read_bytes()[:kept])
        with pytest.raises(ValueError, match="is not a whole Flax checkpoint"):
            read_all(file)
