"""From raw strings to what models are trained on and back: tokenizer, preprocessors, metrics."""

from bigbird_tf.preprocessing.sequence_classification_preprocessor import (
    SequenceClassificationPreprocessor,
)
from bigbird_tf.preprocessing.tokenizer import BigBirdTokenizer

__all__ = ["BigBirdTokenizer", "SequenceClassificationPreprocessor"]
