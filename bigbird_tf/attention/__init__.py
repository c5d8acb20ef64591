"""Block-sparse attention: the pattern, the products, the layer."""

from bigbird_tf.attention.block_pattern import BlockPattern
from bigbird_tf.attention.block_sparse_attention import BlockSparseAttention
from bigbird_tf.attention.causal_attention import CausalAttention

__all__ = ["BlockPattern", "BlockSparseAttention", "CausalAttention"]
