"""BigBird for Keras 3 on TensorFlow."""

from bigbird_tf import checkpoints
from bigbird_tf.attention import BlockPattern, BlockSparseAttention
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import (
    BigBirdForCausalLM,
    BigBirdForMaskedLM,
    BigBirdForMultipleChoice,
    BigBirdForPreTraining,
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdForTokenClassification,
    BigBirdModel,
)
from bigbird_tf.preprocessing import (
    BigBirdTokenizer,
    MaskedLMPreprocessor,
    MultipleChoicePreprocessor,
    PreTrainingPreprocessor,
    QuestionAnsweringPreprocessor,
    SequenceClassificationPreprocessor,
    TokenClassificationPreprocessor,
)
from bigbird_tf.serving import export_saved_model
from bigbird_tf.version import __version__

__all__ = [
    "BigBirdConfig",
    "BigBirdForCausalLM",
    "BigBirdForMaskedLM",
    "BigBirdForMultipleChoice",
    "BigBirdForPreTraining",
    "BigBirdForQuestionAnswering",
    "BigBirdForSequenceClassification",
    "BigBirdForTokenClassification",
    "BigBirdModel",
    "BigBirdTokenizer",
    "BlockPattern",
    "BlockSparseAttention",
    "MaskedLMPreprocessor",
    "MultipleChoicePreprocessor",
    "PreTrainingPreprocessor",
    "QuestionAnsweringPreprocessor",
    "SequenceClassificationPreprocessor",
    "TokenClassificationPreprocessor",
    "__version__",
    "checkpoints",
    "export_saved_model",
]
