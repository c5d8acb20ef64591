"""BigBird for Keras 3 on TensorFlow."""

from bigbird_tf.attention import BlockPattern, BlockSparseAttention
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.version import __version__

__all__ = ["BigBirdConfig", "BlockPattern", "BlockSparseAttention", "__version__"]
