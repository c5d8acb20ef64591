"""BigBird for Keras 3 on TensorFlow."""

from bigbird_tf.attention import BlockPattern, BlockSparseAttention
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import (
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from bigbird_tf.version import __version__

__all__ = [
    "BigBirdConfig",
    "BigBirdForQuestionAnswering",
    "BigBirdForSequenceClassification",
    "BigBirdModel",
    "BlockPattern",
    "BlockSparseAttention",
    "__version__",
]
