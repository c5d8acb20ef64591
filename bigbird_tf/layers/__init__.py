"""The parts that BigBird models are made of."""

from bigbird_tf.layers.classification_head import ClassificationHead
from bigbird_tf.layers.embeddings import BigBirdEmbeddings
from bigbird_tf.layers.encoder import Encoder
from bigbird_tf.layers.encoder_block import EncoderBlock
from bigbird_tf.layers.feed_forward import FeedForward
from bigbird_tf.layers.pooler import Pooler
from bigbird_tf.layers.question_answering_head import QuestionAnsweringHead

__all__ = [
    "BigBirdEmbeddings",
    "ClassificationHead",
    "Encoder",
    "EncoderBlock",
    "FeedForward",
    "Pooler",
    "QuestionAnsweringHead",
]
