"""`BigBirdConfig`: all that decides a model's shape and attention, in one validated record."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from bigbird_tf import hub
from bigbird_tf.attention.pattern.pattern_spec import (
    ATTENTION_TYPES,
    INFERENCE_RANDOM_BLOCKS,
    RANDOM_PLANS,
    AttentionType,
    InferenceRandomBlocks,
    PatternSpec,
    RandomPlan,
)
from bigbird_tf.config_checks import (
    check_choice,
    check_extra,
    check_flag,
    check_global_blocks,
    check_integer,
    check_number,
    check_obeyed,
    check_rate,
    check_window,
    merge_labels,
    settle_labels,
)
from bigbird_tf.config_record import FrozenDict, check_names, frozen_record

__all__ = ["BigBirdConfig"]

CONFIG_NAME = "config.json"
MODEL_TYPE = "big_bird"
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
# Some are one function, under several names that configs use.
Activation = Literal[
    "gelu_new",
    "gelu",
    "gelu_10",
    "gelu_accurate",
    "gelu_fast",
    "gelu_python",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "hardswish",
    "laplace",
    "leaky_relu",
    "linear",
    "mish",
    "quick_gelu",
    "relu",
    "relu2",
    "relu6",
    "sigmoid",
    "silu",
    "sqrtsoftplus",
    "swish",
    "tanh",
]
PROBLEM_TYPES = get_args(ProblemType)
ACTIVATIONS = get_args(Activation)


@frozen_record
class BigBirdConfig:
    """The settings of a BigBird model, under the names and with the defaults of `transformers`.

    Reads and writes the `config.json` that `transformers` uses. Fields of a file that are not known
    here are kept in `extra` and written back. A config cannot be changed; `replace` returns a new
    one.

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
        pad_token_id: Id of padding.
        bos_token_id: Id of the token that begins a text.
        eos_token_id: Id of the token that ends one.
        sep_token_id: Id of the separator.
        attention_type: `"block_sparse"` (linear in the length), `"original_full"`, or
            `"simulated_sparse"` (full attention under the sparse pattern's mask, slow, for checks).
        use_bias: Whether query, key and value projections have biases.
        rescale_embeddings: Whether word embeddings are multiplied by `sqrt(hidden_size)`.
        tie_word_embeddings: Whether the decoder of language model heads is the word embeddings,
            not a matrix of its own.
        block_size: Tokens in a block of the pattern.
        num_random_blocks: Random key blocks that each query block reads; 0 for none.
        classifier_dropout: Dropout rate of classification heads; `None` for `hidden_dropout_prob`.
        classifier_act: Activation inside the head of sequence classifiers; `None` for `hidden_act`.
            Google's classifiers have `"tanh"`.
        is_decoder: Whether attention is causal.
        num_labels: Outputs of a classification head; by default as many as there are names.
        id2label: Names of the labels, by id.
        label2id: Ids of the labels, by name; one of the two is enough.
        problem_type: What a sequence classifier's labels are: `"single_label_classification"`,
            `"multi_label_classification"`, `"regression"`, or `None`: regression for one label,
            else single label.
        num_global_blocks: Global blocks; the first half (rounded up) at the start of the sequence,
            the rest at its end; or a pair, how many at the start and at the end. Global blocks
            attend to everything and are attended to by all.
        num_window_blocks: Width of the sliding window in blocks, odd; or a pair, how many before
            and after a query's own block.
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
        TypeError: If there is no such field. The message has the nearest one.
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
    hidden_act: Activation = "gelu_new"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 4096
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    bos_token_id: int | None = 1
    eos_token_id: int | tuple[int, ...] | None = 2
    sep_token_id: int | None = 66
    attention_type: AttentionType = "block_sparse"
    use_bias: bool = True
    rescale_embeddings: bool = False
    tie_word_embeddings: bool = True
    block_size: int = 64
    num_random_blocks: int = 3
    classifier_dropout: float | None = None
    classifier_act: Activation | None = None
    is_decoder: bool = False
    num_labels: int = 2
    id2label: Mapping[int, str] | None = None
    label2id: Mapping[str, int] | None = None
    problem_type: ProblemType | None = None
    num_global_blocks: int | tuple[int, int] = 2
    num_window_blocks: int | tuple[int, int] = 3
    random_plan: RandomPlan = "google"
    inference_random_blocks: InferenceRandomBlocks = "seeded"
    full_attention_up_to: int | None = None
    gradient_checkpointing: bool = False
    extra: Mapping[str, Any] = dataclasses.field(default_factory=FrozenDict, hash=False)

    @classmethod
    def _settle(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the fields as they are kept; raises a `ValueError` where one is impossible."""
        settled = {name: _CHECKS[name](name, value) for name, value in given.items()}
        default = cls.__dataclass_fields__["num_labels"].default
        return {**settled, **settle_labels(settled, default)}

    def __post_init__(self) -> None:
        check_obeyed(self.extra)
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

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

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
        )

    def replace(self, **fields: Any) -> Self:
        """Returns a copy with some fields changed, checked again.

        Names of labels take the place of all that was said of labels; so does another `num_labels`.
        """
        return self.from_dict(self.to_dict(), **fields)

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields, those in `extra` too, as a flat dictionary that JSON can hold."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
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
        names = [field.name for field in dataclasses.fields(cls)]
        check_names(cls.__name__, overrides, names)
        # Written back by `save_pretrained`, so not a field to keep.
        fields = dict(fields)
        model_type = fields.pop("model_type", MODEL_TYPE)
        if model_type != MODEL_TYPE:
            raise ValueError(
                f"`{cls.__name__}` reads the config of a {MODEL_TYPE!r} model. Received: "
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
        check_names(cls.__name__, overrides, [field.name for field in dataclasses.fields(cls)])
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
        fields = {**self.to_dict(), "model_type": MODEL_TYPE}
        text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
        partial = directory / f".{CONFIG_NAME}.{os.getpid()}.partial"
        try:
            partial.write_text(text + "\n", encoding="utf-8")
            os.replace(partial, directory / CONFIG_NAME)
        finally:
            partial.unlink(missing_ok=True)


def _check_token_ids(name: str, value: Any) -> int | tuple[int, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(check_integer(name, token, 0) for token in value)
    return check_integer(name, value, 0)


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _as_given(name: str, value: Any) -> Any:
    return value


_positive = functools.partial(check_integer, least=1)
_count = functools.partial(check_integer, least=0)
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "vocab_size": _positive,
    "hidden_size": _positive,
    "num_hidden_layers": _count,
    "num_attention_heads": _positive,
    "intermediate_size": _positive,
    "hidden_act": functools.partial(check_choice, choices=ACTIVATIONS),
    "hidden_dropout_prob": check_rate,
    "attention_probs_dropout_prob": check_rate,
    "max_position_embeddings": _positive,
    "type_vocab_size": _positive,
    "initializer_range": check_number,
    "layer_norm_eps": check_number,
    # Without padding there has to be an id all the same.
    "pad_token_id": lambda name, value: 0 if value is None else _count(name, value),
    "bos_token_id": _or_none(_count),
    "eos_token_id": _or_none(_check_token_ids),
    "sep_token_id": _or_none(_count),
    "attention_type": functools.partial(check_choice, choices=ATTENTION_TYPES),
    "use_bias": check_flag,
    "rescale_embeddings": check_flag,
    "tie_word_embeddings": check_flag,
    "block_size": _positive,
    "num_random_blocks": _count,
    "classifier_dropout": _or_none(check_rate),
    "classifier_act": functools.partial(check_choice, choices=(None, *ACTIVATIONS)),
    "is_decoder": check_flag,
    "num_labels": _positive,
    "id2label": _as_given,
    "label2id": _as_given,
    "problem_type": functools.partial(check_choice, choices=(None, *PROBLEM_TYPES)),
    "num_global_blocks": check_global_blocks,
    "num_window_blocks": check_window,
    "random_plan": functools.partial(check_choice, choices=RANDOM_PLANS),
    "inference_random_blocks": functools.partial(check_choice, choices=INFERENCE_RANDOM_BLOCKS),
    "full_attention_up_to": _or_none(_count),
    "gradient_checkpointing": check_flag,
}
_CHECKS["extra"] = functools.partial(check_extra, known=("extra", "model_type", *_CHECKS))
