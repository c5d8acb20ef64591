"""Decoding: which token comes next, given a model's logits. Nothing in here knows models."""

from bigbird_tf.generation.decoding import beam_search, filter_logits, sample
from bigbird_tf.generation.decoding_arguments import check_decoding
from bigbird_tf.generation.logits_processors import make_processor

__all__ = ["beam_search", "check_decoding", "filter_logits", "make_processor", "sample"]
