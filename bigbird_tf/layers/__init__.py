"""The parts that BigBird models are made of."""

from bigbird_tf.layers.classification_head import ClassificationHead
from bigbird_tf.layers.decoder import Decoder
from bigbird_tf.layers.decoder_block import DecoderBlock
from bigbird_tf.layers.embeddings import BigBirdEmbeddings
from bigbird_tf.layers.encoder import Encoder
from bigbird_tf.layers.encoder_block import EncoderBlock
from bigbird_tf.layers.etc_encoder import EtcEncoder
from bigbird_tf.layers.feed_forward import FeedForward
from bigbird_tf.layers.language_model_head import LanguageModelHead
from bigbird_tf.layers.linear_head import LinearHead
from bigbird_tf.layers.pooler import Pooler
from bigbird_tf.layers.pre_norm_encoder import PreNormEncoder
from bigbird_tf.layers.pre_norm_encoder_block import PreNormEncoderBlock
from bigbird_tf.layers.pre_norm_feed_forward import PreNormFeedForward
from bigbird_tf.layers.pre_training_head import PreTrainingHead
from bigbird_tf.layers.question_answering_head import QuestionAnsweringHead
from bigbird_tf.layers.scaled_embeddings import ScaledEmbeddings
from bigbird_tf.layers.vocabulary_head import VocabularyHead

__all__ = [
    "BigBirdEmbeddings",
    "ClassificationHead",
    "Decoder",
    "DecoderBlock",
    "Encoder",
    "EncoderBlock",
    "EtcEncoder",
    "FeedForward",
    "LanguageModelHead",
    "LinearHead",
    "Pooler",
    "PreNormEncoder",
    "PreNormEncoderBlock",
    "PreNormFeedForward",
    "PreTrainingHead",
    "QuestionAnsweringHead",
    "ScaledEmbeddings",
    "VocabularyHead",
]
