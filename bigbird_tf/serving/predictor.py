"""`Predictor`: a pretrained model or a SavedModel, asked from Python or the command line."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  # SavedModels need its ops

from bigbird_tf import hub
from bigbird_tf.config import ModelConfig, config_of_any_family
from bigbird_tf.models.pretrained_model import PretrainedModel
from bigbird_tf.models.registry import MODEL_CLASSES
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.serving.export import SERVABLES, make_servable
from bigbird_tf.serving.version_directory import is_version

__all__ = ["Predictor", "load_pretrained", "model_class_of", "read_records"]


def model_class_of(config: ModelConfig, class_name: str | None = None) -> type[PretrainedModel]:
    """Returns the class of a checkpoint's model: the one asked for, or that its config names.

    Args:
        config: The checkpoint's config, whose `architectures` names its class.
        class_name: Such as `"BigBirdForQuestionAnswering"`; `None` for the config's.

    Raises:
        ValueError: If there is no such class, or the config names none.
    """
    known = sorted(SERVABLES)
    named = config.extra.get("architectures")
    name = class_name or (named[0] if isinstance(named, list) and named else named)
    if name not in known:
        raise ValueError(
            f"The model's class must be one of {', '.join(known)}. Received: {name}. A config that "
            "names none leaves it to you (`class_name`, or --class on the command line)"
        )
    return MODEL_CLASSES[name]


def load_pretrained(
    name_or_path: str | os.PathLike, class_name: str | None = None
) -> tuple[Any, Tokenizer]:
    """Loads the model and the tokenizer of a pretrained directory or repository of the hub.

    Raises:
        FileNotFoundError: If there is no such checkpoint, or it has no vocabulary.
        ValueError: If it does not fit, or its class is unknown.
    """
    if class_name is None and hub.find_file(name_or_path, "modules.json") is not None:
        class_name = "BigBirdForSentenceEmbedding"
    model_class = model_class_of(config_of_any_family(name_or_path), class_name)
    tokenizer = Tokenizer.from_pretrained(name_or_path)
    return model_class.from_pretrained(name_or_path), tokenizer


class Predictor:
    """Runs the string signatures of a model, as TensorFlow Serving would.

    Args:
        name_or_path: A pretrained directory, a repository of the hub, or the folder of a SavedModel
            or of its versions, of which the latest is taken.
        class_name: The model's class, for checkpoints whose config does not name it.
        signature: The signature to run.
        **options: Of `export_saved_model`, for pretrained models.

    Raises:
        FileNotFoundError: If there is no such model.
        OSError: If a SavedModel is damaged.
        ValueError: If the model does not fit, or has no such signature.

    Example:

    >>> predictor = Predictor("saved_models/qa")
    >>> predictor([{"question": "Who sings?", "context": "A bird sings."}])[0]["answer"]
    'A bird'
    """

    def __init__(
        self,
        name_or_path: str | os.PathLike,
        *,
        class_name: str | None = None,
        signature: str = "serving_default",
        **options: Any,
    ):
        folder = _find_saved_model(Path(name_or_path).expanduser())
        if folder is not None:
            if options:
                raise ValueError(
                    f"A SavedModel has its options inside. Received: {', '.join(sorted(options))}"
                )
            self._loaded = _load_saved_model(folder)
            signatures = self._loaded.signatures
        else:
            model, tokenizer = load_pretrained(name_or_path, class_name)
            # Its weights live as long as it does.
            self._loaded = make_servable(model, tokenizer, **options)
            # Tracing takes seconds: of one signature only.
            signatures = self._loaded.functions()
        if signature not in signatures:
            raise ValueError(
                f"`signature` must be one of {', '.join(sorted(signatures))}. Received: {signature}"
            )
        function = signatures[signature]
        self._function = function if folder is not None else function.get_concrete_function()
        # By position as they were traced, by name as they are loaded.
        by_position, by_name = self._function.structured_input_signature
        self._specs = {spec.name: spec for spec in by_position} | by_name

    @property
    def input_names(self) -> list[str]:
        """What a record must have."""
        return sorted(self._specs)

    @property
    def output_names(self) -> list[str]:
        """What the outputs have."""
        return sorted(self._function.structured_outputs)

    def __call__(self, records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the outputs of records, each by name, in plain Python types.

        Raises:
            ValueError: If a record has other names than `input_names`, or records do not fit
                together.
        """
        records = list(records)
        if not records:
            return []
        for record in records:
            if sorted(record) != self.input_names:
                raise ValueError(
                    f"A record must have {', '.join(self.input_names)}. Received: "
                    f"{', '.join(sorted(record)) or 'nothing'}"
                )
        inputs = {}
        for name, spec in self._specs.items():
            try:
                inputs[name] = tf.constant([record[name] for record in records], spec.dtype)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"`{name}` must be {spec.dtype.name} of one shape in all records: {error}"
                ) from error
        outputs = {name: value.numpy() for name, value in self._function(**inputs).items()}
        return [
            {name: _to_python(value[i]) for name, value in sorted(outputs.items())}
            for i in range(len(records))
        ]

    def in_batches(
        self, records: Iterable[dict[str, Any]], batch_size: int = 8
    ) -> Iterator[dict[str, Any]]:
        """Returns the outputs one after the other, computed in batches."""
        for batch in _batches(records, batch_size):
            yield from self(batch)


def _batches(records: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    batch = []
    try:
        for record in records:
            batch.append(record)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        # What came before a broken record has its answers all the same.
        yield batch
        raise
    yield batch


def _find_saved_model(path: Path) -> Path | None:
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        return None
    versions = [entry for entry in path.iterdir() if is_version(entry.name)]
    versions = [entry for entry in versions if (entry / "saved_model.pb").is_file()]
    return max(versions, key=lambda entry: int(entry.name), default=None)


def _load_saved_model(folder: Path) -> Any:
    try:
        return tf.saved_model.load(str(folder))
    # TensorFlow's reader of truncated checkpoints ends in an IndexError, that of empty graphs in a
    # ValueError or RuntimeError.
    except (OSError, IndexError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise OSError(
            f"The SavedModel {folder} is damaged or not whole; export it again. TensorFlow: {error}"
        ) from error


def _to_python(value: Any) -> Any:
    """Makes strings, numbers and lists of what a signature gives for one record."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, list):
        return [_to_python(item) for item in value]
    return value


def read_records(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Reads records of JSON lines; empty lines are passed over.

    Raises:
        ValueError: If a line is no JSON object. The message has its number.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"Line {number} is no JSON: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"Line {number} must be a JSON object. Received: {line.strip()[:80]}")
        yield record
