"""Reading and writing checkpoints, one file a source."""

from bigbird_tf.checkpoints.google import convert_google_checkpoint
from bigbird_tf.checkpoints.lengthen import lengthen
from bigbird_tf.checkpoints.model_garden import convert_model_garden_encoder

__all__ = ["convert_google_checkpoint", "convert_model_garden_encoder", "lengthen"]
