"""Block-sparse attention: the pattern, the kernels, the layers."""

from bigbird_tf.attention.block_sparse_attention import BlockSparseAttention
from bigbird_tf.attention.causal_attention import CausalAttention
from bigbird_tf.attention.pattern import BlockPattern, PatternSpec

__all__ = ["BlockPattern", "BlockSparseAttention", "CausalAttention", "PatternSpec"]
