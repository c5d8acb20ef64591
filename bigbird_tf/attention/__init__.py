"""Block-sparse attention: the pattern, the kernels, the layers."""

from bigbird_tf.attention.layers import BlockSparseAttention, CausalAttention, CrossAttention
from bigbird_tf.attention.pattern import BlockPattern, PatternSpec

__all__ = [
    "BlockPattern",
    "BlockSparseAttention",
    "CausalAttention",
    "CrossAttention",
    "PatternSpec",
]
