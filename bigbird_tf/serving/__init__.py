"""SavedModels for TensorFlow Serving: one servable a head, strings in and answers out."""

from bigbird_tf.serving import requirements  # noqa: F401, first of all
from bigbird_tf.serving.causal_lm import CausalLMServable
from bigbird_tf.serving.encoder import EncoderServable
from bigbird_tf.serving.export import export_saved_model, make_servable
from bigbird_tf.serving.masked_lm import MaskedLMServable
from bigbird_tf.serving.multiple_choice import MultipleChoiceServable
from bigbird_tf.serving.question_answering import QuestionAnsweringServable
from bigbird_tf.serving.sentence_embedding import SentenceEmbeddingServable
from bigbird_tf.serving.sequence_classification import SequenceClassificationServable
from bigbird_tf.serving.servable import Servable
from bigbird_tf.serving.summarization import SummarizationServable
from bigbird_tf.serving.token_classification import TokenClassificationServable

__all__ = [
    "CausalLMServable",
    "EncoderServable",
    "MaskedLMServable",
    "MultipleChoiceServable",
    "QuestionAnsweringServable",
    "SentenceEmbeddingServable",
    "SequenceClassificationServable",
    "Servable",
    "SummarizationServable",
    "TokenClassificationServable",
    "export_saved_model",
    "make_servable",
]
