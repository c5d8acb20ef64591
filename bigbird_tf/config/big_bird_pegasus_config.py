"""`BigBirdPegasusConfig`: all that decides an encoder-decoder, in one validated record."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from bigbird_tf.attention.pattern.pattern_spec import (
    ATTENTION_TYPES,
    INFERENCE_RANDOM_BLOCKS,
    RANDOM_PLANS,
    AttentionType,
    InferenceRandomBlocks,
    RandomPlan,
)
from bigbird_tf.config.fields import (
    ACTIVATIONS,
    PROBLEM_TYPES,
    Activation,
    ProblemType,
    as_given,
    check_label_weights,
    check_token_ids,
    check_weights,
    count,
    or_none,
    or_zero,
    positive,
)
from bigbird_tf.config.model_config import Checks, ModelConfig
from bigbird_tf.config_checks import (
    check_choice,
    check_extra,
    check_flag,
    check_global_blocks,
    check_number,
    check_rate,
    check_window,
)
from bigbird_tf.config_record import FrozenDict, frozen_record

__all__ = ["BigBirdPegasusConfig"]


# Other names that `transformers` has for fields, and writes beside them.
_ALIASES = {
    "hidden_size": "d_model",
    "num_hidden_layers": "encoder_layers",
    "num_attention_heads": "encoder_attention_heads",
    "attention_probs_dropout_prob": "attention_dropout",
}
# What is equal in stacks that share weights.
_FORM = ("layers", "attention_heads", "ffn_dim")


def _check_no_layer_drop(name: str, value: Any) -> float:
    if value != 0:
        raise ValueError(
            f"`{name}` must be 0: no layers are left out in training here. Received: "
            f"{name}={value!r}"
        )
    return 0.0


_CHECKS: Checks = {
    "vocab_size": positive,
    "d_model": positive,
    "encoder_layers": count,
    "decoder_layers": positive,
    "encoder_attention_heads": positive,
    "decoder_attention_heads": positive,
    "encoder_ffn_dim": positive,
    "decoder_ffn_dim": positive,
    "encoder_layerdrop": _check_no_layer_drop,
    "decoder_layerdrop": _check_no_layer_drop,
    "activation_function": functools.partial(check_choice, choices=ACTIVATIONS),
    "dropout": check_rate,
    "attention_dropout": check_rate,
    "activation_dropout": check_rate,
    "classifier_dropout": check_rate,
    "max_position_embeddings": positive,
    "init_std": check_number,
    "layer_norm_eps": check_number,
    "scale_embedding": check_flag,
    "use_bias": check_flag,
    "tie_word_embeddings": check_flag,
    "normalize_before": check_flag,
    "tie_encoder_decoder": check_flag,
    "pad_token_id": or_zero,
    "bos_token_id": or_none(count),
    "eos_token_id": or_none(check_token_ids),
    "decoder_start_token_id": count,
    "is_encoder_decoder": check_flag,
    "is_decoder": check_flag,
    "num_labels": positive,
    "id2label": as_given,
    "label2id": as_given,
    "problem_type": functools.partial(check_choice, choices=(None, *PROBLEM_TYPES)),
    "pos_weight": or_none(check_weights),
    "attention_type": functools.partial(check_choice, choices=ATTENTION_TYPES),
    "block_size": positive,
    "num_random_blocks": count,
    "num_global_blocks": check_global_blocks,
    "num_window_blocks": check_window,
    "random_plan": functools.partial(check_choice, choices=RANDOM_PLANS),
    "inference_random_blocks": functools.partial(check_choice, choices=INFERENCE_RANDOM_BLOCKS),
    "full_attention_up_to": or_none(count),
    "gradient_checkpointing": check_flag,
}
_CHECKS["extra"] = functools.partial(check_extra, known=("extra", "model_type", *_CHECKS))


@frozen_record
class BigBirdPegasusConfig(ModelConfig):
    """The settings of a BigBird-Pegasus model, under the names and defaults of `transformers`.

    Reads and writes the `config.json` that `transformers` uses. Fields of a file that are not known
    here are kept in `extra` and written back. A config cannot be changed; `replace` returns a new
    one.

    Args:
        vocab_size: Number of pieces of the vocabulary.
        d_model: Width of the model; a multiple of both numbers of heads.
        encoder_layers: Number of encoder blocks.
        decoder_layers: Number of decoder blocks.
        encoder_attention_heads: Number of attention heads in the encoder.
        decoder_attention_heads: Number of attention heads in the decoder.
        encoder_ffn_dim: Width inside the encoder's feed-forward layers.
        decoder_ffn_dim: Width inside the decoder's feed-forward layers.
        encoder_layerdrop: Only 0: no layers are left out in training here.
        decoder_layerdrop: Only 0, likewise.
        activation_function: Activation of the feed-forward layers. The sources differ: Google's
            script of the published models has `"relu"`, their configs on the hub have `"gelu_new"`
            or `"gelu_fast"` (one function here, the tanh form of GELU).
        dropout: Dropout rate of embeddings and of the outputs of sublayers.
        attention_dropout: Dropout rate of attention probabilities. As in the originals it acts in
            full attention only.
        activation_dropout: Dropout rate inside the decoder's feed-forward layers; the encoder has
            none there.
        classifier_dropout: Dropout rate of the classification head.
        max_position_embeddings: Longest document and longest summary, in tokens.
        init_std: Standard deviation of the initial weights.
        layer_norm_eps: Epsilon of every layer normalisation. `transformers` has 1e-5 whatever its
            config says, Google's code 1e-12.
        scale_embedding: Whether word embeddings are multiplied by `sqrt(d_model)`.
        use_bias: Whether query, key, value and output projections of attention have biases.
        tie_word_embeddings: Whether logits are products with the word embeddings, not with a
            matrix of its own.
        normalize_before: Whether the parts of a block are normalised first, and each stack at its
            end, as in Pegasus. With `False` they are normalised behind their residuals, and each
            stack at its beginning, as in BERT and BigBird; `transformers` computes the former
            whatever its config says.
        tie_encoder_decoder: Whether the decoder's weights are the encoder's, but for those that
            read documents. Both stacks are then of one form.
        pad_token_id: Id of padding.
        bos_token_id: Id of the token that begins a text.
        eos_token_id: Id of the token that ends one.
        decoder_start_token_id: Id of the token that the decoder reads first.
        is_encoder_decoder: Whether there are an encoder and a decoder.
        is_decoder: Whether there is the decoder alone.
        num_labels: Outputs of a classification head; by default as many as there are names.
        id2label: Names of the labels, by id.
        label2id: Ids of the labels, by name; one of the two is enough.
        problem_type: As `BigBirdConfig`'s.
        pos_weight: As `BigBirdConfig`'s.
        attention_type: The encoder's: `"block_sparse"`, `"original_full"` or `"simulated_sparse"`,
            as `BigBirdConfig`'s. The decoder's is full.
        block_size: Tokens in a block of the pattern.
        num_random_blocks: Random key blocks that each query block reads; 0 for none.
        num_global_blocks: As `BigBirdConfig`'s.
        num_window_blocks: As `BigBirdConfig`'s.
        random_plan: As `BigBirdConfig`'s.
        inference_random_blocks: As `BigBirdConfig`'s.
        full_attention_up_to: As `BigBirdConfig`'s; `transformers` turns a model to full attention
            for good after one short document, here each call decides.
        gradient_checkpointing: Whether training recomputes each block's inside in the backward
            pass, which trades time for memory.
        extra: Fields of a `config.json` that are not among the above.

    Raises:
        TypeError: If there is no such field. The message has the nearest one.
        ValueError: If a value is impossible. The message names the argument.

    Example:

    >>> config = BigBirdPegasusConfig(encoder_layers=4, decoder_layers=4, block_size=32)
    >>> config.attention_type
    'block_sparse'
    """

    model_type: ClassVar[str] = "bigbird_pegasus"
    _checks: ClassVar[Checks] = _CHECKS
    # Whether attention's output has a bias even where its projections have none.
    always_output_bias: ClassVar[bool] = False
    # What sequence classifiers have inside.
    classifier_act: ClassVar[Activation] = "tanh"

    vocab_size: int = 96103
    d_model: int = 1024
    encoder_layers: int = 16
    decoder_layers: int = 16
    encoder_attention_heads: int = 16
    decoder_attention_heads: int = 16
    encoder_ffn_dim: int = 4096
    decoder_ffn_dim: int = 4096
    encoder_layerdrop: float = 0.0
    decoder_layerdrop: float = 0.0
    activation_function: Activation = "gelu_new"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    classifier_dropout: float = 0.0
    max_position_embeddings: int = 4096
    init_std: float = 0.02
    layer_norm_eps: float = 1e-5
    scale_embedding: bool = True
    use_bias: bool = False
    tie_word_embeddings: bool = True
    normalize_before: bool = True
    tie_encoder_decoder: bool = False
    pad_token_id: int = 0
    bos_token_id: int | None = 2
    eos_token_id: int | tuple[int, ...] | None = 1
    decoder_start_token_id: int = 2
    is_encoder_decoder: bool = True
    is_decoder: bool = False
    num_labels: int = 2
    id2label: Mapping[int, str] | None = None
    label2id: Mapping[str, int] | None = None
    problem_type: ProblemType | None = None
    pos_weight: float | tuple[float, ...] | None = None
    attention_type: AttentionType = "block_sparse"
    block_size: int = 64
    num_random_blocks: int = 3
    num_global_blocks: int | tuple[int, int] = 2
    num_window_blocks: int | tuple[int, int] = 3
    random_plan: RandomPlan = "google"
    inference_random_blocks: InferenceRandomBlocks = "seeded"
    full_attention_up_to: int | None = None
    gradient_checkpointing: bool = False
    extra: Mapping[str, Any] = dataclasses.field(default_factory=FrozenDict, hash=False)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], **overrides: Any) -> Self:
        """Makes a config of a dictionary; see `ModelConfig.from_dict`.

        Args:
            fields: The dictionary. `hidden_size` and other names that `transformers` has for
                `d_model` and the like stand for these.
            **overrides: Fields that replace those of the dictionary.
        """
        fields = dict(fields)
        for alias, name in _ALIASES.items():
            value = fields.pop(alias, None)
            if value is None:
                continue
            if fields.setdefault(name, value) != value:
                raise ValueError(
                    f"`{alias}` is another name for `{name}`, and must be equal to it. Received: "
                    f"{alias}={value!r}, {name}={fields[name]!r}"
                )
        return super().from_dict(fields, **overrides)

    def __post_init__(self) -> None:
        check_label_weights(self)
        for alias, name in _ALIASES.items():
            if alias in self.extra:
                raise ValueError(
                    f"`extra` must not have `{alias}`, another name for `{name}`. Received: "
                    f"{alias}={self.extra[alias]!r} in extra"
                )
        for name in ("pad_token_id", "decoder_start_token_id"):
            if getattr(self, name) >= self.vocab_size:
                raise ValueError(
                    f"`{name}` must be below `vocab_size`. Received: {name}={getattr(self, name)}, "
                    f"vocab_size={self.vocab_size}"
                )
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ValueError(
                    f"`d_model` must be a multiple of `{name}`. Received: d_model={self.d_model}, "
                    f"{name}={getattr(self, name)}"
                )
        for part in _FORM if self.tie_encoder_decoder else ():
            sizes = getattr(self, f"encoder_{part}"), getattr(self, f"decoder_{part}")
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"`encoder_{part}` and `decoder_{part}` must be equal, since "
                    "tie_encoder_decoder=True gives both stacks the same weights. Received: "
                    f"encoder_{part}={sizes[0]}, decoder_{part}={sizes[1]}"
                )
        if self.activation_dropout and (self.tie_encoder_decoder or not self.normalize_before):
            raise ValueError(
                "`activation_dropout` must be 0 with tie_encoder_decoder=True or "
                "normalize_before=False: only Pegasus' own decoder has it. Received: "
                f"activation_dropout={self.activation_dropout}"
            )

    @property
    def hidden_size(self) -> int:
        """`d_model`, under the name that layers of all families read; so are those that follow."""
        return self.d_model

    @property
    def num_hidden_layers(self) -> int:
        """`encoder_layers`."""
        return self.encoder_layers

    @property
    def num_attention_heads(self) -> int:
        """`encoder_attention_heads`."""
        return self.encoder_attention_heads

    @property
    def intermediate_size(self) -> int:
        """`encoder_ffn_dim`."""
        return self.encoder_ffn_dim

    @property
    def hidden_act(self) -> Activation:
        """`activation_function`."""
        return self.activation_function

    @property
    def hidden_dropout_prob(self) -> float:
        """`dropout`."""
        return self.dropout

    @property
    def attention_probs_dropout_prob(self) -> float:
        """`attention_dropout`."""
        return self.attention_dropout

    @property
    def initializer_range(self) -> float:
        """`init_std`."""
        return self.init_std
