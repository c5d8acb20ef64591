"""What the graph of chunked attention keeps and computes again, on TensorFlow."""

import pytest
import tensorflow as tf

from bigbird_tf import BlockPattern
from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.reference import full_attention, pattern_bias
from tests.backends import tensorflow_alone
from tests.graph_walk import all_operations, all_tensors


@tensorflow_alone
class TestGraph:
    """At 2,048 tokens: what is traced, forward and backward."""

    length, block, heads, head_size = 2048, 16, 2, 8

    def concrete(self, function, dtype="float32"):
        spec = tf.TensorSpec([1, self.heads, self.length, self.head_size], dtype)

        def forward_and_backward(q, k, v):
            with tf.GradientTape() as tape:
                tape.watch([q, k, v])
                context = function(q, k, v)
                loss = tf.reduce_sum(context)
            return context, *tape.gradient(loss, [q, k, v])

        return tf.function(forward_and_backward).get_concrete_function(spec, spec, spec)

    def slots(self):
        pattern = BlockPattern.build(self.length // self.block, self.heads, block_size=self.block)
        return pattern.slots

    def sparse(self, q, k, v):
        bias = tf.zeros([1, self.length])
        return block_sparse_attention(q, k, v, bias, self.slots(), self.block)

    def dense(self, q, k, v):
        bias = pattern_bias(self.slots(), self.length // self.block, self.block, count_repeats=True)
        return full_attention(q, k, v, bias[None])[0]

    def sizes(self, concrete):
        shapes = [tensor.shape for tensor in all_tensors(concrete)]
        known = [shape.num_elements() for shape in shapes if shape.is_fully_defined()]
        assert len(known) > 100
        # What has no shape are the handles and the lists of loops.
        unknown = [s for s in shapes if s.rank is not None and not s.is_fully_defined()]
        assert len(unknown) < 0.2 * len(known), unknown
        return max(known)

    def test_nothing_is_length_by_length(self):
        # The largest must be what each chunk gathers, far below one head's scores.
        assert self.sizes(self.concrete(self.sparse)) < self.length**2 / 4
        # The walk does see such tensors where there are some.
        assert self.sizes(self.concrete(self.dense)) >= self.length**2

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_softmax_is_float32_in_half_precision(self, dtype, monkeypatch):
        monkeypatch.setattr("bigbird_tf.nn.backend.tensorflow._rounds_at_the_end", lambda: False)
        concrete = self.concrete(self.sparse, dtype)
        exponentials = [
            operation
            for operation in all_operations(concrete)
            if operation.type in ("Exp", "Softmax", "LogSoftmax", "Log")
        ]
        assert exponentials
        for operation in exponentials:
            assert operation.inputs[0].dtype.name not in ("float16", "bfloat16"), operation
