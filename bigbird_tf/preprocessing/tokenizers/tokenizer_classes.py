"""Which classes of `transformers` a vocabulary's file may be of: they decide its rules."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    CONFIG_NAME,
    JSON_NAME,
    NotExpressibleError,
    PretrainedFiles,
)

__all__ = [
    "BERT_CLASSES",
    "BIG_BIRD_CLASSES",
    "DNA_CLASSES",
    "GENERIC_CLASSES",
    "PEGASUS_CLASSES",
    "check_class",
    "check_settings",
    "class_of",
    "is_class",
]

# Without the "Fast" of `transformers` 4.
BIG_BIRD_CLASSES = ("BigBirdTokenizer",)
PEGASUS_CLASSES = ("PegasusTokenizer",)
DNA_CLASSES = ("DnaTokenizer",)
# What `transformers` makes a `BertTokenizer` of.
BERT_CLASSES = (
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
)
# They say nothing of rules.
GENERIC_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")
MODEL_CONFIG_NAME = "config.json"
# By the `model_type` of `config.json`, where no file names a class.
CLASSES_OF_MODELS = {"bigbird_pegasus": "PegasusTokenizer", "pegasus": "PegasusTokenizer"}


def is_class(name: object, classes: Iterable[str]) -> bool:
    """Returns whether a `tokenizer_class` is one of some classes, "Fast" or not."""
    return isinstance(name, str) and name.removesuffix("Fast") in classes


def class_of(files: PretrainedFiles) -> tuple[str, str | None]:
    """Returns the `tokenizer_class` of a checkpoint, or `None`, and the file that says so."""
    name = files.config.get("tokenizer_class")
    if name is not None:
        return CONFIG_NAME, name
    config = files.read_json(MODEL_CONFIG_NAME) or {}
    name = config.get("tokenizer_class") or CLASSES_OF_MODELS.get(str(config.get("model_type")))
    return MODEL_CONFIG_NAME, name


def check_class(files: PretrainedFiles, path: Path, ours: str, classes: Iterable[str]) -> None:
    """Refuses a vocabulary of a class of `transformers` with other rules than ours.

    Args:
        files: A checkpoint's.
        path: Its vocabulary.
        ours: The class that would read it.
        classes: Those of `transformers` with the same rules.

    Raises:
        NotExpressibleError: If `tokenizer_config.json`, or else `config.json`, names another.
    """
    classes = tuple(classes)
    source, name = class_of(files)
    if name is None or is_class(name, (*classes, *GENERIC_CLASSES)):
        return
    raise NotExpressibleError(
        f"The `tokenizer_class` of {path}, which {source} names, must be one whose rules "
        f"`bb.{ours}` has: {', '.join(classes)}, or none. Received: tokenizer_class={name!r}. "
        + _way_out(path, ours)
    )


def check_settings(
    files: PretrainedFiles, path: Path, ours: str, refused: Mapping[str, bool]
) -> None:
    """Refuses what a `tokenizer_config.json` says of rules that ours does not have.

    Args:
        files, path, ours: As in `check_class`.
        refused: Settings, and which value of each is refused.

    Raises:
        NotExpressibleError: If it has one of them.
    """
    for name, value in refused.items():
        if files.config.get(name) is value:
            raise NotExpressibleError(
                f"`{name}` beside {path} must not be {value}: `bb.{ours}` does not do so. "
                f"Received: {name}={value} in {CONFIG_NAME}. {_way_out(path, ours)}"
            )


def _way_out(path: Path, ours: str) -> str:
    """Returns what to do about a vocabulary with rules that a class of ours does not have."""
    return (
        f"With a {JSON_NAME} beside it, as `save_pretrained` of a fast tokenizer of `transformers` "
        "writes it, `bb.Tokenizer.from_pretrained` makes a `bb.FastTokenizer`. If the rules are "
        f"ours nonetheless, make it yourself: `bb.{ours}({str(path)!r})`"
    )
