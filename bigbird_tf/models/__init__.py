"""BigBird models: the encoder, and a class for each head."""

from bigbird_tf.models.big_bird_for_question_answering import BigBirdForQuestionAnswering
from bigbird_tf.models.big_bird_for_sequence_classification import BigBirdForSequenceClassification
from bigbird_tf.models.big_bird_model import BigBirdModel

__all__ = ["BigBirdForQuestionAnswering", "BigBirdForSequenceClassification", "BigBirdModel"]
