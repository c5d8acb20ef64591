"""The chunked kernel, under every plan, against the dense oracle that counts repeats in float64."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bigbird_tf import BlockPattern
from bigbird_tf.attention.kernels import plan as plans
from bigbird_tf.attention.kernels.attention_weights import MASKED
from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.plan import Plan, make_plan
from bigbird_tf.attention.pattern.slots import Slots
from tests.backends import IS_TENSORFLOW, compiled, tensorflow_alone, value_and_gradients
from tests.graph_walk import all_operations

# In bytes: a row or two, some rows, some heads or all.
CHUNKS = [300, 1500, 8 * 2**20]
# For whom plans are made: device, and whether XLA compiles.
MACHINES = {
    "CPU": ("cpu", False),
    "XLA on a CPU": ("cpu", True),
    "GPU": ("gpu", True),
    "TPU": ("tpu", True),
}
machines = pytest.mark.parametrize("machine", MACHINES)


class Case:
    """Random queries, keys and values under a random pattern, and what dense attention gives."""

    def __init__(
        self,
        seed=0,
        batch=2,
        heads=3,
        head_size=5,
        block=3,
        rows=5,
        left=1,
        right=1,
        window=3,
        num_random=2,
        real=0.7,
        token_window=None,
        pattern=None,
    ):
        rng = np.random.default_rng(seed)
        if pattern is None:
            n = rows + left + right
            # Anything at all, repeats of window and global blocks too, more than the originals.
            random_blocks = rng.integers(0, n, (heads, rows, num_random), dtype=np.int32)
            pattern = BlockPattern(n, left, right, window, random_blocks)
            layout = dataclasses.replace(pattern.slots.layout, token_window=token_window)
            self.slots = pattern.slots._replace(layout=layout)
        else:
            n, heads, self.slots = pattern.num_blocks, pattern.num_heads, pattern.slots
        self.pattern = pattern
        self.block = block
        shape = (batch, heads, n * block, head_size)
        self.qkv = [rng.normal(size=shape).astype("float32") for _ in range(3)]
        self.grad_output = rng.normal(size=shape).astype("float32")
        self.mask = rng.random((batch, n * block)) < real
        # A query with no real key at all averages over padding, where scores have lost their
        # digits beside -10000. What it gives is not compared.
        self.has_key = ((self.counts()[None] > 0) & self.mask[:, None, None, :]).any(-1)
        self.grad_output *= self.has_key[..., None]

    def counts(self):
        """How often each query lists each key, counted one by one: `(N, T, T)`."""
        b, layout = self.block, self.slots.layout
        counts = np.kron(self.pattern.to_dense_mask(), np.ones((b, b), int))
        if layout.token_window is None:
            return counts
        before, after = layout.token_window
        start, window = layout.row_offset, layout.groups["window"]
        for head, row, slot in np.ndindex(*self.pattern.key_blocks.shape):
            if not (window.start <= slot < window.stop and self.pattern.is_read[row, slot]):
                continue
            for q in range(b * (start + row), b * (start + row + 1)):
                for k in range(b * self.pattern.key_blocks[head, row, slot], 10**9):
                    if k == b * (self.pattern.key_blocks[head, row, slot] + 1):
                        break
                    counts[head, q, k] -= not -before <= k - q <= after
        return counts

    @property
    def key_bias(self):
        return ((1.0 - self.mask) * MASKED).astype("float32")

    def oracle(self):
        """Returns context and gradients of dense attention, in float64."""
        q, k, v = (x.astype("float64") for x in self.qkv)
        counts, grad_output = self.counts()[None], self.grad_output.astype("float64")
        scores = q @ np.swapaxes(k, -1, -2) + self.key_bias[:, None, None, :]
        # What is not read must not decide on what is subtracted.
        scores = np.where(counts > 0, scores, -1e9)
        weights = counts * np.exp(scores - scores.max(-1, keepdims=True))
        weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-300)
        context = weights @ v
        weight_grad = grad_output @ np.swapaxes(v, -1, -2)
        delta = (context * grad_output).sum(-1, keepdims=True)
        score_grad = weights * (weight_grad - delta)
        transposed = np.swapaxes(score_grad, -1, -2), np.swapaxes(weights, -1, -2)
        return context, score_grad @ k, transposed[0] @ q, transposed[1] @ grad_output

    def plan(self, machine, chunk=8 * 2**20, known=True) -> Plan:
        device, compiled = MACHINES[machine]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plans, "CACHE_BYTES", chunk)
            patch.setattr(plans, "TPU_BYTES", (chunk, chunk // 2))
            return make_plan(
                self.qkv[0].shape,
                4,
                self.slots.layout,
                self.block,
                self.pattern.num_rows if known else None,
                device=device,
                compiled=compiled,
            )

    def sparse(self, q, k, v, key_bias, key_blocks=None, slot_bias=None, plan=None):
        """Returns context and gradients of the kernel, as a function to trace."""
        slots = self.slots
        if key_blocks is not None:
            slots = Slots(key_blocks, slot_bias, slots.layout)

        def context(q, k, v):
            return block_sparse_attention(q, k, v, key_bias, slots, self.block, plan=plan)

        return value_and_gradients(context, [q, k, v], ops.cast(self.grad_output, q.dtype))

    def at_unknown_length(self, machine):
        """Returns context and gradients of a graph that does not know batch and length."""
        _, heads, _, head_size = self.qkv[0].shape
        slots = self.pattern.num_slots
        signature = [
            *[tf.TensorSpec([None, heads, None, head_size])] * 3,
            tf.TensorSpec([None, None]),
            tf.TensorSpec([heads, None, slots], tf.int32),
            tf.TensorSpec([None, slots]),
        ]
        plan = self.plan(machine, known=False)
        traced = tf.function(lambda *x: self.sparse(*x, plan=plan), input_signature=signature)
        return traced(*self.tensors(), self.slots.key_blocks, self.slots.bias)

    def check(self, outputs, tolerance=2e-5, dtype="float32"):
        has_key = self.has_key[..., None]
        for name, mine, theirs in zip("oqkv", outputs, self.oracle(), strict=True):
            assert mine.dtype == dtype
            assert mine.shape == theirs.shape
            mine = as_float64(mine)
            assert np.isfinite(mine).all()
            mine, theirs = (x * has_key ** (name == "o") for x in (mine, theirs))
            largest = max(np.abs(theirs).max(initial=0), 0.1)
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * largest, err_msg=name)

    def tensors(self, dtype="float32"):
        return [*(ops.cast(x, dtype) for x in self.qkv), ops.convert_to_tensor(self.key_bias)]


def as_float64(x) -> np.ndarray:
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.convert_to_numpy(x if dtype == "float64" else ops.cast(x, "float32")).astype(
        "float64"
    )


cases = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    batch=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 3, 4]),
    head_size=st.integers(1, 5),
    block=st.integers(1, 5),
    rows=st.integers(1, 7),
    left=st.integers(0, 2),
    right=st.integers(0, 2),
    window=st.one_of(
        st.sampled_from([1, 3, 5, 7]), st.tuples(st.integers(0, 3), st.integers(0, 3))
    ),
    num_random=st.integers(0, 4),
    real=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    token_window=st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 9))),
)


@machines
@given(case=cases, chunk=st.sampled_from(CHUNKS))
@settings(max_examples=6 if IS_TENSORFLOW else 3)  # JAX compiles each.
def test_values_and_gradients(machine, case, chunk):
    case.check(case.sparse(*case.tensors(), plan=case.plan(machine, chunk)))


@machines
@given(case=cases, chunk=st.sampled_from(CHUNKS))
@settings(max_examples=1)
def test_values_and_gradients_in_a_graph(machine, case, chunk):
    plan = case.plan(machine, chunk)
    run = compiled(lambda *x: case.sparse(*x, plan=plan), jit_compile=False)
    case.check(run(*case.tensors()))


@tensorflow_alone
@machines
@given(case=cases)
@settings(max_examples=1)
def test_values_and_gradients_at_unknown_length(machine, case):
    case.check(case.at_unknown_length(machine))


@pytest.mark.parametrize("machine", ["XLA on a CPU", "GPU", "TPU"])
@pytest.mark.parametrize(
    "case",
    [
        Case(heads=2, window=5, left=2, num_random=1, token_window=(4, 2)),
        Case(heads=3, window=1, left=0, right=0, rows=7, num_random=3, block=2),
    ],
    ids=["wide, in part", "no globals"],
)
def test_values_and_gradients_under_xla(case, machine):
    plan = case.plan(machine, 900)
    run = compiled(lambda *x: case.sparse(*x, plan=plan))
    case.check(run(*case.tensors()))


@machines
def test_empty_batch(machine):
    case = Case()
    tensors = [x[:0] for x in case.tensors()]
    case.grad_output = case.grad_output[:0]
    for output in case.sparse(*tensors, plan=case.plan(machine)):
        assert output.shape == (0, *case.qkv[0].shape[1:])


def test_causal_window():
    """A window of tokens that ends at the query: nothing that comes later is read."""
    case = Case(left=0, right=0, rows=6, num_random=0, window=(1, 0), token_window=(3, 0), real=1.0)
    expected = np.tril(np.ones((18, 18), int)) - np.tril(np.ones((18, 18), int), -4)
    np.testing.assert_array_equal(case.counts(), np.stack([expected] * 3))
    case.check(case.sparse(*case.tensors()))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_scale(dtype):
    case = Case()
    q, k, v, key_bias = case.tensors(dtype)
    # What does not fit into half precision unscaled.
    scale = 1.0 / 64
    q = q * 64 * (20 if dtype == "float16" else 1)
    k = k * (20 if dtype == "float16" else 1)
    scaled = block_sparse_attention(q, k, v, key_bias, case.slots, case.block, scale=scale)
    expected = block_sparse_attention(q * scale, k, v, key_bias, case.slots, case.block)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-5)


def test_long_sequences_are_summed_twice_only():
    """Each sum is as long as the sequence: one a chunk would be quadratic."""
    case = Case(rows=23, num_random=1)
    plan = case.plan("CPU", 600)
    assert len(plan.backward.edges) > 6
    function = tf.function(lambda *x: case.sparse(*x, plan=plan))
    graph = function.get_concrete_function(*case.tensors())
    operations = [operation.type for operation in all_operations(graph)]
    assert operations.count("SparseSegmentSumWithNumSegments") == 2 * 2
    case.check(function(*case.tensors()))


def test_function_traced_before_it_is_differentiated_under_xla():
    case = Case()
    inputs = case.tensors()

    @tf.function
    def context(q, k, v, key_bias):
        return block_sparse_attention(q, k, v, key_bias, case.slots, case.block)

    expected = context(*inputs)

    @tf.function(jit_compile=True)
    def gradients(q, k, v, key_bias):
        with tf.GradientTape() as tape:
            tape.watch([q, k, v])
            output = context(q, k, v, key_bias)
        return output, *tape.gradient(output, [q, k, v], case.grad_output)

    outputs = gradients(*inputs)
    np.testing.assert_allclose(outputs[0], expected, rtol=0, atol=1e-5)
    case.check(outputs)


@machines
@settings(max_examples=2)
@given(case=cases, dtype=st.sampled_from(["float16", "bfloat16"]))
def test_half_precision(machine, case, dtype):
    # The oracle gets the same rounded numbers.
    case.qkv = [as_float64(ops.cast(x, dtype)).astype("float32") for x in case.qkv]
    outputs = case.sparse(*case.tensors(dtype), plan=case.plan(machine))
    case.check(outputs, tolerance=3e-2, dtype=dtype)


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_half_precision_in_float32_is_rounded_at_the_end_alone(dtype, digits):
    case = Case(rows=4)
    half = case.tensors(dtype)
    case.qkv = [as_float64(x).astype("float32") for x in half[:3]]
    plan = case.plan("CPU", 600)
    outputs = case.sparse(*half, plan=dataclasses.replace(plan, in_float32=True))
    case.check(outputs, 2.0 ** (2 - digits), dtype)
    context = ops.cast(case.sparse(*case.tensors(), plan=plan)[0], dtype)
    np.testing.assert_array_equal(as_float64(outputs[0]), as_float64(context))


@tensorflow_alone  # JAX computes in float64 only where all of a process does.
@machines
def test_float64_is_kept(machine):
    case = Case()
    outputs = case.sparse(*case.tensors("float64"), plan=case.plan(machine))
    case.check(outputs, tolerance=1e-12, dtype="float64")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("real", ["none", "one", "last"])
def test_finite_with_any_mask(dtype, real):
    case = Case(real=0.0)
    if real != "none":
        case.mask[:, 4 if real == "one" else -1] = True
    case.grad_output += 1
    # Scores of a thousand, so that exponentials overflow if nothing is subtracted first.
    case.qkv[0] *= 100
    for output in case.sparse(*case.tensors(dtype)):
        assert np.isfinite(as_float64(output)).all()


@pytest.mark.parametrize(
    ("machine", "chunk"),
    [
        ("CPU", CHUNKS[0]),
        ("CPU", CHUNKS[-1]),
        ("XLA on a CPU", CHUNKS[0]),
        ("GPU", CHUNKS[-1]),
        ("TPU", CHUNKS[0]),
    ],
)
def test_nothing_flows_outside_of_the_pattern(machine, chunk):
    """Gradient of an output block with respect to a key block that it does not read: zero."""
    case = Case(rows=5, heads=2, num_random=1, real=0.9)
    plan = case.plan(machine, chunk)
    n, b = case.pattern.num_blocks, case.block
    tensors = case.tensors()
    counts = case.pattern.to_dense_mask()
    assert (counts == 0).any(axis=-1).sum() == 2 * 5
    everything = case.grad_output

    def gradients(is_in_block):
        case.grad_output = everything * is_in_block[:, None]
        return case.sparse(*tensors, plan=plan)[1:]

    run = compiled(gradients, jit_compile=False)
    for i in range(n):
        is_in_block = np.arange(n * b) // b == i
        q_grad, k_grad, v_grad = (
            np.asarray(x) for x in run(ops.convert_to_tensor(is_in_block.astype("float32")))
        )
        assert not np.any(q_grad[:, :, ~is_in_block])
        is_read = np.repeat(counts[:, i] > 0, b, axis=-1) & case.mask[:, None, :]
        for gradient in (k_grad, v_grad):
            assert not np.any(gradient[~is_read])
        # All values that are read count (a key alone in its softmax would not).
        assert (np.abs(v_grad[is_read]).max(-1) > 0).all()
