"""Loops, checks and barriers of each backend."""

import ast

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird_tf.nn import backend
from bigbird_tf.nn.backend import (
    call_traced_once,
    check_in_range,
    check_when_run,
    compute_spec,
    device_type,
    is_compiled_by_xla,
    overwrite_at,
    recompute_barrier,
    serial_map,
    take,
    write_at,
)
from tests.backends import IS_TENSORFLOW, compiled, tensorflow_alone
from tests.conftest import ROOT


def signatures(name: str) -> dict:
    """Returns the arguments of a backend's public functions; without importing it."""
    tree = ast.parse((ROOT / f"bigbird_tf/nn/backend/{name}.py").read_text())
    return {
        node.name: ast.unparse(node.args)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def test_backends_have_equal_functions():
    functions = signatures("tensorflow")
    assert functions == signatures("jax")
    assert {*functions, "NAME", "SEED_DTYPE"} == set(backend.__all__)


def test_take():
    table, ids = np.arange(15.0).reshape(5, 3), np.array([[4, 0], [2, 2]])
    np.testing.assert_array_equal(take(ops.convert_to_tensor(table), ids), table[ids])


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_write_at(jit_compile, dtype):
    x = np.random.default_rng(3).normal(size=(2, 3, 5, 7))
    update = 3 * x[:, :, :1] + 1
    write = compiled(write_at, jit_compile=jit_compile)
    for index in (0, 3, 4):
        before, new = ops.convert_to_tensor(x, dtype), ops.convert_to_tensor(update, dtype)
        expected = np.array(ops.cast(before, "float32"))
        before = before * ops.cast(ops.arange(5) != index, dtype)[:, None]
        expected[:, :, index] = np.array(ops.cast(new, "float32"))[:, :, 0]
        written = write(before, new, ops.convert_to_tensor(index, "int32"))
        assert keras.backend.standardize_dtype(written.dtype) == dtype
        np.testing.assert_array_equal(ops.cast(written, "float32"), expected)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_overwrite_at(jit_compile, dtype):
    """Another place in each row; what was there, far larger, leaves nothing behind."""
    x = 1e6 * np.random.default_rng(3).normal(size=(3, 2, 5, 7))
    update = ops.convert_to_tensor(x[:, :, :1] / 1e6 + 1, dtype)
    before = ops.convert_to_tensor(x, dtype)
    expected = np.array(ops.cast(before, "float32"))
    for row, place in enumerate((4, 0, 2)):
        expected[row, :, place] = np.array(ops.cast(update, "float32"))[row, :, 0]
    write = compiled(overwrite_at, jit_compile=jit_compile)
    written = write(before, update, ops.convert_to_tensor([4, 0, 2], "int32"))
    assert keras.backend.standardize_dtype(written.dtype) == dtype
    np.testing.assert_array_equal(ops.cast(written, "float32"), expected)


def test_spec_of_unknown_sizes():
    def halves(inputs):
        batch, length = inputs["ids"].shape
        assert inputs["mask"].shape[1] == 8
        return keras.KerasTensor((batch, 7, length and length // 2), "float32")

    inputs = {"ids": keras.KerasTensor((None, 8)), "mask": keras.KerasTensor((None, 8))}
    assert compute_spec(halves, inputs).shape == (None, 7, 4)
    inputs["ids"] = keras.KerasTensor((3, 8))
    assert compute_spec(halves, inputs).shape == (3, 7, 4)
    triple = compute_spec(
        lambda x: keras.KerasTensor((x.shape[0], 3, x.shape[1])), keras.KerasTensor((None, None))
    )
    assert triple.shape == (None, 3, None)


def test_serial_map():
    table = ops.convert_to_tensor(np.arange(15, dtype="float32").reshape(5, 3))
    mapped = serial_map(lambda i: [table[i] * 2, table[i]], 4, [[3], [3]], "float32")
    for mine, expected in zip(mapped, (table[:4] * 2, table[:4]), strict=True):
        np.testing.assert_array_equal(mine, expected)


class TestChecks:
    """Where values are known; compiled by XLA there are none."""

    def errors(self):
        return tf.errors.InvalidArgumentError if IS_TENSORFLOW else ValueError

    @pytest.mark.parametrize("ids", [[[0, 3]], [[-1, 2]]])
    def test_ids_out_of_range(self, ids):
        ids = ops.convert_to_tensor(ids, "int32")
        with pytest.raises(self.errors(), match="from 0 to 2"):
            check_in_range(ids, 3, "from 0 to 2")
        assert compiled(lambda x: check_in_range(x, 3, "from 0 to 2"))(ids).shape == (1, 2)

    def test_ids_in_range(self):
        ids = ops.convert_to_tensor([[0, 2]], "int32")
        np.testing.assert_array_equal(check_in_range(ids, 3, ""), ids)

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32"])
    def test_ids_of_any_dtype(self, dtype):
        ids = ops.convert_to_tensor(np.arange(100, dtype=dtype))
        # As numbers of the ids' own dtype, some of these would be negative, or small.
        for size in (100, 128, 200, 256, 32_768, 40_000, 65_536, 70_000):
            np.testing.assert_array_equal(check_in_range(ids, size, ""), np.arange(100))
        with pytest.raises(self.errors(), match="from 0 to 98"):
            check_in_range(ids, 99, "from 0 to 98")

    def test_any_check(self):
        x = ops.ones((2, 3))
        np.testing.assert_array_equal(check_when_run(x, (lambda: ops.all(x > 0), "no")), x)
        with pytest.raises(self.errors(), match="not all are above 1"):
            check_when_run(x, (lambda: ops.all(x > 1), "not all are above 1"))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_is_compiled_by_xla(jit_compile):
    seen = []

    def inner(x):
        seen.append(is_compiled_by_xla())
        return x + 1

    outer = tf.function(lambda x: tf.function(inner)(x) * 2, jit_compile=jit_compile)
    assert outer(tf.constant(1)) == 4
    assert seen == [jit_compile]
    inner(tf.constant(1))
    assert seen[-1] is False


def test_serial_map_with_a_count_that_is_a_tensor():
    table = tf.random.normal((5, 3))

    @tf.function
    def doubled(count):
        return serial_map(lambda i: [table[i] * 2, table[i]], count, [[3], [3]], "float32")

    for mine, expected in zip(doubled(tf.constant(4)), (table[:4] * 2, table[:4]), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_turns_of_a_serial_map_do_not_run_side_by_side():
    """Several chunks at once would leave the cache."""
    graph = (
        tf.function(lambda x: serial_map(lambda i: [x[i]], 4, [[3]], "float32"))
        .get_concrete_function(tf.TensorSpec((5, 3)))
        .graph
    )
    loops = [op for op in graph.get_operations() if op.type in ("While", "StatelessWhile")]
    assert [loop.get_attr("parallel_iterations") for loop in loops] == [1]


def test_call_traced_once():
    traces = []

    def function(x, *, factor):
        traces.append(factor)
        return x * factor

    @tf.function
    def layers(x):
        for factor in (2.0, 2.0, 3.0):
            x = call_traced_once(function, x, factor=factor)
        return x

    assert layers(tf.constant(1.0)) == 12
    assert traces == [2.0, 3.0]


def test_recompute_barrier_waits():
    @tf.function
    def late(grad_output, x):
        return recompute_barrier(tf.exp(grad_output), x) + 1

    graph = late.get_concrete_function(tf.constant(1.0), tf.constant(2.0)).graph
    (identity,) = [
        op for op in graph.get_operations() if op.control_inputs and op.type == "Identity"
    ]
    assert identity.inputs[0] is graph.inputs[1]
    assert [op.type for op in identity.control_inputs] == ["Exp"]
    assert late(tf.constant(1.0), tf.constant(2.0)) == 3


def test_device_type(monkeypatch):
    """A GPU that TensorFlow sees; else the processor."""
    found = {"GPU": [], "CPU": ["CPU:0"]}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: found[kind])
    assert device_type() == "cpu"
    found["GPU"] = ["GPU:0"]
    assert device_type() == "gpu"


@pytest.mark.skipif(IS_TENSORFLOW, reason="JAX's own")
def test_device_type_of_a_scope(monkeypatch):
    """A GPU's kernels do not run on the processor beside it."""
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert device_type() == "gpu"
    for scope in (keras.device("cpu:0"), jax.default_device("cpu")):
        with scope:
            assert device_type() == "cpu"
    assert device_type() == "gpu"


@pytest.mark.parametrize(
    ("has_onednn", "flags", "expected"),
    [
        (True, "fpu avx2 avx512_bf16 fma", True),
        (True, "fp asimd bf16", True),
        (True, "fpu avx2 fma", False),
        (False, "fpu avx2 avx512_bf16", False),
        (True, None, True),
    ],
)
@tensorflow_alone
def test_has_half_precision_products(has_onednn, flags, expected, monkeypatch):
    def read_text(path):
        assert str(path) == "/proc/cpuinfo"
        if flags is None:
            raise FileNotFoundError(path)
        return f"processor : 0\nflags : {flags}\n"

    module = "bigbird_tf.nn.backend.tensorflow"
    monkeypatch.setattr(f"{module}._rounds_at_the_end", lambda: has_onednn)
    monkeypatch.setattr("pathlib.Path.read_text", read_text)
    assert backend.has_half_precision_products.__wrapped__() == expected
