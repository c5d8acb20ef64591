"""`export_saved_model`: from a model in Python to a SavedModel that TensorFlow Serving serves."""

import inspect
import os
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from bigbird_tf.models.pretrained_model import PretrainedModel
from bigbird_tf.preprocessing.tokenizers import FastTokenizer, Tokenizer
from bigbird_tf.serving.causal_lm import CausalLMServable
from bigbird_tf.serving.encoder import EncoderServable
from bigbird_tf.serving.masked_lm import MaskedLMServable
from bigbird_tf.serving.multiple_choice import MultipleChoiceServable
from bigbird_tf.serving.question_answering import QuestionAnsweringServable
from bigbird_tf.serving.sentence_embedding import SentenceEmbeddingServable
from bigbird_tf.serving.sequence_classification import SequenceClassificationServable
from bigbird_tf.serving.servable import Servable
from bigbird_tf.serving.summarization import SummarizationServable
from bigbird_tf.serving.token_classification import TokenClassificationServable
from bigbird_tf.serving.version_directory import write_version
from bigbird_tf.serving.warmup import import_serving_apis, write_warmup_requests

__all__ = ["SERVABLES", "export_saved_model", "make_servable"]

# By the name that the class has in the registry of models.
SERVABLES: dict[str, type[Servable]] = {
    "BigBirdForSentenceEmbedding": SentenceEmbeddingServable,
    "BigBirdModel": EncoderServable,
    "BigBirdForCausalLM": CausalLMServable,
    "BigBirdForMaskedLM": MaskedLMServable,
    "BigBirdForMultipleChoice": MultipleChoiceServable,
    "BigBirdForPreTraining": MaskedLMServable,
    "BigBirdForQuestionAnswering": QuestionAnsweringServable,
    "BigBirdForSequenceClassification": SequenceClassificationServable,
    "BigBirdForTokenClassification": TokenClassificationServable,
    "BigBirdPegasusForCausalLM": CausalLMServable,
    "BigBirdPegasusForConditionalGeneration": SummarizationServable,
    "BigBirdPegasusForQuestionAnswering": QuestionAnsweringServable,
    "BigBirdPegasusForSequenceClassification": SequenceClassificationServable,
}


def make_servable(
    model: PretrainedModel, tokenizer: Tokenizer | None = None, **options: Any
) -> Servable:
    """Returns the servable of a model's class.

    Args:
        model: A BigBird model.
        tokenizer: Its tokenizer, or `None`.
        **options: The servable's.

    Raises:
        TypeError: If there is none for this class, or it has no such option.
    """
    servable_class = SERVABLES.get(getattr(model, "public_name", ""))
    if servable_class is None:
        names = ", ".join(sorted(SERVABLES))
        raise TypeError(f"`model` must be one of {names}. Received: {type(model).__name__}")
    known = _option_names(servable_class)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f"`export_saved_model` has no option {', '.join(unknown)} for "
            f"{type(model).__name__}. It has: {', '.join(known)}"
        )
    return servable_class(model, tokenizer, **options)


def _option_names(servable_class: type[Servable]) -> list[str]:
    parameters = [
        *inspect.signature(servable_class).parameters.values(),
        *inspect.signature(Servable).parameters.values(),
    ]
    return sorted({p.name for p in parameters if p.kind == p.KEYWORD_ONLY})


def export_saved_model(
    model: PretrainedModel,
    path: str | os.PathLike,
    tokenizer: Tokenizer | None = None,
    *,
    warmup: bool = False,
    **options: Any,
) -> Path:
    """Writes a SavedModel for TensorFlow Serving: strings in, answers out.

    It needs nothing of Python where it is served; in Python it loads with `tensorflow` and
    `tensorflow_text` imported, without this package. Batch size and length are free, and a text's
    result does not depend on the other texts of its batch. Texts that are longer than the model
    are read in overlapping windows. docs/serving.md has the signatures of all heads.

    Args:
        model: A model with a head, or `BigBirdModel`.
        path: The model's folder, such as `"saved_models/qa"`. The SavedModel becomes a version in
            it: `path/1`, then `path/2` and so on. It is written whole or not at all.
        tokenizer: The model's `Tokenizer`. `None` for a SavedModel on ids only, whose
            `serving_default` is the same as `from_ids`.
        warmup: Whether to add requests that TensorFlow Serving runs before it serves the version.
            Needs the package `tensorflow-serving-api`.
        **options: For all heads `max_length` and `weight_dtype`; see the class in
            `bigbird_tf.serving` that is named after the head.

    Returns:
        The version's folder.

    Raises:
        TypeError: If an argument is of a wrong type, or the head has no such option.
        ValueError: If an option is impossible, or the tokenizer has more pieces than the model, or
            is one that no SavedModel can hold.
        OSError: If the folder cannot be written.
        ImportError: If `warmup` is asked for without `tensorflow-serving-api`.

    Example:

    >>> bb.export_saved_model(model, "saved_models/qa", tokenizer)
    PosixPath('saved_models/qa/1')
    """
    if isinstance(tokenizer, FastTokenizer):
        raise ValueError(tokenizer.why_not_in_graph)
    servable = make_servable(model, tokenizer, **options)
    if warmup and tokenizer is None:
        raise ValueError("`warmup` needs a `tokenizer`: its requests are texts. Received: None")
    if warmup:
        # Better to miss it now than when all else is written.
        import_serving_apis()

    def write(folder: Path) -> None:
        _write_saved_model(servable, folder)
        if warmup:
            # A server loads its libraries' kernels for each kind of attention once.
            lengths = sorted({1, servable.max_length // 2, servable.max_length - 8})
            requests = [servable.example_inputs(length) for length in lengths]
            write_warmup_requests(folder, requests, model_name=Path(path).name)

    return write_version(path, write)


def _write_saved_model(servable: Servable, folder: Path) -> None:
    module = tf.Module()
    module.weights = servable.variables
    module.assets = []
    # Gradients of our attention are of no use to a server, and would be as large as the rest.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    # In the folder, since whoever interrupts this has all of it removed.
    sources = folder / "sources"
    sources.mkdir()
    servable.write_assets(sources)
    for source in sorted(sources.iterdir()):
        module.assets.append(tf.saved_model.Asset(str(source)))
    try:
        tf.saved_model.save(module, str(folder), servable.signatures(), options)
    except tf.errors.OpError as error:
        # TensorFlow's errors of files are none of Python's.
        raise OSError(error.message) from error
    shutil.rmtree(sources)
