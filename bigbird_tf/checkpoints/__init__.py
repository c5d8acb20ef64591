"""Reading and writing checkpoints, one file a source."""

from bigbird_tf.checkpoints.google import convert_google_checkpoint

__all__ = ["convert_google_checkpoint"]
