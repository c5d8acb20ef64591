"""Relative positions: both kernels against labels of pairs written down one by one, in float64."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.plan import Plan
from bigbird_tf.attention.kernels.reference import full_attention, pattern_bias
from bigbird_tf.attention.kernels.relative_bias import RelativeScores, relative_bias
from bigbird_tf.attention.kernels.relative_pieces import Labels
from tests.attention.kernels.test_global_tokens import MACHINES, Case
from tests.backends import IS_TENSORFLOW, compiled


def run(function):
    """JAX compiles an operation for each of its shapes: a whole function is quicker."""
    return function if IS_TENSORFLOW else compiled(function)


class RelativeCase(Case):
    """With scores of labels: a kernel's fourth tensor."""

    def __init__(self, distance=3, reads_members=False, **fields):
        super().__init__(
            position_embedding_type="relative", relative_pos_max_distance=distance, **fields
        )
        rng = np.random.default_rng(fields.get("seed", 0) + 1)
        self.labels, self.reads_members = Labels(distance, self.room), reads_members
        self.membership = self.members
        if not reads_members:
            # Then members have labels, and all global tokens read everything.
            self.members = None
        shape = (*self.qkv[0].shape[:3], self.labels.num_labels)
        self.of_labels = rng.normal(size=shape).astype("float32")

    def pair_labels(self):
        """Returns the label of each pair, `(B, G + T, G + T)`."""
        count, distance = self.num_global, self.labels.max_distance
        place = np.arange(count + self.length)
        # In the sequence and among global tokens alike.
        labels = np.clip(place - place[:, None], -distance, distance) + distance
        labels = np.tile(labels, (len(self.mask), 1, 1))
        belongs = np.zeros((len(self.mask), count, self.length), int)
        if self.membership is not None:
            belongs = (self.membership[:, None] == np.arange(count)[:, None]).astype(int)
        labels[:, :count, count:] = 2 * distance + 1 + belongs
        labels[:, count:, :count] = 2 * distance + 1 + np.swapaxes(belongs, 1, 2)
        return labels

    def oracle(self):
        labels = self.pair_labels()[:, None]
        labels = np.broadcast_to(labels, (*self.of_labels.shape[:3], labels.shape[-1]))
        of_labels = self.of_labels.astype("float64")
        outputs = super().oracle(np.take_along_axis(of_labels, labels, axis=-1))
        flows_back = [
            np.where(labels == label, self.score_grad, 0).sum(-1)
            for label in range(self.labels.num_labels)
        ]
        return *outputs, np.stack(flows_back, axis=-1)

    def tensors(self):
        nobody = (*self.of_labels.shape[:2], self.nobody.shape[2], self.labels.num_labels)
        return [*super().tensors(), self.join(self.of_labels, np.full(nobody, 9.0))]

    def relative(self, of_labels):
        if self.membership is None:
            return RelativeScores(of_labels, self.labels)
        members = np.pad(self.membership, ((0, 0), (self.room, 0)), constant_values=-1)
        return RelativeScores(of_labels, self.labels, ops.convert_to_tensor(members))

    def chunked(self, plan, q, k, v, of_labels):
        key_bias, global_bias = self.biases()
        return block_sparse_attention(
            *(q, k, v, key_bias, self.pattern.slots, self.block),
            plan=plan,
            global_bias=global_bias,
            relative=self.relative(of_labels),
        )

    def dense(self, q, k, v, of_labels):
        key_bias, global_bias = self.biases()
        slots, n = self.pattern.slots, self.pattern.num_blocks
        bias = pattern_bias(slots, n, self.block, count_repeats=True)[None]
        bias = bias + key_bias[:, None, None] + relative_bias(self.relative(of_labels))
        if global_bias is not None:
            others = n * self.block - self.room
            bias = bias + ops.pad(global_bias, ((0, 0), (0, others), (0, 0)))[:, None]
        return full_attention(q, k, v, bias)[0]


@st.composite
def cases(draw):
    block = draw(st.sampled_from([2, 7, 16]))
    window = draw(st.sampled_from([3, 5, (1, 2)]))
    num_global = draw(st.sampled_from([0, 1, 9, 40]))
    return RelativeCase(
        # From one token to all that the window reaches.
        distance=draw(st.integers(1, block * (2 if window == 5 else 1))),
        block=block,
        num_global=num_global,
        blocks=draw(st.integers(8, 9)),
        window=window,
        num_random=draw(st.sampled_from([0, 1])),
        of_sequence=draw(st.sampled_from([0, 2, (0, 1), (2, 0)])),
        members=num_global > 0 and draw(st.booleans()),
        reads_members=draw(st.booleans()),
        real=draw(st.sampled_from([0.5, 1.0])),
        seed=draw(st.integers(0, 10**6)),
    )


@given(case=cases(), machine=st.sampled_from(MACHINES))
@settings(max_examples=8 if IS_TENSORFLOW else 2, deadline=None)
def test_values_and_gradients(case, machine):
    plan = case.plan(machine)
    case.check(lambda *x: case.chunked(plan, *x), run)
    case.check(case.dense, run)


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(MACHINES[1], marks=pytest.mark.slow, id="XLA on a CPU"),
        pytest.param(MACHINES[2], id="GPU"),
        pytest.param(MACHINES[3], marks=pytest.mark.slow, id="TPU"),
    ],
)
def test_values_and_gradients_under_xla(machine):
    fields = {"num_random": 1, "of_sequence": 2, "members": True, "reads_members": True}
    case = RelativeCase(num_global=9, distance=4, blocks=8, **fields)
    plan = case.plan(machine)
    case.check(lambda *x: case.chunked(plan, *x), compiled)


def test_a_distance_that_no_pair_has():
    """Larger than the sequence: nothing is clipped, and the window reads all that is read."""
    case = RelativeCase(num_global=5, distance=40, window=(2, 0), members=True)
    case.check(lambda *x: case.chunked(case.plan(("cpu", False)), *x), run)
    case.check(case.dense, run)


def test_labels_worked_out_on_paper():
    """One token beside three of the sequence, of which the second belongs to it; D = 1."""
    labels = Labels(1, 1)
    assert labels.num_labels == 5
    # Each label's score is its number: left, same, right, no member, member.
    scores = ops.tile(ops.reshape(ops.arange(5, dtype="float32"), (1, 1, 1, 5)), (1, 1, 4, 1))
    membership = ops.convert_to_tensor(np.array([[-1, -1, 0, -1]], np.float32))
    bias = relative_bias(RelativeScores(scores, labels, membership))
    expected = [[1, 3, 4, 3], [3, 1, 2, 2], [4, 0, 1, 2], [3, 0, 0, 1]]
    np.testing.assert_array_equal(ops.convert_to_numpy(bias)[0, 0], expected)


def test_fused_kernels_have_none():
    case = RelativeCase()
    with pytest.raises(ValueError, match="no `relative`"):
        case.chunked(Plan(fused=True), *case.tensors())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("plan", [None, Plan(), Plan(in_float32=True)], ids=repr)
def test_half_precision_stays_half_precision(plan, dtype):
    """Also in the plan of processors with products of half precision, and of accelerators."""
    case = RelativeCase(num_global=5, members=True)
    tensors = [ops.cast(x, dtype) for x in case.tensors()]
    outputs = case.chunked(plan, *tensors)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    exact = case.chunked(plan, *(ops.cast(x, "float32") for x in tensors))
    np.testing.assert_allclose(ops.cast(outputs, "float32"), exact, rtol=0, atol=0.04)
