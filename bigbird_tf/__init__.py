"""BigBird for Keras 3 on TensorFlow."""

import importlib
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bigbird_tf.version import __version__


def _is_command() -> bool:
    """Whether this process is `bigbird-tf` or `python -m bigbird_tf.cli`."""
    arguments = getattr(sys, "argv", None) or [""]
    if arguments[0] == "-m":
        # While Python looks for the module; its name comes before the module's own arguments.
        module = sys.orig_argv[len(sys.orig_argv) - len(arguments)]
        return module.removeprefix("-m") == "bigbird_tf.cli"
    return PurePath(arguments[0]).stem == "bigbird-tf"


# At once, since Keras loads files only with classes that have been imported before. The command
# loads no such files, and its `--help` should not wait for TensorFlow.
if TYPE_CHECKING or not _is_command():
    try:
        import keras  # noqa: F401, which looks for its backend
    except ModuleNotFoundError as error:
        from bigbird_tf.requirements import without_backend

        raise without_backend(error) from error

    from bigbird_tf import checkpoints
    from bigbird_tf.attention import BlockPattern, BlockSparseAttention
    from bigbird_tf.config import BigBirdConfig, BigBirdPegasusConfig
    from bigbird_tf.models import (
        BigBirdForCausalLM,
        BigBirdForMaskedLM,
        BigBirdForMultipleChoice,
        BigBirdForPreTraining,
        BigBirdForQuestionAnswering,
        BigBirdForSentenceEmbedding,
        BigBirdForSequenceClassification,
        BigBirdForTokenClassification,
        BigBirdModel,
        BigBirdPegasusForCausalLM,
        BigBirdPegasusForConditionalGeneration,
        BigBirdPegasusForQuestionAnswering,
        BigBirdPegasusForSequenceClassification,
        BigBirdPegasusModel,
    )
    from bigbird_tf.nn.backend import NAME
    from bigbird_tf.training import ApplyIfFinite, Throughput, TrainingCheckpoint, layout_map

    if NAME == "tensorflow":
        # At once: Keras loads files with those classes in them that have been imported before.
        from bigbird_tf.preprocessing import (
            BigBirdTokenizer,
            DnaTokenizer,
            FastTokenizer,
            MaskedLMPreprocessor,
            MultipleChoicePreprocessor,
            PegasusTokenizer,
            PreTrainingPreprocessor,
            QuestionAnsweringPreprocessor,
            SequenceClassificationPreprocessor,
            SummarizationPreprocessor,
            TokenClassificationPreprocessor,
            Tokenizer,
            WordPieceTokenizer,
        )
        from bigbird_tf.serving import export_saved_model

__all__ = [
    "ApplyIfFinite",
    "BigBirdConfig",
    "BigBirdForCausalLM",
    "BigBirdForMaskedLM",
    "BigBirdForMultipleChoice",
    "BigBirdForPreTraining",
    "BigBirdForQuestionAnswering",
    "BigBirdForSentenceEmbedding",
    "BigBirdForSequenceClassification",
    "BigBirdForTokenClassification",
    "BigBirdModel",
    "BigBirdPegasusConfig",
    "BigBirdPegasusForCausalLM",
    "BigBirdPegasusForConditionalGeneration",
    "BigBirdPegasusForQuestionAnswering",
    "BigBirdPegasusForSequenceClassification",
    "BigBirdPegasusModel",
    "BigBirdTokenizer",
    "BlockPattern",
    "BlockSparseAttention",
    "DnaTokenizer",
    "FastTokenizer",
    "MaskedLMPreprocessor",
    "MultipleChoicePreprocessor",
    "PegasusTokenizer",
    "PreTrainingPreprocessor",
    "QuestionAnsweringPreprocessor",
    "SequenceClassificationPreprocessor",
    "SummarizationPreprocessor",
    "Throughput",
    "TokenClassificationPreprocessor",
    "Tokenizer",
    "TrainingCheckpoint",
    "WordPieceTokenizer",
    "__version__",
    "checkpoints",
    "export_saved_model",
    "layout_map",
]


def __getattr__(name: str) -> Any:
    """Imports a public name as soon as it is asked for.

    So it is in the command, and, where Keras' backend is another, for what needs TensorFlow.
    """
    if name == "checkpoints":
        return importlib.import_module("bigbird_tf.checkpoints")
    if name in __all__:
        for room in ("attention", "config", "models", "preprocessing", "serving", "training"):
            module = importlib.import_module(f"bigbird_tf.{room}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'bigbird_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
