"""`BigBirdConfig`: all that decides a model's shape and attention, in one validated record."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from bigbird_tf.attention.pattern.pattern_spec import (
    ATTENTION_TYPES,
    CAUSAL_ATTENTION_TYPES,
    INFERENCE_RANDOM_BLOCKS,
    RANDOM_PLANS,
    AttentionType,
    CausalAttentionType,
    InferenceRandomBlocks,
    PatternSpec,
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
from bigbird_tf.config.global_tokens import (
    CONSTRUCTIONS,
    GLOBAL_READS,
    Construction,
    GlobalReads,
    check_construction,
    fields_of_construction,
)
from bigbird_tf.config.model_config import Checks, ModelConfig
from bigbird_tf.config.positions import (
    PositionEmbeddingType,
    check_position_embedding_type,
    check_positions,
)
from bigbird_tf.config_checks import (
    check_choice,
    check_extra,
    check_flag,
    check_global_blocks,
    check_number,
    check_obeyed,
    check_rate,
    check_window,
)
from bigbird_tf.config_record import FrozenDict, frozen_record

__all__ = ["BigBirdConfig"]


_CHECKS: Checks = {
    "vocab_size": positive,
    "hidden_size": positive,
    "num_hidden_layers": count,
    "num_attention_heads": positive,
    "intermediate_size": positive,
    "hidden_act": functools.partial(check_choice, choices=ACTIVATIONS),
    "hidden_dropout_prob": check_rate,
    "attention_probs_dropout_prob": check_rate,
    "max_position_embeddings": positive,
    "type_vocab_size": positive,
    "initializer_range": check_number,
    "layer_norm_eps": check_number,
    "pad_token_id": or_zero,
    "bos_token_id": or_none(count),
    "eos_token_id": or_none(check_token_ids),
    "sep_token_id": or_none(count),
    "attention_type": functools.partial(check_choice, choices=ATTENTION_TYPES),
    "use_bias": check_flag,
    "rescale_embeddings": check_flag,
    "tie_word_embeddings": check_flag,
    "block_size": positive,
    "num_random_blocks": count,
    "classifier_dropout": or_none(check_rate),
    "classifier_act": functools.partial(check_choice, choices=(None, *ACTIVATIONS)),
    "is_decoder": check_flag,
    "num_labels": positive,
    "id2label": as_given,
    "label2id": as_given,
    "problem_type": functools.partial(check_choice, choices=(None, *PROBLEM_TYPES)),
    "pos_weight": or_none(check_weights),
    "num_global_blocks": check_global_blocks,
    "num_window_blocks": check_window,
    "random_plan": functools.partial(check_choice, choices=RANDOM_PLANS),
    "inference_random_blocks": functools.partial(check_choice, choices=INFERENCE_RANDOM_BLOCKS),
    "full_attention_up_to": or_none(count),
    "construction": functools.partial(check_choice, choices=CONSTRUCTIONS),
    "num_global_tokens": count,
    "global_reads": functools.partial(check_choice, choices=GLOBAL_READS),
    "position_embedding_type": check_position_embedding_type,
    "relative_pos_max_distance": positive,
    "causal_attention_type": functools.partial(check_choice, choices=CAUSAL_ATTENTION_TYPES),
    "gradient_checkpointing": check_flag,
}
_CHECKS["extra"] = functools.partial(check_extra, known=("extra", "model_type", *_CHECKS))


@frozen_record
class BigBirdConfig(ModelConfig):
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
        is_decoder: Whether attention is causal. Then `causal_attention_type` says of which kind it
            is, whatever `attention_type` says.
        num_labels: Outputs of a classification head; by default as many as there are names.
        id2label: Names of the labels, by id.
        label2id: Ids of the labels, by name; one of the two is enough.
        problem_type: What a sequence classifier's labels are: `"single_label_classification"`,
            `"multi_label_classification"`, `"regression"`, or `None`: regression for one label,
            else single label.
        pos_weight: Of `"multi_label_classification"`: how much a label that is there counts, beside
            one that is not; one number for all labels, or one for each. `None` for the same.
        num_global_blocks: Global blocks; the first half (rounded up) at the start of the sequence,
            the rest at its end; or a pair, how many at the start and at the end. Global blocks
            attend to everything and are attended to by all. With `construction="etc"` 0 by default.
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
        construction: `"itc"`: blocks of the sequence are global. `"etc"`: there are
            `num_global_tokens` beside the sequence that attend to everything and that everything
            attends to; `num_random_blocks=0` is usual then.
        num_global_tokens: Tokens beside the sequence, G; must be given with `"etc"`.
        global_reads: What of the sequence a global token attends to: `"all"`, or `"members"`, those
            positions that an input, `global_membership`, says belong to it.
        position_embedding_type: `"absolute"`: a table of positions is added to embeddings.
            `"relative"`: there is none; in attention each layer and head adds a vector to a key by
            how far it is from the query, and between tokens beside the sequence and the sequence by
            whether `global_membership` says that they belong together (ETC's).
        relative_pos_max_distance: The distance up to which relative positions are told apart.
        causal_attention_type: Attention of decoders: `"original_full"`, as `transformers` has it;
            or `"block_sparse"` (linear in the length), see `PatternSpec.is_causal`.
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

    model_type: ClassVar[str] = "big_bird"
    _checks: ClassVar[Checks] = _CHECKS
    # Whether attention's output has a bias even where its projections have none.
    always_output_bias: ClassVar[bool] = True

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
    pos_weight: float | tuple[float, ...] | None = None
    num_global_blocks: int | tuple[int, int] = 2
    num_window_blocks: int | tuple[int, int] = 3
    random_plan: RandomPlan = "google"
    inference_random_blocks: InferenceRandomBlocks = "seeded"
    full_attention_up_to: int | None = None
    construction: Construction = "itc"
    num_global_tokens: int = 0
    global_reads: GlobalReads = "all"
    position_embedding_type: PositionEmbeddingType = "absolute"
    relative_pos_max_distance: int = 12
    causal_attention_type: CausalAttentionType = "original_full"
    gradient_checkpointing: bool = False
    extra: Mapping[str, Any] = dataclasses.field(default_factory=FrozenDict, hash=False)

    def __post_init__(self) -> None:
        check_label_weights(self)
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
        check_construction(self)
        check_positions(self)

    @classmethod
    def _settle(cls, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("construction") == "etc":
            if "num_global_tokens" not in given:
                raise ValueError(
                    "`num_global_tokens` must be given with construction='etc': how many tokens "
                    "there are beside the sequence. The paper has 230 to 430"
                )
            given = {"num_global_blocks": 0, **given}
        return super()._settle(given)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], **overrides: Any) -> Self:
        """Makes a config of the dictionary that `to_dict` returns or a `config.json` holds.

        Where an override says another construction, what the fields say of global blocks and tokens
        does not count: it is of the construction that they had.

        Args:
            fields: The dictionary. Names in it that are no fields go into `extra`.
            **overrides: Fields that replace those of the dictionary, before anything is checked.

        Raises:
            TypeError: If there is no field of an override's name.
            ValueError: If it is of another kind of model, or has impossible values.
        """
        return super().from_dict(fields_of_construction(fields, overrides), **overrides)

    @property
    def global_length(self) -> int:
        """Places before the sequence for global tokens: G, in whole blocks."""
        return -(-self.num_global_tokens // self.block_size) * self.block_size

    @property
    def longest_full_attention(self) -> int:
        """The length in tokens up to which full attention takes the place of the sparse one.

        Global tokens beside the sequence are not counted.
        """
        return super().longest_full_attention - self.global_length

    def pattern_spec(self, layer_index: int = 0) -> PatternSpec:
        """Returns what decides the attention pattern of a layer, whose index is the seed.

        With global tokens, it is that of the joined sequence; see `EtcEncoder`.
        """
        spec = super().pattern_spec(layer_index)
        fields: dict[str, Any] = {}
        side_blocks = self.global_length // self.block_size
        if side_blocks:
            up_to = spec.full_attention_up_to
            fields = {
                "num_global_start": spec.num_global_start + side_blocks,
                "full_attention_up_to": None if up_to is None else up_to + self.global_length,
                "max_length": spec.max_length + self.global_length,
            }
        if self.position_embedding_type == "relative":
            fields["relative_pos_max_distance"] = self.relative_pos_max_distance
            fields["num_side_blocks"] = side_blocks
        return dataclasses.replace(spec, **fields) if fields else spec

    @property
    def self_attention_type(self) -> str:
        """How a sequence attends to itself: what of the two attention types is in force."""
        return self.causal_attention_type if self.is_decoder else self.attention_type
