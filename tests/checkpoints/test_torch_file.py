"""PyTorch's files without PyTorch: whole ones are read as it reads them, all others are refused."""

import re
import sys
import zipfile
from contextlib import ExitStack
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird_tf.checkpoints.torch_file import open_torch_file
from tests.checkpoints.torch_archive import (
    STORAGES,
    Call,
    Name,
    Raw,
    Reference,
    operations_of,
    storage,
    tensor,
    write_archive,
    write_torch_file,
)

REFUSED = r"pytorch_model\.bin is not a whole PyTorch checkpoint: "
FLOATS = np.arange(24, dtype="float32")
FLOAT_STORAGE = storage("FloatStorage", "0", 24)


def read_all(file):
    """Reads all tensors, after the file is closed, too."""
    with ExitStack() as stack:
        readers = open_torch_file(stack, file)
        arrays = {name: reader.read() for name, reader in readers.items()}
        for name, reader in readers.items():
            assert reader.shape == arrays[name].shape
            assert reader.dtype == arrays[name].dtype.name
    return arrays


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pytorch_model.bin"


def write(file, value, **storages):
    """Writes one tensor, or another value, beside a storage of 24 floats."""
    named = value if isinstance(value, (dict, Raw)) else {"a": value}
    write_archive(file, named, {"0": FLOATS.tobytes(), **storages})


class TestWholeFiles:
    def test_dtypes(self, file):
        arrays = {
            dtype.name: np.array([[0, 1, 3], [2, 7, 1]], dtype).reshape(2, 3) for dtype in STORAGES
        }
        write_torch_file(file, arrays)
        found = read_all(file)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)

    def test_views_of_one_storage(self, file):
        views = {
            "whole": tensor(FLOAT_STORAGE, (4, 6)),
            "transposed": tensor(FLOAT_STORAGE, (6, 4), (1, 6)),
            "row": tensor(FLOAT_STORAGE, (6,), (1,), 6),
            "every other": tensor(FLOAT_STORAGE, (2, 3), (12, 2), 1),
            "expanded": tensor(FLOAT_STORAGE, (3, 2), (0, 1), 4),
            "scalar": tensor(FLOAT_STORAGE, (), (), 23),
            "empty": tensor(FLOAT_STORAGE, (0, 6), (6, 1), 24),
        }
        write(file, views)
        table = FLOATS.reshape(4, 6)
        found = read_all(file)
        expected = {
            "whole": table,
            "transposed": table.T,
            "row": table[1],
            "every other": np.array([[1, 3, 5], [13, 15, 17]]),
            "expanded": np.array([[4, 5]] * 3),
            "scalar": np.float32(23),
            "empty": np.zeros((0, 6)),
        }
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
            assert found[name].flags.c_contiguous
            assert found[name].flags.writeable

    def test_parameters_and_attributes_of_the_dictionary(self, file):
        parameter = ("torch._utils._rebuild_parameter", (tensor(FLOAT_STORAGE, (24,)), True, None))
        ordered = operations_of(Call("collections.OrderedDict"))
        item = operations_of("a") + operations_of(Call(*parameter))
        # `_metadata` is an attribute of the dictionary that `state_dict` returns.
        attributes = operations_of({"_metadata": Call("collections.OrderedDict")})
        write(file, Raw(ordered + item + b"s" + attributes + b"b"))
        np.testing.assert_array_equal(read_all(file)["a"], FLOATS)

    def test_dtype_beside_a_storage_of_bytes(self, file):
        stored = storage("storage.UntypedStorage", "7", 6)
        hooks = Call("collections.OrderedDict")
        arguments = (stored, 1, (2,), (1,), False, hooks, Name("torch.uint16"))
        write(
            file,
            Call("torch._utils._rebuild_tensor_v3", arguments),
            **{"7": np.array([5, 6, 70], "uint16").tobytes()},
        )
        found = read_all(file)["a"]
        assert found.dtype == "uint16"
        assert found.tolist() == [6, 70]


def refused(file, match):
    return pytest.raises(ValueError, match=REFUSED + match)


class TestHarm:
    @pytest.mark.parametrize(
        "name", ["os.system", "posix.system", "builtins.eval", "torch.load", "numpy.load"]
    )
    def test_functions_are_not_called(self, file, tmp_path, name):
        write(file, Call(name, (f"touch {tmp_path}/harmed",)))
        with refused(file, rf"its pickle names {name}, which is none of .* was not run"):
            read_all(file)
        assert not (tmp_path / "harmed").exists()

    def test_name_put_together_on_the_stack(self, file):
        write(file, Raw(b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93"))
        with refused(file, "its pickle names os.system"):
            read_all(file)

    @pytest.mark.parametrize("operation", ["ios\nsystem\n", "U\x01a", "\x82\x01"])
    def test_operations_that_no_tensors_need(self, file, operation):
        write(file, Raw(b"(" + operation.encode("latin-1")))
        with refused(file, r"its pickle has the operation \w+"):
            read_all(file)

    @pytest.mark.parametrize(
        ("shape", "strides", "offset", "match"),
        [
            ((10**12,), (1,), 0, "leads out of its storage of 24 elements"),
            ((2**200, 2**200), (1, 1), 0, "leads out of its storage"),
            ((4, 6), (7, 1), 0, "leads out of its storage"),
            ((2,), (2**63,), 0, "leads out of its storage"),
            ((1,), (1,), 24, "leads out of its storage"),
            # Nothing leads out, and memory would be full.
            ((10**9, 10**9), (0, 0), 0, "is larger than the file that it is in"),
            ((2,), (-1,), 1, "must be integers, 0 or more"),
            ((-2,), (1,), 0, "must be integers, 0 or more"),
            ((2,), (1,), -4, "must be integers, 0 or more"),
            ((2.0,), (1,), 0, "must be integers, 0 or more"),
            ((2,), (1, 1), 0, "as many strides as sizes"),
            ((1,) * 33, (1,) * 33, 0, "32 at most"),
        ],
    )
    def test_shapes_and_strides(self, file, shape, strides, offset, match):
        write(file, tensor(FLOAT_STORAGE, shape, strides, offset))
        with refused(file, f".*{match}"):
            read_all(file)

    @pytest.mark.parametrize(
        ("stored", "match"),
        [
            (storage("FloatStorage", "1", 24), "it has no 'archive/data/1'"),
            (storage("FloatStorage", "../../secret", 24), "it has no 'archive/data/../../secret'"),
            (storage("FloatStorage", "0", 25), "must be of 100 bytes. Received: 96 bytes"),
            (storage("DoubleStorage", "0", 24), "must be of 192 bytes. Received: 96 bytes"),
            (storage("QInt8Storage", "0", 24), "its pickle names torch.QInt8Storage"),
            (Reference(("module", "a")), "refers to something that is no storage"),
            (Reference("storage"), "refers to something that is no storage"),
            (7, "a tensor has no storage"),
            (storage("UntypedStorage", "0", 96), "a tensor has no storage"),
        ],
    )
    def test_storages(self, file, stored, match):
        write(file, tensor(stored, (24,)))
        with refused(file, f".*{match}"):
            read_all(file)

    def test_storage_outside_of_the_file(self, file):
        write(file, tensor(storage("FloatStorage", "0", 10**9), (24,)))
        data = bytearray(file.read_bytes())
        # The sizes of data/0 in the archive's directory: 4 GB in a small file.
        entry = data.index(b"archive/data/0", data.index(b"PK\x01\x02")) - 46
        for start in (entry + 20, entry + 24):
            data[start : start + 4] = (4 * 10**9).to_bytes(4, "little")
        file.write_bytes(data)
        with refused(file, "its 'archive/data/0' leads out of the file"):
            read_all(file)

    def test_entry_that_is_somewhere_else(self, file):
        write(file, tensor(FLOAT_STORAGE, (24,)))
        data = bytearray(file.read_bytes())
        entry = data.index(b"archive/data/0", data.index(b"PK\x01\x02")) - 46
        data[entry + 42 : entry + 46] = (7).to_bytes(4, "little")
        file.write_bytes(data)
        with refused(file, "its 'archive/data/0' is not where the archive says"):
            read_all(file)

    def test_zip_bomb(self, file):
        value = {"a": tensor(storage("FloatStorage", "0", 5 * 10**6), (5 * 10**6,))}
        write_archive(file, value, {"0": bytes(2 * 10**7)}, zipfile.ZIP_DEFLATED)
        assert file.stat().st_size < 10**5
        with refused(file, ".* is compressed or encrypted"):
            read_all(file)

    def test_pickle_that_is_larger_than_any(self, file):
        # Each byte puts a list into memory.
        write(file, Raw(b"]" * 2**22))
        with refused(file, r"its data.pkl is of \d+ bytes, more than any model's"):
            read_all(file)

    @pytest.mark.parametrize(
        ("operations", "match"),
        [
            # A table of four billion places, a string of a petabyte, and what exhausts the stack.
            (b"}r\xff\xff\xff\xff", None),
            (b"\x8d" + (10**15).to_bytes(8, "little") + b"a", "expected 1000000000000000 bytes"),
            (b"}" + b")" + b"\x85" * 10**5 + b"K\x01s", "a tuple as the key of a dictionary"),
            (b"h\x05", "its pickle is damaged: KeyError"),
            (b"u", "its pickle is damaged: IndexError"),
            (b"}(K\x01u", "a key has no value"),
            (b"](K\x01u", "an operation takes a dict, and has a list"),
            (b"K\x01)R", "takes a Global, and has a int"),
            (b"ccollections\nOrderedDict\n(](K\x01et\x52", "ordered dictionary must be made empty"),
        ],
    )
    def test_pickles(self, file, operations, match):
        write(file, Raw(operations))
        if match is None:
            assert read_all(file) == {}
            return
        with refused(file, f".*{match}"):
            read_all(file)

    @given(data=st.data())
    @settings(max_examples=60, deadline=None)
    def test_damaged_bytes(self, data, tmp_path_factory):
        file = tmp_path_factory.mktemp("damaged") / "pytorch_model.bin"
        write(file, tensor(FLOAT_STORAGE, (4, 6)))
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        file.write_bytes(content)
        try:
            arrays = read_all(file)
        except (ValueError, ImportError) as error:
            # Whatever is damaged, the message says in which file.
            if "pytorch_model.bin" not in str(error):
                raise AssertionError(str(error)) from error
        else:
            assert all(array.nbytes <= len(content) for array in arrays.values())


class TestOtherFiles:
    @pytest.mark.parametrize("kept", [0, 40, -30])
    def test_truncated_file(self, file, kept):
        write(file, tensor(FLOAT_STORAGE, (24,)))
        file.write_bytes(file.read_bytes()[:kept])
        with refused(file, ""):
            read_all(file)

    def test_pointer_of_git_lfs(self, file):
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
        with refused(file, "it is the pointer .*git lfs pull"):
            read_all(file)

    def test_archive_of_something_else(self, file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("model/weights.npy", b"")
        with refused(file, "it must have one data.pkl in one folder"):
            read_all(file)

    def test_program_of_torchscript(self, file):
        write(file, {})
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("archive/constants.pkl", b"")
        with refused(file, r"it is a program of TorchScript; save `model\.state_dict\(\)`"):
            read_all(file)

    def test_other_order_of_bytes(self, file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}.")
            archive.writestr("archive/byteorder", b"big")
        with refused(file, "its bytes must be in the order 'little'. Received: b'big'"):
            read_all(file)

    @pytest.mark.parametrize("value", [{"model": {"a": 1}}, {"a": FLOAT_STORAGE}, {1: 2}])
    def test_no_dictionary_of_tensors(self, file, value):
        write(file, value)
        with pytest.raises(ValueError, match="must hold a dictionary of tensors"):
            read_all(file)

    def test_old_form_without_torch(self, file, monkeypatch):
        file.write_bytes(bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de903"))
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(ImportError, match=r"only PyTorch reads: `pip install torch`, or save"):
            read_all(file)

    @pytest.mark.parametrize("version", ["2.5.1+cu121", "1.13.0"])
    def test_old_form_with_a_torch_that_can_be_made_to_run_it(self, file, monkeypatch, version):
        file.write_bytes(bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de903"))
        torch = SimpleNamespace(__version__=version, load=lambda *_, **__: pytest.fail("loaded"))
        monkeypatch.setitem(sys.modules, "torch", torch)
        with pytest.raises(ImportError, match=rf"'torch>=2\.6'.*torch {re.escape(version)}$"):
            read_all(file)


@pytest.mark.parity
class TestTorch:
    """What PyTorch writes is read as it reads it."""

    @pytest.fixture
    def tensors(self):
        import torch

        generator = torch.Generator().manual_seed(3)
        table = torch.randn(7, 5, generator=generator)
        tensors = {
            str(dtype): (10 * table).to(dtype)
            for dtype in (
                *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
                *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
                *(torch.uint16, torch.uint32, torch.uint64),
                *(torch.float8_e4m3fn, torch.float8_e5m2),
            )
        }
        return tensors | {
            "parameter": torch.nn.Parameter(table),
            "shared": table,
            "transposed": table.T,
            "part": table[2:5, 1::2],
            "expanded": table[3].expand(4, 5),
            "scalar": torch.tensor(2.5),
            "empty": torch.zeros(0, 3),
            "positions": torch.arange(61).expand((1, -1)),
        }

    @pytest.mark.parametrize(
        "options",
        [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}],
        ids=["zip", "protocol 4", "old form"],
    )
    def test_same_tensors(self, file, tensors, options):
        import torch

        if options.get("_use_new_zipfile_serialization") is False:
            # PyTorch writes these dtypes in that form, and does not read them.
            tensors = {n: x for n, x in tensors.items() if not re.search("float8|uint[136]", n)}
        torch.save(tensors, file, **options)
        found = read_all(file)
        # PyTorch's own safe reader does not know protocol 4.
        loaded = torch.load(file, weights_only="pickle_protocol" not in options)
        assert list(found) == list(loaded)
        for name, array in found.items():
            expected = loaded[name].detach()
            assert array.shape == tuple(expected.shape), name
            if expected.dtype.is_floating_point:
                array, expected = array.astype("float64"), expected.double()
            np.testing.assert_array_equal(array, expected.numpy(), err_msg=name)

    def test_state_dictionary_of_a_module(self, file):
        import torch

        module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
        torch.save(module.state_dict(), file)
        found = read_all(file)
        assert found["1.num_batches_tracked"].dtype == "int64"
        for name, expected in module.state_dict().items():
            np.testing.assert_array_equal(found[name], expected.numpy(), err_msg=name)

    def test_bfloat16_keeps_its_bits(self, file):
        import torch

        values = torch.tensor([1.5, -3e38, float("inf"), 1e-40], dtype=torch.bfloat16)
        torch.save({"a": values}, file)
        found = read_all(file)["a"]
        assert found.dtype == ml_dtypes.bfloat16
        assert found.view("uint16").tolist() == values.view(torch.uint16).tolist()

    def test_sparse_tensor_is_refused_by_name(self, file):
        import torch

        torch.save({"a": torch.eye(3).to_sparse()}, file)
        with refused(file, r"its pickle names torch\._utils\._rebuild_sparse_tensor"):
            read_all(file)
