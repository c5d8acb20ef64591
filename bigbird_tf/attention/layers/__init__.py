"""Attention as Keras layers."""

from bigbird_tf.attention.layers.block_sparse_attention import BlockSparseAttention
from bigbird_tf.attention.layers.causal_attention import CausalAttention
from bigbird_tf.attention.layers.cross_attention import CrossAttention, Memory

__all__ = ["BlockSparseAttention", "CausalAttention", "CrossAttention", "Memory"]
