"""Keras parts with gradients of our own; nothing in here knows BigBird."""

from bigbird_tf.nn.dense import Dense
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.embedding_tables import Embedding, ReversibleEmbedding
from bigbird_tf.nn.layer_norm import LayerNorm

__all__ = ["Dense", "Dropout", "Embedding", "LayerNorm", "ReversibleEmbedding"]
