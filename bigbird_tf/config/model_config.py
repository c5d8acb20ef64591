"""`ModelConfig`: what the configs of all families can do."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from bigbird_tf import hub
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.config_checks import merge_labels, settle_labels
from bigbird_tf.config_record import check_names
from bigbird_tf.whole_files import write_whole

__all__ = [
    "CONFIG_NAME",
    "GENERATION_CONFIG_NAME",
    "GENERATION_SETTINGS",
    "Checks",
    "ModelConfig",
    "read_fields",
]

CONFIG_NAME = "config.json"
GENERATION_CONFIG_NAME = "generation_config.json"
# Where a model that was loaded with a `generation_config.json` has it among its `extra` fields.
GENERATION_SETTINGS = "generation_config"
# Of each field: returns a value as it is kept, or refuses it.
Checks = dict[str, Callable[[str, Any], Any]]


class ModelConfig:
    """A record of all that decides a model, as `config.json` of `transformers` has it.

    Subclasses are records of fields; they name their family in `model_type`, and have the fields or
    properties that patterns and layers of all families read.
    """

    model_type: ClassVar[str]
    _checks: ClassVar[Checks]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    if TYPE_CHECKING:
        # What is a field in one family is a property in another.
        def __getattr__(self, name: str) -> Any:
            """Fields and properties of subclasses."""

    @classmethod
    def _settle(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the fields as they are kept; raises a `ValueError` where one is impossible."""
        settled = {name: cls._checks[name](name, value) for name, value in given.items()}
        default = cls.__dataclass_fields__["num_labels"].default
        return {**settled, **settle_labels(settled, default)}

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def self_attention_type(self) -> str:
        """How a sequence attends to itself; see the field `attention_type`."""
        return self.attention_type

    @property
    def longest_full_attention(self) -> int:
        """The length in tokens up to which full attention takes the place of the sparse one."""
        return self.pattern_spec().longest_full_attention

    def pattern_spec(self, layer_index: int = 0) -> PatternSpec:
        """Returns what decides the attention pattern of a layer, whose index is the seed."""
        return PatternSpec.from_arguments(
            num_heads=self.num_attention_heads,
            block_size=self.block_size,
            num_random_blocks=self.num_random_blocks,
            num_window_blocks=self.num_window_blocks,
            num_global_blocks=self.num_global_blocks,
            random_plan=self.random_plan,
            inference_random_blocks=self.inference_random_blocks,
            full_attention_up_to=self.full_attention_up_to,
            max_length=self.max_position_embeddings,
            seed=layer_index,
            is_causal=self.is_decoder,
        )

    def replace(self, **fields: Any) -> Self:
        """Returns a copy with some fields changed, checked again.

        Names of labels take the place of all that was said of labels; so does another `num_labels`.
        """
        return self.from_dict(self.to_dict(), **fields)

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields, those in `extra` too, as a flat dictionary that JSON can hold."""
        fields = {name: getattr(self, name) for name in self._field_names()}
        extra = fields.pop("extra")
        fields = {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}
        if fields["id2label"] is None:
            del fields["id2label"], fields["label2id"]
        else:
            fields["id2label"] = {str(k): v for k, v in fields["id2label"].items()}
            fields["label2id"] = dict(fields["label2id"])
        return {**extra, **fields}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], **overrides: Any) -> Self:
        """Makes a config of the dictionary that `to_dict` returns or a `config.json` holds.

        Args:
            fields: The dictionary. Names in it that are no fields go into `extra`.
            **overrides: Fields that replace those of the dictionary, before anything is checked.

        Raises:
            TypeError: If there is no field of an override's name.
            ValueError: If it is of another kind of model, or has impossible values.
        """
        names = cls._field_names()
        check_names(cls.__name__, overrides, names)
        # Written back by `save_pretrained`, so not a field to keep.
        fields = dict(fields)
        model_type = fields.pop("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"`{cls.__name__}` reads the config of a {cls.model_type!r} model. Received: "
                f"model_type={model_type!r}"
            )
        unknown = {name: fields.pop(name) for name in list(fields) if name not in names}
        extra = fields.pop("extra", None)
        fields["extra"] = {**unknown, **extra} if isinstance(extra, Mapping) else extra or unknown
        return cls(**merge_labels(fields, overrides))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike,
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Reads the `config.json` of a directory or of a repository of the hub.

        Args:
            name_or_path: A directory, a shipped model's name, or a repository id.
            revision: Branch, tag or commit on the hub.
            cache_dir: Where downloads are kept.
            token: The hub's access token.
            local_files_only: Whether to use only what has been downloaded before.
            **overrides: Fields that replace the file's, before anything is checked.

        Raises:
            FileNotFoundError: If there is no `config.json`.
            TypeError: If there is no field of an override's name.
            ValueError: If it is not JSON, is of another kind of model, or has impossible values.
        """
        check_names(cls.__name__, overrides, cls._field_names())
        file, fields = read_fields(
            name_or_path,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
        )
        try:
            return cls.from_dict(fields, **overrides)
        except ValueError as error:
            replaced = f", with {', '.join(overrides)} replaced," if overrides else ""
            raise ValueError(
                f"{file}{replaced} is no config of ours: {error}. Fields that are given to "
                "`from_pretrained` replace those of the file."
            ) from error

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes `config.json`, in the form `transformers` reads, into a directory.

        Raises:
            OSError: If it cannot be written; a `config.json` that was there before stays.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        fields = {**self.to_dict(), "model_type": self.model_type}
        # Those have a file of their own, which models write.
        fields.pop(GENERATION_SETTINGS, None)
        text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
        write_whole(directory / CONFIG_NAME, text + "\n")

    @classmethod
    def _field_names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]


def read_fields(
    name_or_path: str | os.PathLike, file_name: str = CONFIG_NAME, **hub_options: Any
) -> tuple[Path, dict[str, Any]]:
    """Returns the path of a `config.json` and the object in it.

    Args:
        name_or_path: A directory, a shipped model's name, or a repository id.
        file_name: The file's name, where it is another one.
        **hub_options: Of `hub.require_file`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a JSON object.
    """
    file = Path(hub.require_file(name_or_path, file_name, **hub_options))
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{file} must hold a JSON object. Received: {type(fields).__name__}")
    return file, fields
