"""From raw strings to what models are trained on and back: tokenizers, preprocessors, metrics."""

from bigbird_tf.preprocessing import requirements  # noqa: F401, first of all
from bigbird_tf.preprocessing.answer_confidence import AnswerCalibration
from bigbird_tf.preprocessing.answer_decoding import decode_answers
from bigbird_tf.preprocessing.masked_lm_preprocessor import MaskedLMPreprocessor
from bigbird_tf.preprocessing.multiple_choice_preprocessor import MultipleChoicePreprocessor
from bigbird_tf.preprocessing.pre_training_preprocessor import PreTrainingPreprocessor
from bigbird_tf.preprocessing.question_answering_metrics import evaluate_squad, evaluate_triviaqa
from bigbird_tf.preprocessing.question_answering_preprocessor import QuestionAnsweringPreprocessor
from bigbird_tf.preprocessing.sequence_classification_preprocessor import (
    SequenceClassificationPreprocessor,
)
from bigbird_tf.preprocessing.summarization_metrics import evaluate_rouge
from bigbird_tf.preprocessing.summarization_preprocessor import SummarizationPreprocessor
from bigbird_tf.preprocessing.token_classification_preprocessor import (
    TokenClassificationPreprocessor,
)
from bigbird_tf.preprocessing.token_records import Preparation, prepare_records, read_records
from bigbird_tf.preprocessing.tokenizers import (
    BigBirdTokenizer,
    DnaTokenizer,
    FastTokenizer,
    PegasusTokenizer,
    Tokenizer,
    WordPieceTokenizer,
)

__all__ = [
    "AnswerCalibration",
    "BigBirdTokenizer",
    "DnaTokenizer",
    "FastTokenizer",
    "MaskedLMPreprocessor",
    "MultipleChoicePreprocessor",
    "PegasusTokenizer",
    "PreTrainingPreprocessor",
    "Preparation",
    "QuestionAnsweringPreprocessor",
    "SequenceClassificationPreprocessor",
    "SummarizationPreprocessor",
    "TokenClassificationPreprocessor",
    "Tokenizer",
    "WordPieceTokenizer",
    "decode_answers",
    "evaluate_rouge",
    "evaluate_squad",
    "evaluate_triviaqa",
    "prepare_records",
    "read_records",
]
