"""`BlockSparseAttention`: BigBird's attention as a Keras layer."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import keras
from keras import ops

from bigbird_tf.attention.kernels.attention_weights import MASKED
from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.reference import causal_bias, full_attention, pattern_bias
from bigbird_tf.attention.kernels.relative_bias import RelativeScores, relative_bias
from bigbird_tf.attention.kernels.relative_pieces import Labels
from bigbird_tf.attention.layers.argument_checks import check_global_bias, check_global_membership
from bigbird_tf.attention.layers.self_attention import SelfAttention
from bigbird_tf.attention.pattern.block_pattern import BlockPattern
from bigbird_tf.attention.pattern.pattern_at_length import is_sparse, is_sparse_when_run, slots_at
from bigbird_tf.attention.pattern.pattern_report import count_read_blocks
from bigbird_tf.attention.pattern.pattern_spec import ATTENTION_TYPES, PatternSpec
from bigbird_tf.config_checks import check_choice
from bigbird_tf.types import Shape, Tensor

__all__ = ["BlockSparseAttention", "pad_length"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class BlockSparseAttention(SelfAttention):
    """Multi-head attention over global, sliding and random key blocks (BigBird, section 2).

    Time and memory grow linearly with the sequence length. It stands where a
    `keras.layers.MultiHeadAttention` with self attention was. The sequence is cut into blocks of
    `block_size` tokens: the first and the last are global, they attend to everything and everything
    attends to them; every other block attends to the global ones, to its neighbours, and to a few
    random ones, which are drawn once, by `seed`.

    A length that is not a multiple of `block_size` is padded inside. Lengths for which the pattern
    would cover nearly everything use full attention, see `full_attention_up_to`.

    Args:
        num_heads: Number of heads, N.
        key_dim: Size of each head, H.
        block_size: Tokens in a block, b.
        num_random_blocks: Random key blocks of each query block; 0 for none.
        num_window_blocks: Width of the sliding window in blocks, odd; or a pair, how many before
            and after a query's own block.
        num_global_blocks: Global blocks, half of them (rounded up) at the start of the sequence,
            the others at its end; or a pair, how many at the start and at the end.
        dropout: Dropout rate of attention weights. As in the originals it acts in full attention
            only.
        use_bias: Whether query, key and value projections have biases.
        use_output_bias: Whether the output projection has one; `None` for `use_bias`.
        attention_type: `"block_sparse"`; `"original_full"` for full attention at all lengths; or
            `"simulated_sparse"`, full attention under the pattern's mask, slow, for checks.
        random_plan: Whose rule draws the random blocks: `"google"` or `"transformers"`.
        inference_random_blocks: `"seeded"`: the same blocks in training and inference.
            `"first_block"`: outside of training all random blocks are block 0, as `transformers`
            has it.
        full_attention_up_to: Sequences up to this length (in tokens) use full attention; `None` for
            `(global blocks + window blocks + 2 * num_random_blocks) * block_size`. So do longer
            ones that have too few blocks to choose the random ones from.
        max_length: The longest sequence in tokens. It matters where the length is unknown when the
            layer is traced (longer ones are refused then), and to `random_plan="transformers"`.
        seed: Seed of the random blocks. BigBird's layers have their index.
        relative_pos_max_distance: 0, or D for relative positions: each key gets a vector added
            that depends on the head and on how far the key is from the query, up to D tokens on
            either side (Shaw et al., 2018). The window must reach as far.
        num_side_blocks: With relative positions, the blocks at the start that are tokens beside the
            sequence, which have no distance from it; they are among the global ones.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.

    Call arguments:
        query: Tensor `(B, T, D)`.
        value: Tensor `(B, T, D)`; `None` for `query`.
        key: Tensor `(B, T, D)`; `None` for `value`.
        attention_mask: Tensor `(B, T)`: 1 or true for tokens, 0 or false for padding; `None` if
            there is none. The result at padded positions is the output projection's bias in sparse
            attention. A mask that is zero everywhere gives a finite result.
        training: Whether dropout acts, and which random blocks `"first_block"` uses.
        return_attention_scores: Whether to return attention weights too, `(B, N, T, T)`. They are
            dense, so asking for them costs quadratic time and memory.
        use_causal_mask: Whether no token attends to later ones. Then the pattern is what lies
            before a query: the global blocks at the start (which themselves read no more than
            others), the window's blocks before and the query's own up to itself, and
            `num_random_blocks` drawn from the first `2 * num_random_blocks + 4` blocks behind the
            global ones. `random_plan`, `inference_random_blocks` and `full_attention_up_to` have no
            effect: what a token reads does not depend on what comes after it.
        query_mask, mask: The mask that Keras hands on from layers before (under the second name to
            calls with one tensor); used if `attention_mask` is `None`.
        dropout_seed: A seed for dropout that was drawn ahead; for rematerialisation.
        global_bias: float32 tensor `(B, K, T)`, added to the scores of the first K queries, all of
            them in global blocks at the start: what one of them is not to read is far below zero
            there. `None` for none.
        global_membership: With `num_side_blocks`, integers `(B, T)`: to which token beside the
            sequence each token of it belongs, -1 for none, which decides on their vectors. `None`
            for none of them.

    Returns:
        Tensor `(B, T, D)`, or it and the weights.

    Raises:
        ValueError: If an argument is impossible, if `value` or `key` is of another length than
            `query`, or if `attention_mask` is not of shape `(B, T)`.
        tf.errors.InvalidArgumentError: If the sequence is longer than `max_length`, where that is
            not known before the graph runs, or `attention_mask` has other values than 0 and 1. Not
            when compiled by XLA, which has no such checks.

    Example:

    >>> layer = BlockSparseAttention(num_heads=2, key_dim=8, block_size=16)
    >>> layer(keras.ops.ones((1, 1024, 16))).shape
    TensorShape([1, 1024, 16])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        block_size: int = 64,
        num_random_blocks: int = 3,
        num_window_blocks: int | tuple[int, int] = 3,
        num_global_blocks: int | tuple[int, int] = 2,
        dropout: float = 0.0,
        use_bias: bool = True,
        use_output_bias: bool | None = None,
        attention_type: str = "block_sparse",
        random_plan: str = "google",
        inference_random_blocks: str = "seeded",
        full_attention_up_to: int | None = None,
        max_length: int = 4096,
        seed: int = 0,
        relative_pos_max_distance: int = 0,
        num_side_blocks: int = 0,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ):
        super().__init__(
            num_heads=num_heads,
            key_dim=key_dim,
            dropout=dropout,
            use_bias=use_bias,
            use_output_bias=use_output_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            **kwargs,
        )
        self.spec = PatternSpec.from_arguments(
            num_heads=num_heads,
            block_size=block_size,
            num_random_blocks=num_random_blocks,
            num_window_blocks=num_window_blocks,
            num_global_blocks=num_global_blocks,
            random_plan=random_plan,
            inference_random_blocks=inference_random_blocks,
            full_attention_up_to=full_attention_up_to,
            max_length=max_length,
            seed=seed,
            relative_pos_max_distance=relative_pos_max_distance,
            num_side_blocks=num_side_blocks,
        )
        for name, value in self.spec.arguments.items():
            setattr(self, name, value)
        self.attention_type = check_choice("attention_type", attention_type, ATTENTION_TYPES)
        self.causal_spec = dataclasses.replace(self.spec, is_causal=True)
        self.labels: Labels | None = None
        if self.spec.relative_pos_max_distance:
            num_side = self.spec.num_side_blocks * self.spec.block_size
            self.labels = Labels(self.spec.relative_pos_max_distance, num_side)
        self.relative_embeddings: Any = None
        self._refuse_relative(self.is_causal)

    def build(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> None:
        """Makes all weights of the shapes of `query` (and of `value` and `key`, if they differ)."""
        super().build(query_shape, value_shape, key_shape)
        if self.labels is not None:
            self.relative_embeddings = self.add_weight(
                shape=(self.labels.num_labels, self.num_heads, self.key_dim),
                initializer=self.kernel_initializer.clone(),
                name="relative_embeddings",
            )

    def _refuse_relative(self, is_causal: bool) -> None:
        if is_causal and self.labels is not None:
            raise ValueError(
                "Relative positions are for attention to both sides. Received: causal attention, "
                f"relative_pos_max_distance={self.relative_pos_max_distance}"
            )

    @property
    def longest_full_attention(self) -> int:
        """The length in tokens up to which full attention is used, in calls without more to say."""
        return self._spec(self.is_causal).longest_full_attention

    def pattern(
        self, length: int, training: bool = False, use_causal_mask: bool = False
    ) -> BlockPattern:
        """Returns the pattern of sparse attention at a length, in tokens.

        Raises:
            ValueError: If the sequence is too short for its random blocks.
        """
        spec = self._spec(use_causal_mask or self.is_causal)
        return BlockPattern.of(spec, spec.num_blocks(length), training)

    def product_flops(self, length: int) -> int:
        """Returns the floating-point operations of queries, keys and values with each other.

        Args:
            length: The length of a sequence, whose queries read what the pattern lists.
        """
        spec = self._spec(self.is_causal)
        if self.attention_type == "original_full" or not is_sparse(spec, length, training=True):
            return super().product_flops(length)
        scores = count_read_blocks(self.pattern(length, training=True)) * spec.block_size**2
        return 4 * self.num_heads * self.key_dim * scores

    def _spec(self, is_causal: bool) -> PatternSpec:
        return self.causal_spec if is_causal else self.spec

    def _attend(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor,
        mask: Tensor,
        training: bool,
        with_weights: bool,
        dropout_seed: Tensor | None,
        is_causal: bool,
        global_bias: Tensor | None,
        global_membership: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        self._refuse_relative(is_causal)
        length, spec = ops.shape(query)[1], self._spec(is_causal)
        if global_bias is not None:
            check_global_bias(global_bias, query, spec.num_global_start * spec.block_size)
        if global_membership is not None:
            check_global_membership(global_membership, query, self.num_side_blocks)

        def full():
            bias = None if global_bias is None else _for_queries(global_bias, length)
            if is_causal:
                bias = causal_bias(length)
            given = query, value, key, mask, training, dropout_seed, bias
            return self._full(*given, None if self.labels is None else of_positions)

        def of_positions(queries):
            return relative_bias(self._relative(queries, global_membership))

        def sparse():
            return self._sparse(
                *(spec, query, value, key, mask, training, with_weights, global_bias),
                global_membership,
            )

        if self.attention_type == "original_full":
            return full()
        if isinstance(length, int):
            return sparse() if is_sparse(spec, length, training) else full()
        has_pattern = is_sparse_when_run(spec, length, training)
        # An empty batch goes the same way as a short one: the sparse products have no loop of no
        # turns where shapes are unknown.
        is_full = ops.logical_or(ops.logical_not(has_pattern), ops.shape(query)[0] == 0)
        return self._choose(is_full, full, sparse, with_weights)

    @staticmethod
    def _choose(
        is_full: Tensor, full: Callable, sparse: Callable, with_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Decides between full and sparse attention when the graph runs."""

        def only_needed(function):
            def branch():
                output, weights = function()
                return (output, weights) if with_weights else (output,)

            return branch

        # Under XLA the length is known, so XLA prunes a switch to the branch that is taken. It
        # does not prune a `cond`, and fails on shapes in a `cond`'s gradient (TensorFlow 2.20).
        number = ops.cast(is_full, "int32")
        outputs = ops.switch(number, [only_needed(sparse), only_needed(full)])
        return outputs if with_weights else (outputs[0], None)

    def _sparse(
        self,
        spec: PatternSpec,
        query: Tensor,
        value: Tensor,
        key: Tensor,
        mask: Tensor,
        training: bool,
        with_weights: bool,
        global_bias: Tensor | None,
        global_membership: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        length = ops.shape(query)[1]
        block_size = spec.block_size
        padding = -length % block_size
        if not isinstance(padding, int) or padding:
            same = value is query, key is value
            query, mask = pad_length(query, padding), pad_length(mask, padding)
            value = query if same[0] else pad_length(value, padding)
            key = value if same[1] else pad_length(key, padding)
            if global_bias is not None:
                global_bias = pad_length(global_bias, padding, axis=2)
            if global_membership is not None:
                global_membership = pad_length(global_membership, padding)
        padded_length = ops.shape(query)[1]
        slots = slots_at(spec, padded_length, training)
        projected = self._project(query, value, key)
        key_bias = (1.0 - mask) * MASKED
        weights = relative = None
        if self.labels is not None:
            relative = self._relative(projected[0], global_membership)
        if with_weights or self.attention_type == "simulated_sparse":
            count_repeats = self.attention_type == "block_sparse"
            num_blocks = padded_length // block_size
            bias = pattern_bias(slots, num_blocks, block_size, count_repeats=count_repeats)
            bias = bias[None] + key_bias[:, None, None, :]
            if global_bias is not None:
                bias = bias + _for_queries(global_bias, padded_length)
            if relative is not None:
                bias = bias + relative_bias(relative)
            context, weights = full_attention(*projected, bias, scale=self.key_dim**-0.5)
            weights = weights[:, :, :length, :length]
        else:
            context = block_sparse_attention(
                *projected,
                key_bias,
                slots,
                block_size,
                scale=self.key_dim**-0.5,
                global_bias=global_bias,
                relative=relative,
            )
        context = self._merge_heads(context)
        # As in the originals: the context of padded queries is zero.
        context = context * ops.cast(mask[:, :, None], context.dtype)
        return self._project_back(context)[:, :length], weights

    def _relative(self, query: Tensor, membership: Tensor | None) -> RelativeScores:
        """Returns the scores of labels of queries `(B, N, T, H)`."""
        table = ops.transpose(ops.cast(self.relative_embeddings, query.dtype), (1, 2, 0))
        scores = ops.matmul(query * self.key_dim**-0.5, table)
        return RelativeScores(scores, cast(Labels, self.labels), membership)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {
            **super().get_config(),
            **self.spec.arguments,
            "attention_type": self.attention_type,
        }


def _for_queries(global_bias: Tensor, length: Any) -> Tensor:
    """Returns a bias of the first queries, `(B, K, T)`, as one of all: `(B, 1, T, T)`."""
    return pad_length(global_bias, length - ops.shape(global_bias)[1])[:, None]


def pad_length(x: Tensor, padding: Any, axis: int = 1) -> Tensor:
    """Adds `padding` zeros, an integer or a scalar tensor, at the end of an axis."""
    shape = list(ops.shape(x))
    shape[axis] = padding
    return ops.concatenate([x, ops.zeros(shape, x.dtype)], axis=axis)
