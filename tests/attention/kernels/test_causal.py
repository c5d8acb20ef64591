"""Causal patterns in the kernels: the dense oracle's numbers, and nothing from the future."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bigbird_tf.attention.kernels.reference import full_attention, pattern_bias
from bigbird_tf.attention.pattern.block_pattern import BlockPattern
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from tests.attention.kernels.test_chunked import Case, machines
from tests.backends import compiled, tensorflow_alone, value_and_gradients


def causal_case(num_blocks=9, block=3, heads=2, num_random=2, num_global=1, window=1, **kwargs):
    spec = PatternSpec(
        num_heads=heads,
        block_size=block,
        num_global_start=num_global,
        window_before=window,
        num_random_blocks=num_random,
        is_causal=True,
        seed=num_blocks,
    )
    return Case(block=block, pattern=BlockPattern.of(spec, num_blocks), **kwargs)


patterns = {
    "num_blocks": st.integers(1, 12),
    "heads": st.sampled_from([1, 2, 3]),
    "num_random": st.integers(0, 3),
    "num_global": st.integers(0, 3),
    "window": st.integers(0, 3),
    "seed": st.integers(0, 10**6),
    "head_size": st.integers(1, 5),
    "real": st.sampled_from([0.0, 0.6, 1.0]),
}


def assert_is_causal(counts):
    """Each query reads itself, and nothing after it."""
    after = np.triu(np.ones(counts.shape[1:], bool), 1)
    assert not counts[:, after].any()
    assert (np.diagonal(counts, axis1=1, axis2=2) == 1).all()
    assert counts.max() == 1


@machines
@given(block=st.sampled_from([1, 2, 3, 7]), chunk=st.sampled_from([300, 2**20]), **patterns)
@settings(max_examples=4)
def test_values_and_gradients(machine, chunk, **arguments):
    case = causal_case(**arguments)
    assert_is_causal(case.counts())
    case.check(case.sparse(*case.tensors(), plan=case.plan(machine, chunk)))


@pytest.mark.parametrize("block", [7, 16, 84])
def test_blocks_of_any_size_under_xla(block):
    case = causal_case(5 if block > 16 else 11, block, window=0 if block > 16 else 2, batch=1)
    plan = case.plan({7: "GPU", 16: "TPU", 84: "XLA on a CPU"}[block], 9000)
    run = compiled(lambda *x: case.sparse(*x, plan=plan))
    case.check(run(*case.tensors()))


@given(block=st.integers(2, 4), **patterns)
@settings(max_examples=5)
def test_full_attention_under_the_patterns_bias(block, **arguments):
    """The other kernel, `simulated_sparse`."""
    case = causal_case(block=block, **arguments)
    q, k, v, key_bias = case.tensors()
    bias = pattern_bias(case.slots, case.pattern.num_blocks, block, count_repeats=True)
    bias = bias[None] + key_bias[:, None, None]
    outputs = value_and_gradients(
        lambda *x: full_attention(*x, bias)[0], [q, k, v], ops.convert_to_tensor(case.grad_output)
    )
    case.check(outputs)


@tensorflow_alone
@pytest.mark.parametrize("machine", ["CPU", "GPU"])
def test_unknown_length(machine):
    case = causal_case(real=1.0)
    case.check(case.at_unknown_length(machine))


@pytest.mark.parametrize("machine", ["CPU", "TPU"])
def test_no_leak(machine):
    """Over the whole length: what flows from a token to later ones is zero, to its past it is not.

    To all that it reads, that is; with random padding in between.
    """
    case = causal_case(real=0.8, batch=1)
    length, counts = case.qkv[0].shape[2], case.counts()
    plan = case.plan(machine, 900)
    tensors = case.tensors()

    @compiled
    def gradients(token):
        case.grad_output = ops.ones((1, 2, length, 5)) * ops.one_hot(token, length)[:, None]
        return case.sparse(*tensors, plan=plan)[1:]

    for token in range(length):
        query, key, value = (np.asarray(x) for x in gradients(ops.convert_to_tensor(token)))
        assert not query[:, :, np.arange(length) != token].any()
        assert not key[:, :, token + 1 :].any()
        assert not value[:, :, token + 1 :].any()
        has_real = case.mask[0, : token + 1].any()
        is_read = (counts[:, token] > 0) & (case.mask[0] if has_real else True)
        if case.has_key[0, :, token].all():
            assert np.array_equal((value[0] != 0).all(-1), is_read)
