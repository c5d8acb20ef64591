"""BigBird models: the encoder, and a class for each head."""

from bigbird_tf.models.big_bird.big_bird_for_causal_lm import BigBirdForCausalLM
from bigbird_tf.models.big_bird.big_bird_for_masked_lm import BigBirdForMaskedLM
from bigbird_tf.models.big_bird.big_bird_for_multiple_choice import BigBirdForMultipleChoice
from bigbird_tf.models.big_bird.big_bird_for_pre_training import BigBirdForPreTraining
from bigbird_tf.models.big_bird.big_bird_for_question_answering import BigBirdForQuestionAnswering
from bigbird_tf.models.big_bird.big_bird_for_sentence_embedding import BigBirdForSentenceEmbedding
from bigbird_tf.models.big_bird.big_bird_for_sequence_classification import (
    BigBirdForSequenceClassification,
)
from bigbird_tf.models.big_bird.big_bird_for_token_classification import (
    BigBirdForTokenClassification,
)
from bigbird_tf.models.big_bird.big_bird_model import BigBirdModel

__all__ = [
    "BigBirdForCausalLM",
    "BigBirdForMaskedLM",
    "BigBirdForMultipleChoice",
    "BigBirdForPreTraining",
    "BigBirdForQuestionAnswering",
    "BigBirdForSentenceEmbedding",
    "BigBirdForSequenceClassification",
    "BigBirdForTokenClassification",
    "BigBirdModel",
]
