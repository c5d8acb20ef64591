"""The files that tensors are in: whole ones are read, and all others say what is wrong."""

import json
import re
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from bigbird_tf.checkpoints.tensor_files import open_tensors, write_tensors
from tests.checkpoints.torch_archive import storage, tensor, write_archive, write_torch_file

TENSORS = {
    "a.weight": np.arange(15, dtype="float32").reshape(3, 5),
    "a.bias": np.array([0.5, -2.0], "float16"),
    "b.weight": np.array([1.5, 3.0, -0.25], ml_dtypes.bfloat16),
}


def write_shards(directory, shards):
    """Writes shards and their index."""
    weight_map = {}
    for number, tensors in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(tensors, directory / file)
        weight_map.update(dict.fromkeys(tensors, file))
    write_index(directory, weight_map)


def write_index(directory, weight_map, file="model.safetensors.index.json"):
    index = {"metadata": {"total_size": 7}, "weight_map": weight_map}
    (directory / file).write_text(json.dumps(index))


def read_all(directory):
    with open_tensors(directory) as tensors:
        assert {name: tensors.shape(name) for name in tensors} == {
            name: tensors[name].shape for name in tensors
        }
        return dict(tensors)


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


class TestSafetensors:
    def test_round_trip(self, tmp_path):
        write_tensors(TENSORS, tmp_path / "new/model.safetensors")
        assert_equal(read_all(tmp_path / "new"), TENSORS)

    def test_dtypes_are_known_without_reading(self, tmp_path):
        write_tensors(TENSORS, tmp_path / "model.safetensors")
        with open_tensors(tmp_path) as tensors:
            assert [tensors.dtype(name) for name in TENSORS] == ["F32", "F16", "BF16"]
            assert tensors.source == str(tmp_path / "model.safetensors")

    @pytest.mark.parametrize("kept", [0, 5, 40, -1])
    def test_truncated_file(self, tmp_path, kept):
        file = tmp_path / "model.safetensors"
        write_tensors(TENSORS, file)
        file.write_bytes(file.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"model\.safetensors is not a whole safetensors file"):
            read_all(tmp_path)

    def test_file_of_another_kind(self, tmp_path):
        (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(ValueError, match="is not a whole safetensors file"):
            read_all(tmp_path)

    def test_who_may_read_it_is_the_users_choice(self, tmp_path):
        write_tensors(TENSORS, tmp_path / "model.safetensors")
        (tmp_path / "other.txt").write_text("an ordinary file")
        modes = {file.stat().st_mode for file in tmp_path.iterdir()}
        assert len(modes) == 1

    def test_failed_write_leaves_the_old_file(self, tmp_path):
        file = tmp_path / "model.safetensors"
        write_tensors(TENSORS, file)
        with pytest.raises(Exception, match="object"):
            write_tensors({"a": np.array([object()])}, file)
        assert_equal(read_all(tmp_path), TENSORS)
        assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]

    def test_directory_without_weights(self, tmp_path):
        with pytest.raises(
            FileNotFoundError,
            match=r"no weights: none of model\.safetensors, .*index\.json, pytorch_model\.bin",
        ):
            read_all(tmp_path)


class TestShards:
    def test_all_shards_are_read(self, tmp_path):
        names = list(TENSORS)
        shards = [{name: TENSORS[name] for name in names[:2]}, {names[2]: TENSORS[names[2]]}]
        write_shards(tmp_path, shards)
        assert_equal(read_all(tmp_path), TENSORS)

    def test_missing_shard(self, tmp_path):
        write_shards(tmp_path, [{name: array} for name, array in TENSORS.items()])
        (tmp_path / "model-00002-of-00003.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match=r"has no 'model-00002-of-00003\.safetensors'"):
            read_all(tmp_path)

    def test_truncated_shard(self, tmp_path):
        write_shards(tmp_path, [{name: array} for name, array in TENSORS.items()])
        shard = tmp_path / "model-00003-of-00003.safetensors"
        shard.write_bytes(shard.read_bytes()[:-2])
        with pytest.raises(ValueError, match=r"model-00003-of-00003\.safetensors is not a whole"):
            read_all(tmp_path)

    def test_tensor_that_no_shard_has(self, tmp_path):
        write_shards(tmp_path, [TENSORS])
        file = "model-00001-of-00001.safetensors"
        write_index(tmp_path, {**dict.fromkeys(TENSORS, file), "c.weight": file})
        with pytest.raises(ValueError, match=r"lists tensors that its shards do not have.*c\.wei"):
            read_all(tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {"a": 3}}', "\xff"])
    def test_index_that_is_none(self, tmp_path, text):
        (tmp_path / "model.safetensors.index.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ValueError, match="is not an index of safetensors shards"):
            read_all(tmp_path)

    def test_index_does_not_lead_out_of_the_folder(self, tmp_path):
        save_file(TENSORS, tmp_path / "secret.safetensors")
        directory = tmp_path / "model"
        directory.mkdir()
        write_index(directory, dict.fromkeys(TENSORS, "../secret.safetensors"))
        with pytest.raises(ValueError, match="must be plain file names"):
            read_all(directory)


class TestOrder:
    def test_the_first_form_that_is_there_counts(self, tmp_path):
        """A whole file before its shards, and those before the next form."""
        names = (
            "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
            "pytorch_model.bin.index.json", "flax_model.msgpack",
        )  # fmt: skip
        for name in names:
            (tmp_path / name).write_bytes(b"broken")
        for name in names:
            with pytest.raises((ValueError, ImportError), match=rf"/{re.escape(name)} is not "):
                read_all(tmp_path)
            (tmp_path / name).unlink()
        with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin, flax_model\.msgpack is"):
            read_all(tmp_path)


class TestTorch:
    def test_tensors_are_read(self, tmp_path):
        write_torch_file(tmp_path / "pytorch_model.bin", TENSORS)
        assert_equal(read_all(tmp_path), TENSORS)

    def test_tensors_are_read_without_torch(self, tmp_path, monkeypatch):
        write_torch_file(tmp_path / "pytorch_model.bin", TENSORS)
        monkeypatch.setitem(sys.modules, "torch", None)
        assert_equal(read_all(tmp_path), TENSORS)

    def test_safetensors_come_first(self, tmp_path):
        (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
        write_tensors(TENSORS, tmp_path / "model.safetensors")
        assert_equal(read_all(tmp_path), TENSORS)

    def test_shards(self, tmp_path):
        shards = {f"pytorch_model-{i}-of-3.bin": [name] for i, name in enumerate(TENSORS, 1)}
        for file, names in shards.items():
            write_torch_file(tmp_path / file, {name: TENSORS[name] for name in names})
        weight_map = {name: file for file, names in shards.items() for name in names}
        write_index(tmp_path, weight_map, "pytorch_model.bin.index.json")
        assert_equal(read_all(tmp_path), TENSORS)

    def test_index_that_is_none(self, tmp_path):
        (tmp_path / "pytorch_model.bin.index.json").write_text("{}")
        with pytest.raises(ValueError, match="is not an index of PyTorch shards"):
            read_all(tmp_path)

    def test_file_of_another_form(self, tmp_path):
        nested = {"state_dict": {"a": tensor(storage("FloatStorage", "0", 3), (3,))}}
        write_archive(tmp_path / "pytorch_model.bin", nested, {"0": bytes(12)})
        with pytest.raises(ValueError, match="must hold a dictionary of tensors"):
            read_all(tmp_path)

    @pytest.mark.parity
    def test_file_that_would_run_code(self, tmp_path):
        import os
        import pickle

        import torch

        class Harmful:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "harmed"),)

        file = tmp_path / "pytorch_model.bin"
        for write in (
            lambda: torch.save({"a": Harmful()}, file),
            lambda: torch.save({"a": Harmful()}, file, _use_new_zipfile_serialization=False),
            lambda: file.write_bytes(pickle.dumps(Harmful(), protocol=2)),
        ):
            write()
            with pytest.raises(ValueError, match="is not a whole PyTorch checkpoint"):
                read_all(tmp_path)
            assert not (tmp_path / "harmed").exists()
