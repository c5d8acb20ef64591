"""What models of all families are trained with, one file a task."""

from bigbird_tf.models.tasks.language_model_task import LanguageModelTask
from bigbird_tf.models.tasks.question_answering_task import QuestionAnsweringTask
from bigbird_tf.models.tasks.sequence_classification_task import SequenceClassificationTask

__all__ = ["LanguageModelTask", "QuestionAnsweringTask", "SequenceClassificationTask"]
