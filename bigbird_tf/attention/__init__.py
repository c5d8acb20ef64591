"""Block-sparse attention: the pattern, the products, the layer."""

from bigbird_tf.attention.block_pattern import BlockPattern
from bigbird_tf.attention.block_sparse_attention import BlockSparseAttention

__all__ = ["BlockPattern", "BlockSparseAttention"]
