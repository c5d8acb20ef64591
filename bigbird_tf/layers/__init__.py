"""The parts that BigBird models are made of."""

from bigbird_tf.layers.classification_head import ClassificationHead
from bigbird_tf.layers.embeddings import BigBirdEmbeddings
from bigbird_tf.layers.encoder import Encoder
from bigbird_tf.layers.encoder_block import EncoderBlock
from bigbird_tf.layers.feed_forward import FeedForward
from bigbird_tf.layers.language_model_head import LanguageModelHead
from bigbird_tf.layers.linear_head import LinearHead
from bigbird_tf.layers.pooler import Pooler
from bigbird_tf.layers.pre_training_head import PreTrainingHead
from bigbird_tf.layers.question_answering_head import QuestionAnsweringHead

__all__ = [
    "BigBirdEmbeddings",
    "ClassificationHead",
    "Encoder",
    "EncoderBlock",
    "FeedForward",
    "LanguageModelHead",
    "LinearHead",
    "Pooler",
    "PreTrainingHead",
    "QuestionAnsweringHead",
]
