"""`CausalAttention`: attention of each token to itself and those before it."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.kernels.chunked import block_sparse_attention
from bigbird_tf.attention.kernels.reference import causal_bias, full_attention
from bigbird_tf.attention.kernels.rolling_cache import attend_to_cache, cache_place, roll
from bigbird_tf.attention.layers.block_sparse_attention import BlockSparseAttention, pad_length
from bigbird_tf.attention.pattern.pattern_at_length import slots_at
from bigbird_tf.nn.backend import overwrite_at, write_at
from bigbird_tf.types import Tensor

__all__ = ["CausalAttention"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class CausalAttention(BlockSparseAttention):
    """Multi-head attention of decoders: no token sees what comes after it.

    It is full attention, or block-sparse attention as `BlockSparseAttention` has it with
    `use_causal_mask=True`. `call_with_cache` decodes token by token without computing keys and
    values again.

    Args:
        num_heads: Number of heads, N.
        key_dim: Size of each head, H.
        attention_type: `"original_full"`; `"block_sparse"`, linear in the length; or
            `"simulated_sparse"`, full attention under the pattern's mask, slow, for checks.
        **kwargs: All others of `BlockSparseAttention`.

    Call arguments:
        As `BlockSparseAttention`'s.

    Example:

    >>> layer = CausalAttention(num_heads=2, key_dim=8, attention_type="original_full")
    >>> layer(keras.ops.ones((1, 7, 16))).shape
    TensorShape([1, 7, 16])
    """

    is_causal = True

    def __init__(
        self, num_heads: int, key_dim: int, attention_type: str = "original_full", **kwargs: Any
    ):
        super().__init__(
            num_heads=num_heads, key_dim=key_dim, attention_type=attention_type, **kwargs
        )

    def call_with_cache(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        index: Any = None,
    ) -> tuple[Tensor, Any]:
        """Attends, and returns the keys and values, so that later tokens need not compute them.

        Full attention reads a mask of all tokens, and has padding before prompts. Sparse attention
        has it behind them: blocks are counted from each row's first token.

        Letters: L is the room in the cache, in tokens. Sparse attention has only as much as can
        still be read, whatever the length: see `rolling_cache`.

        Args:
            inputs: Tensor `(B, T, D)`: a prompt if there is no cache yet, else one more token
                (T = 1).
            attention_mask: Of prompts, tensor `(B, T)`, 0 for padding. With a cache, full attention
                reads `(B, L)`: 1 for tokens up to the new one, 0 for padding and room that is not
                used yet; sparse attention reads none.
            cache: `(keys, values)`, `(B, N, L, H)` each; `None` for a prompt.
            index: Of full attention int32 scalar, the new token's place in the cache; of sparse
                attention int32 `(B,)`, its position in each row.

        Returns:
            `(output, (keys, values))`: `(B, T, D)`, and `(B, N, T, H)` each of full attention
            without a cache, else `(B, N, L, H)`.
        """
        if self.attention_type != "original_full":
            if cache is None:
                return self._read_prompt(inputs, attention_mask)
            return self._read_token(inputs, cache, index)
        query, key, value = self._project(inputs, inputs, inputs)
        bias = self._full_bias(ops.cast(attention_mask, "float32"))
        if cache is None:
            bias = bias + causal_bias(ops.shape(inputs)[1])
        else:
            key, value = (
                write_at(old, new, index) for new, old in zip((key, value), cache, strict=True)
            )
        context, _ = full_attention(query, key, value, bias, scale=self.key_dim**-0.5)
        return self._project_back(self._merge_heads(context)), (key, value)

    def _read_prompt(self, inputs: Tensor, attention_mask: Tensor) -> tuple[Tensor, Any]:
        length, spec = ops.shape(inputs)[1], self.causal_spec
        padded = pad_length(inputs, -length % spec.block_size)
        query, key, value = self._project(padded, padded, padded)
        padded_length = ops.shape(padded)[1]
        context = block_sparse_attention(
            *(query, key, value),
            # Padding comes behind what reads.
            ops.zeros((ops.shape(inputs)[0], padded_length), "float32"),
            slots_at(spec, padded_length),
            spec.block_size,
            scale=self.key_dim**-0.5,
        )
        lengths = ops.sum(ops.cast(attention_mask, "int32"), axis=1)
        cache = roll(key, lengths, spec), roll(value, lengths, spec)
        return self._project_back(self._merge_heads(context))[:, :length], cache

    def _read_token(self, inputs: Tensor, cache: Any, position: Tensor) -> tuple[Tensor, Any]:
        query, *new = self._project(inputs, inputs, inputs)
        place = cache_place(position, self.causal_spec)
        key, value = (overwrite_at(old, x, place) for old, x in zip(cache, new, strict=True))
        context = attend_to_cache(
            query, key, value, position, self.causal_spec, scale=self.key_dim**-0.5
        )
        return self._project_back(self._merge_heads(context)), (key, value)
