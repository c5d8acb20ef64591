"""Patterns: which key blocks each query block reads."""

from bigbird_tf.attention.pattern.block_pattern import BlockPattern
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec

__all__ = ["BlockPattern", "PatternSpec"]
