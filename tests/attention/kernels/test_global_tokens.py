"""Global tokens beside the sequence: both kernels against what the construction says, in float64.

The oracle knows nothing of blocks of global tokens, of padding between them and the sequence, nor
of slots: it has G global tokens and T tokens, and which of them read which.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bigbird_tf import BigBirdConfig, BlockPattern
from bigbird_tf.attention.kernels.attention_weights import MASKED
from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.plan import make_plan
from bigbird_tf.attention.kernels.reference import full_attention, pattern_bias
from bigbird_tf.layers.etc_encoder import membership_bias
from tests.backends import IS_TENSORFLOW, compiled, value_and_gradients

MACHINES = [("cpu", False), ("cpu", True), ("gpu", True), ("tpu", True)]


class Case:
    """Random tensors of global tokens and of a sequence, and what attention gives by definition."""

    def __init__(
        self,
        num_global=5,
        block=4,
        blocks=6,
        window=3,
        num_random=0,
        of_sequence=0,
        members=False,
        real=0.8,
        seed=0,
        batch=2,
        heads=2,
        size=3,
        **fields,
    ):
        rng = np.random.default_rng(seed)
        config = BigBirdConfig(
            construction="etc",
            num_global_tokens=num_global,
            num_global_blocks=of_sequence,
            num_window_blocks=window,
            num_random_blocks=num_random,
            block_size=block,
            num_attention_heads=heads,
            hidden_size=heads,
            **fields,
        )
        self.block, self.num_global, self.length = block, num_global, block * blocks
        self.room = config.global_length
        self.spec = config.pattern_spec(seed % 7)
        self.pattern = BlockPattern.of(self.spec, self.room // block + blocks)
        shape = (batch, heads, num_global + self.length, size)
        self.qkv = [rng.normal(size=shape).astype("float32") for _ in range(3)]
        self.grad_output = rng.normal(size=shape).astype("float32")
        # The first global token is real: no query is without a key.
        self.mask = rng.random(shape[:1] + shape[2:3]) < real
        self.mask[:, 0] = True
        self.members = None
        if members:
            self.members = rng.integers(-1, num_global, (batch, self.length), dtype=np.int32)
            self.members[~self.mask[:, num_global:]] = -1
        # What stands in places that belong to nobody must not matter.
        self.nobody = rng.normal(size=(batch, heads, self.room - num_global, size)) * 9

    def counts(self):
        """How often each query reads each key: `(B, N, G + T, G + T)`, one rule after the other."""
        batch, heads, total, _ = self.qkv[0].shape
        count, b = self.num_global, self.block
        reads = np.zeros((batch, heads, total, total), int)
        reads[..., :count] = 1
        reads[:, :, :count] = 1
        if self.members is not None:
            for row, token in np.ndindex(batch, count):
                mine = self.members[row] == token
                if mine.any():
                    reads[row, :, token, count:] = mine
        number = np.arange(self.length) // b
        start, end = self.pattern.num_left - self.room // b, self.pattern.num_right
        is_global = (number < start) | (number >= self.length // b - end)
        distance = number - number[:, None]
        near = (distance >= -self.spec.window_before) & (distance <= self.spec.window_after)
        of_sequence = (
            (near | is_global | is_global[:, None])[None].repeat(heads, axis=0).astype(int)
        )
        for head, row, slot in np.ndindex(*self.pattern.random_blocks.shape):
            drawn = self.pattern.random_blocks[head, row, slot] - self.room // b
            assert drawn >= start
            assert not near[(row + start) * b, drawn * b]
            of_sequence[head, (row + start) * b : (row + start + 1) * b, number == drawn] += 1
        reads[:, :, count:, count:] = of_sequence
        return reads

    def oracle(self, bias=0.0):
        """Returns context and gradients of dense attention under a bias of scores, in float64.

        Keeps what flows back to the scores.
        """
        q, k, v = (x.astype("float64") for x in self.qkv)
        counts, grad_output = self.counts(), self.grad_output.astype("float64")
        scores = q @ np.swapaxes(k, -1, -2) + ((1.0 - self.mask) * MASKED)[:, None, None]
        scores = np.where(counts > 0, scores + bias, -1e9)
        weights = counts * np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        context = weights @ v
        weight_grad = grad_output @ np.swapaxes(v, -1, -2)
        score_grad = weights * (weight_grad - (context * grad_output).sum(-1, keepdims=True))
        self.score_grad = score_grad
        transposed = np.swapaxes(score_grad, -1, -2), np.swapaxes(weights, -1, -2)
        return context, score_grad @ k, transposed[0] @ q, transposed[1] @ grad_output

    def join(self, x, between):
        """Returns global tokens and sequence with what fills the global blocks between them."""
        between = np.broadcast_to(between, (*x.shape[:2], *between.shape[2:]))
        parts = x[:, :, : self.num_global], between, x[:, :, self.num_global :]
        return ops.convert_to_tensor(np.concatenate(parts, axis=2).astype("float32"))

    def tensors(self):
        """Returns what the kernels get, joined."""
        return [self.join(x, self.nobody) for x in self.qkv]

    def biases(self):
        """Returns the bias of keys, and that of global queries or `None`, as the layers do."""
        mask = self.mask.astype("float32")
        count = self.num_global
        nobody = np.zeros((len(mask), self.room - count))
        mask = np.concatenate([mask[:, :count], nobody, mask[:, count:]], axis=1)
        key_bias = ops.convert_to_tensor(((1.0 - mask) * MASKED).astype("float32"))
        if self.members is None:
            return key_bias, None
        return key_bias, membership_bias(ops.convert_to_tensor(self.members), self.room)

    def chunked(self, plan, q, k, v):
        key_bias, global_bias = self.biases()
        return block_sparse_attention(
            q, k, v, key_bias, self.pattern.slots, self.block, plan=plan, global_bias=global_bias
        )

    def dense(self, q, k, v):
        key_bias, global_bias = self.biases()
        slots, n = self.pattern.slots, self.pattern.num_blocks
        bias = pattern_bias(slots, n, self.block, count_repeats=True)[None]
        bias = bias + key_bias[:, None, None]
        if global_bias is not None:
            others = n * self.block - self.room
            bias = bias + ops.pad(global_bias, ((0, 0), (0, others), (0, 0)))[:, None]
        return full_attention(q, k, v, bias)[0]

    def check(self, kernel, run=lambda function: function):
        grad_output = self.join(self.grad_output, np.zeros((1, 1, *self.nobody.shape[2:])))
        tensors = self.tensors()
        outputs = run(lambda *x: value_and_gradients(kernel, list(x), grad_output))(*tensors)
        expected = self.oracle()
        names = "oqkvs"[: len(expected)]
        for name, mine, theirs in zip(names, outputs, expected, strict=True):
            mine = ops.convert_to_numpy(mine)
            mine = np.concatenate([mine[:, :, : self.num_global], mine[:, :, self.room :]], axis=2)
            tolerance = 3e-5 * max(np.abs(theirs).max(), 0.1)
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance, err_msg=name)

    def plan(self, machine):
        device, is_compiled = machine
        shape = (*self.qkv[0].shape[:2], self.room + self.length, self.qkv[0].shape[3])
        layout, rows = self.pattern.slots.layout, self.pattern.num_rows
        return make_plan(shape, 4, layout, self.block, rows, device=device, compiled=is_compiled)


@st.composite
def cases(draw):
    block = draw(st.sampled_from([7, 16, 84]))
    return Case(
        block=block,
        num_global=draw(st.integers(1, 300)),
        blocks=draw(st.integers(5, 6 if block == 84 else 9)),
        window=draw(st.sampled_from([1, 3, (2, 0), (0, 1)])),
        # Six blocks, but for window and global ones, hold these.
        num_random=draw(st.sampled_from([0, 0, 1])),
        of_sequence=draw(st.sampled_from([0, 0, 1, (0, 1)])),
        members=draw(st.booleans()),
        real=draw(st.sampled_from([0.5, 1.0])),
        seed=draw(st.integers(0, 10**6)),
    )


@given(case=cases(), machine=st.sampled_from(MACHINES))
@settings(max_examples=8 if IS_TENSORFLOW else 2, deadline=None)
def test_values_and_gradients(case, machine):
    # JAX compiles an operation for each of its shapes: a whole function is quicker.
    run = (lambda function: function) if IS_TENSORFLOW else compiled
    plan = case.plan(machine)
    case.check(lambda *x: case.chunked(plan, *x), run)
    case.check(case.dense, run)


@pytest.mark.parametrize("machine", MACHINES[1:], ids=["XLA on a CPU", "GPU", "TPU"])
def test_values_and_gradients_under_xla(machine):
    case = Case(num_global=9, num_random=1, of_sequence=2, members=True)
    plan = case.plan(machine)
    case.check(lambda *x: case.chunked(plan, *x), compiled)


def test_blocks_of_the_sequence_are_where_they_were():
    """Window and random blocks are those of the sequence; global tokens have slots of their own."""
    case = Case(num_global=9, block=4, blocks=8, num_random=2)
    assert (case.room, case.pattern.num_left, case.pattern.num_right) == (12, 3, 0)
    layout, ids = case.pattern.slots.layout, case.pattern.key_blocks
    np.testing.assert_array_equal(ids[:, :, layout.groups["global_start"]][0, 0], [0, 1, 2])
    window = case.pattern.is_read[:, layout.groups["window"]]
    np.testing.assert_array_equal(window, [[False, True, True]] + 6 * [3 * [True]] + [
        [True, True, False]
    ])  # fmt: skip
    assert case.pattern.random_blocks.min() >= 3
    assert case.pattern.to_dense_mask().max() == 1
