"""`BigBirdConfig`: all that decides a model's shape and attention, in one validated record."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from bigbird_tf import hub

__all__ = ["BigBirdConfig"]

CONFIG_NAME = "config.json"
ATTENTION_TYPES = ("block_sparse", "original_full", "simulated_sparse")
RANDOM_PLANS = ("google", "transformers")
INFERENCE_RANDOM_BLOCKS = ("seeded", "first_block")
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
# `gelu_new`, `gelu_fast`, `gelu_pytorch_tanh` are one function, under the names that configs use.
ACTIVATIONS = (
    "gelu_new",
    "gelu",
    "gelu_fast",
    "gelu_pytorch_tanh",
    "relu",
    "silu",
    "tanh",
)


def longest_full_attention(
    full_attention_up_to: int | None,
    block_size: int,
    num_random_blocks: int,
    num_window_blocks: int,
    num_global_blocks: int,
) -> int:
    """Gives the length in tokens up to which full attention takes the place of the sparse one.

    That is what was asked for, or the rule of `transformers`, carried over to patterns other than
    theirs; at least the length at which every block is global.
    """
    least = num_global_blocks * block_size
    if full_attention_up_to is not None:
        return max(full_attention_up_to, least)
    return least + (num_window_blocks + 2 * num_random_blocks) * block_size


@dataclasses.dataclass
class BigBirdConfig:
    """The settings of a BigBird model, under the names and with the defaults of `transformers`.

    Reads and writes the `config.json` that `transformers` uses. Fields that are not known here are
    kept in `extra` and written back.

    Args:
        vocab_size: Number of pieces of the vocabulary.
        hidden_size: Width of the model; a multiple of `num_attention_heads`.
        num_hidden_layers: Number of encoder blocks.
        num_attention_heads: Number of attention heads.
        intermediate_size: Width inside the feed-forward layers.
        hidden_act: Activation of the feed-forward layers. `"gelu_new"` is the tanh form of GELU.
        hidden_dropout_prob: Dropout rate of embeddings and of the outputs of sublayers.
        attention_probs_dropout_prob: Dropout rate of attention probabilities. As in the originals
            it acts in full attention only.
        max_position_embeddings: Longest sequence, in tokens.
        type_vocab_size: Number of token types.
        initializer_range: Standard deviation of the initial weights.
        layer_norm_eps: Epsilon of every layer normalisation.
        pad_token_id, bos_token_id, eos_token_id, sep_token_id: Ids of special tokens.
        attention_type: `"block_sparse"` (linear in the length), `"original_full"`, or
            `"simulated_sparse"` (full attention under the sparse pattern's mask, slow, for checks).
        use_bias: Whether query, key and value projections have biases.
        rescale_embeddings: Whether word embeddings are multiplied by `sqrt(hidden_size)`.
        block_size: Tokens in a block of the pattern.
        num_random_blocks: Random key blocks that each query block reads; 0 for none.
        classifier_dropout: Dropout rate of classification heads; `None` for `hidden_dropout_prob`.
        classifier_act: Activation inside the head of sequence classifiers; `None` for `hidden_act`.
            Google's classifiers have `"tanh"`.
        is_decoder: Whether attention is causal.
        num_labels: Outputs of a classification head.
        id2label, label2id: Names of the labels.
        problem_type: What a sequence classifier's labels are: `"single_label_classification"`,
            `"multi_label_classification"`, `"regression"`, or `None`: regression for one label,
            else single label.
        num_global_blocks: Global blocks; the first half (rounded up) at the start of the sequence,
            the rest at its end. Global blocks attend to everything and are attended to by all.
        num_window_blocks: Width of the sliding window in blocks; odd.
        random_plan: Which original's rule draws the random blocks: `"google"` or `"transformers"`.
        inference_random_blocks: `"seeded"` uses the same random blocks in training and inference,
            as Google's code does and the published weights were trained; `"first_block"` points
            all of them to block 0 outside of training, as `transformers` does.
        full_attention_up_to: Sequences up to this length (in tokens) use full attention; `None`
            for the rule of `transformers`, `(5 + 2 * num_random_blocks) * block_size`, where 5 is
            the global and window blocks. Google's code has 512. Longer ones use it too where they
            have too few blocks to choose the random ones from.
        gradient_checkpointing: Whether training recomputes each encoder block's inside in the
            backward pass, which trades time for memory.
        extra: Fields of a `config.json` that are not among the above.

    Raises:
        ValueError: If a value is impossible. The message names the argument.

    Example:

    >>> config = BigBirdConfig(num_hidden_layers=4, block_size=32)
    >>> config.attention_type
    'block_sparse'
    """

    vocab_size: int = 50358
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 4096
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    sep_token_id: int | None = 66
    attention_type: str = "block_sparse"
    use_bias: bool = True
    rescale_embeddings: bool = False
    block_size: int = 64
    num_random_blocks: int = 3
    classifier_dropout: float | None = None
    classifier_act: str | None = None
    is_decoder: bool = False
    num_labels: int = 2
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    num_global_blocks: int = 2
    num_window_blocks: int = 3
    random_plan: str = "google"
    inference_random_blocks: str = "seeded"
    full_attention_up_to: int | None = None
    gradient_checkpointing: bool = False
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __init__(self, **fields):
        extra = dict(fields.pop("extra", None) or {})
        num_labels_given = "num_labels" in fields
        for field in dataclasses.fields(self):
            if field.name != "extra":
                setattr(self, field.name, fields.pop(field.name, field.default))
        self.extra = {**extra, **fields}
        self._settle_labels(num_labels_given)
        self._validate()

    def _settle_labels(self, num_labels_given: bool) -> None:
        """Brings `num_labels` and the labels' names in line; JSON makes keys strings."""
        for name in ("label2id", "id2label"):
            if not isinstance(getattr(self, name), (Mapping, NoneType)):
                raise ValueError(
                    f"`{name}` must be a dictionary or None. Received: "
                    f"{name}={getattr(self, name)!r}"
                )
        if self.label2id is not None and self.id2label is None:
            self.id2label = {index: label for label, index in self.label2id.items()}
        if self.id2label is None:
            return
        self.id2label = {int(index): str(label) for index, label in self.id2label.items()}
        self.label2id = {label: index for index, label in self.id2label.items()}
        if not num_labels_given:
            self.num_labels = len(self.id2label)
        elif self.num_labels != len(self.id2label):
            raise ValueError(
                f"`num_labels` must be the number of labels in `id2label`. Received: "
                f"num_labels={self.num_labels}, {len(self.id2label)} labels in id2label"
            )

    def _validate(self) -> None:
        """Raises a `ValueError` that names the first impossible field."""
        at_least_one = (
            "vocab_size hidden_size num_attention_heads intermediate_size max_position_embeddings "
            "type_vocab_size block_size num_labels num_window_blocks"
        )
        for name in at_least_one.split():
            self._require_int(name, 1)
        for name in ("num_hidden_layers", "num_random_blocks", "num_global_blocks"):
            self._require_int(name, 0)
        if self.full_attention_up_to is not None:
            self._require_int("full_attention_up_to", 0)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, list):
                self._require_int(name, 0)
        if self.pad_token_id is None:
            self.pad_token_id = 0
        if self.pad_token_id >= self.vocab_size:
            raise ValueError(
                f"`pad_token_id` must be below `vocab_size`. Received: "
                f"pad_token_id={self.pad_token_id}, vocab_size={self.vocab_size}"
            )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "`hidden_size` must be a multiple of `num_attention_heads`. Received: "
                f"hidden_size={self.hidden_size}, num_attention_heads={self.num_attention_heads}"
            )
        if self.num_window_blocks % 2 == 0:
            raise ValueError(
                "`num_window_blocks` must be odd: a block, and as many to its left as to its "
                f"right. Received: num_window_blocks={self.num_window_blocks}"
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            value = getattr(self, name)
            if value is None and name == "classifier_dropout":
                continue
            if not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value!r}")
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            # Not `value <= 0`, which NaN passes.
            if not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"`{name}` must be a positive number. Received: {name}={value!r}")
        for name, choices in (
            ("attention_type", ATTENTION_TYPES),
            ("random_plan", RANDOM_PLANS),
            ("inference_random_blocks", INFERENCE_RANDOM_BLOCKS),
            ("hidden_act", ACTIVATIONS),
            ("classifier_act", (None, *ACTIVATIONS)),
            ("problem_type", (None, *PROBLEM_TYPES)),
        ):
            value = getattr(self, name)
            if value not in choices:
                listing = ", ".join(repr(choice) for choice in choices)
                raise ValueError(f"`{name}` must be one of {listing}. Received: {name}={value!r}")

    def _require_int(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            kind = "a positive integer" if least == 1 else "an integer, 0 or more"
            raise ValueError(f"`{name}` must be {kind}. Received: {name}={value!r}")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def longest_full_attention(self) -> int:
        """The length in tokens up to which full attention takes the place of the sparse one."""
        return longest_full_attention(
            self.full_attention_up_to,
            self.block_size,
            self.num_random_blocks,
            self.num_window_blocks,
            self.num_global_blocks,
        )

    def replace(self, **fields) -> "BigBirdConfig":
        """Gives a copy with some fields changed, validated again."""
        current = self.to_dict()
        if "num_labels" in fields and not {"id2label", "label2id"} & set(fields):
            # Names of another number of labels mean nothing.
            current.pop("id2label", None)
            current.pop("label2id", None)
        return BigBirdConfig(**{**current, **fields})

    def to_dict(self) -> dict[str, Any]:
        """Gives all fields, the unknown ones included, as a flat dictionary that JSON can hold."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        extra = fields.pop("extra")
        if fields["id2label"] is None:
            del fields["id2label"], fields["label2id"]
        else:
            fields["id2label"] = {str(k): v for k, v in fields["id2label"].items()}
            fields["label2id"] = dict(fields["label2id"])
        return {**extra, **fields}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "BigBirdConfig":
        """Makes a config of the dictionary that `to_dict` gives or a `config.json` holds."""
        return cls(**fields)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike,
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides,
    ) -> "BigBirdConfig":
        """Reads the `config.json` of a directory or of a repository of the hub.

        Args:
            name_or_path: A directory, a shipped model's name, or a repository id.
            revision, cache_dir, token, local_files_only: As in `huggingface_hub.hf_hub_download`.
            **overrides: Fields that replace the file's.

        Raises:
            FileNotFoundError: If there is no `config.json`.
            ValueError: If it is not JSON, is of another kind of model, or has impossible values.
        """
        file = hub.require_file(
            name_or_path,
            CONFIG_NAME,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
        )
        try:
            fields = json.loads(Path(file).read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not valid JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ValueError(f"{file} must hold a JSON object. Received: {type(fields).__name__}")
        # Written back by `save_pretrained`, so not a field to keep.
        model_type = fields.pop("model_type", "big_bird")
        if model_type != "big_bird":
            raise ValueError(
                f"{file} is the config of a {model_type!r} model; `BigBirdConfig` reads 'big_bird'."
            )
        return cls.from_dict(fields).replace(**overrides) if overrides else cls.from_dict(fields)

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes `config.json`, in the form `transformers` reads, into a directory."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        fields = {**self.to_dict(), "model_type": "big_bird"}
        text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
        (directory / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
