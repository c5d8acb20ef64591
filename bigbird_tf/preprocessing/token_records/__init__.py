"""Texts as files of token ids: written once, in parallel, and read with other masks each epoch."""

from bigbird_tf.preprocessing.token_records.prepare_records import Preparation, prepare_records
from bigbird_tf.preprocessing.token_records.read_records import read_records

__all__ = ["Preparation", "prepare_records", "read_records"]
