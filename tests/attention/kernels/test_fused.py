"""The fused kernels, interpreted, against the dense oracle that counts repeats in float64."""

import dataclasses
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bigbird_tf import BlockPattern
from bigbird_tf.attention.kernels import fused
from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.fused import can_be_fused
from bigbird_tf.attention.kernels.plan import Plan, make_plan
from bigbird_tf.nn.backend import fused_kernels
from tests.attention.kernels.test_chunked import Case, cases
from tests.backends import IS_TENSORFLOW, compiled

on_jax = pytest.mark.skipif(IS_TENSORFLOW, reason="TensorFlow has no fused kernels")


def run(case, dtype="float32"):
    """Returns context and gradients of the fused kernels."""
    return compiled(lambda *x: case.sparse(*x, plan=Plan(fused=True)))(*case.tensors(dtype))


@on_jax
@given(case=cases)
@settings(max_examples=2)
def test_values_and_gradients(case):
    case.check(run(case))


@on_jax
@pytest.mark.parametrize(
    "case",
    [
        Case(heads=2, window=(2, 1), left=2, num_random=1, token_window=(4, 2)),
        Case(heads=3, window=1, left=0, right=0, rows=7, num_random=0, block=2),
        Case(pattern=BlockPattern.build(9, 2, num_random_blocks=1, is_causal=True)),
    ],
    ids=["wide, in part", "its own block alone", "causal"],
)
def test_edges_of_patterns(case):
    case.check(run(case))


@on_jax
def test_global_queries_read_in_several_lists(monkeypatch):
    """Three lists for ten key blocks: the last one is not full."""
    monkeypatch.setattr(fused, "_GLOBAL_SLOTS", 4)
    case = Case(rows=7, left=2, right=1)
    case.check(run(case))


@on_jax
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "case",
    [
        Case(block=16, head_size=32, window=(2, 1), left=2, num_random=1, token_window=(20, 9)),
        Case(block=32, head_size=16, rows=4, heads=2, num_random=0),
        Case(
            block=16,
            head_size=64,
            pattern=BlockPattern.build(9, 2, num_random_blocks=1, is_causal=True),
        ),
    ],
    ids=["in part", "without random blocks", "causal"],
)
def test_sizes_of_a_gpu(case, dtype):
    """Interpreted on a processor; where there is a GPU, these are its kernels."""
    assert can_be_fused(case.slots, case.block, case.qkv[0].shape[-1], 4)
    case.check(run(case, dtype), *((2e-2, "bfloat16") if dtype == "bfloat16" else ()))


@on_jax
def test_half_precision():
    case = Case(rows=4)
    case.check(run(case, "bfloat16"), 2e-2, "bfloat16")


@on_jax
def test_empty_batch():
    case = Case()
    tensors = [x[:0] for x in case.tensors()]
    case.grad_output = case.grad_output[:0]
    for output in case.sparse(*tensors, plan=Plan(fused=True)):
        assert output.shape == (0, *case.qkv[0].shape[1:])


@pytest.mark.skipif(not IS_TENSORFLOW, reason="JAX has fused kernels")
def test_tensorflow_says_that_it_has_none():
    case = Case()
    with pytest.raises(NotImplementedError, match="JAX backend only: leave `plan` out"):
        block_sparse_attention(
            *case.tensors(), case.slots, case.block, plan=dataclasses.replace(Plan(), fused=True)
        )


@on_jax
def test_chunks_where_jax_has_no_triton(monkeypatch):
    monkeypatch.delitem(sys.modules, "bigbird_tf.nn.backend.pallas_attention", raising=False)
    monkeypatch.delattr("bigbird_tf.nn.backend.pallas_attention", raising=False)
    monkeypatch.delattr("jax.experimental.pallas.triton", raising=False)
    monkeypatch.setitem(sys.modules, "jax.experimental.pallas.triton", None)
    assert fused_kernels() is None
    case = Case()
    plan = make_plan((2, 3, 21, 5), 4, case.slots.layout, 3, 5, device="gpu", fusable=True)
    assert not plan.fused
    case.check(case.sparse(*case.tensors(), plan=plan))


@given(
    block=st.sampled_from([8, 16, 48, 64, 128, 256]),
    head=st.sampled_from([8, 16, 80, 64, 128, 256]),
    itemsize=st.sampled_from([2, 4, 8]),
)
def test_sizes(block, head, itemsize):
    slots = BlockPattern.build(12, 2, num_random_blocks=1).slots
    sizes = {16, 64, 128}
    expected = {block, head} <= sizes and itemsize < 8 and block * head * itemsize <= 16384
    assert can_be_fused(slots, block, head, itemsize) == expected
    unknown = slots._replace(key_blocks=ops.convert_to_tensor(slots.key_blocks))
    assert not can_be_fused(unknown, block, head, itemsize)


@pytest.mark.parametrize("fusable", [True, False])
@pytest.mark.parametrize("device", ["cpu", "gpu", "tpu"])
def test_plan_of_a_gpu_is_fused_where_it_can_be(device, fusable):
    layout = BlockPattern.build(12, 2, num_random_blocks=1).slots.layout
    plan = make_plan((1, 2, 768, 64), 4, layout, 64, 10, device=device, fusable=fusable)
    assert plan.fused == (fusable and device == "gpu" and not IS_TENSORFLOW)
    assert (fused_kernels() is None) == IS_TENSORFLOW
