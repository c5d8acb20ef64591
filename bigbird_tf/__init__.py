"""BigBird for Keras 3 on TensorFlow."""

import importlib

try:
    import keras  # noqa: F401, which looks for its backend
except ModuleNotFoundError as error:
    from bigbird_tf.requirements import without_backend

    raise without_backend(error) from error

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
from bigbird_tf.nn.backend import NAME
from bigbird_tf.version import __version__

if NAME == "tensorflow":
    # At once: Keras loads files with those classes in them that have been imported before.
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


def __getattr__(name: str):
    """Imports what needs TensorFlow as soon as it is asked for, where Keras' backend is another."""
    if name in __all__:
        for room in ("preprocessing", "serving"):
            module = importlib.import_module(f"bigbird_tf.{room}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'bigbird_tf' has no attribute {name!r}")
