"""SavedModels for TensorFlow Serving: one servable a head, strings in and answers out."""

from bigbird_tf.serving.export import export_saved_model, make_servable
from bigbird_tf.serving.question_answering import QuestionAnsweringServable
from bigbird_tf.serving.sequence_classification import SequenceClassificationServable
from bigbird_tf.serving.servable import Servable

__all__ = [
    "QuestionAnsweringServable",
    "SequenceClassificationServable",
    "Servable",
    "export_saved_model",
    "make_servable",
]
