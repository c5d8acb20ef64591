"""Batches on one device; a replica without examples is in `test_replicas`."""

import tensorflow as tf

from bigbird_tf.training import with_known_lengths


def test_one_device_has_its_batch():
    batch = ({"input_ids": tf.zeros((0, 0), "int32")}, tf.zeros((0,)), None)
    assert with_known_lengths(batch) is batch
