"""From raw strings to what models are trained on and back: tokenizer, preprocessors, metrics."""

from bigbird_tf.preprocessing.answer_decoding import decode_answers
from bigbird_tf.preprocessing.question_answering_metrics import evaluate_squad, evaluate_triviaqa
from bigbird_tf.preprocessing.question_answering_preprocessor import QuestionAnsweringPreprocessor
from bigbird_tf.preprocessing.sequence_classification_preprocessor import (
    SequenceClassificationPreprocessor,
)
from bigbird_tf.preprocessing.tokenizer import BigBirdTokenizer

__all__ = [
    "BigBirdTokenizer",
    "QuestionAnsweringPreprocessor",
    "SequenceClassificationPreprocessor",
    "decode_answers",
    "evaluate_squad",
    "evaluate_triviaqa",
]
