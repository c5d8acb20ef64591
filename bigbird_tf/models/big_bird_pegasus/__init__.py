"""BigBird-Pegasus models: encoder and decoder, and a class for each head."""

from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_for_causal_lm import (
    BigBirdPegasusForCausalLM,
)
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_for_conditional_generation import (
    BigBirdPegasusForConditionalGeneration,
)
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_for_question_answering import (
    BigBirdPegasusForQuestionAnswering,
)
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_for_sequence_classification import (
    BigBirdPegasusForSequenceClassification,
)
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_model import BigBirdPegasusModel

__all__ = [
    "BigBirdPegasusForCausalLM",
    "BigBirdPegasusForConditionalGeneration",
    "BigBirdPegasusForQuestionAnswering",
    "BigBirdPegasusForSequenceClassification",
    "BigBirdPegasusModel",
]
