"""Attention as Keras layers."""

from bigbird_tf.attention.layers.block_sparse_attention import BlockSparseAttention
from bigbird_tf.attention.layers.causal_attention import CausalAttention

__all__ = ["BlockSparseAttention", "CausalAttention"]
