"""`CausalAttention`: attention of each token to itself and those before it."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.kernels.reference import full_attention
from bigbird_tf.attention.layers.self_attention import SelfAttention
from bigbird_tf.attention.pattern.slots import NOT_READ
from bigbird_tf.nn.backend import write_at
from bigbird_tf.types import Tensor

__all__ = ["CausalAttention"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class CausalAttention(SelfAttention):
    """Multi-head attention of decoders: no token sees what comes after it.

    It is full attention; a block-sparse pattern for it does not exist yet. `call_with_cache`
    decodes token by token without computing keys and values again.

    Args:
        num_heads: Number of heads, N.
        key_dim: Size of each head, H.
        attention_type: `"original_full"`.
        **kwargs: `dropout`, `use_bias`, `use_output_bias`, `kernel_initializer` and
            `bias_initializer`, as of `BlockSparseAttention`; and those of `keras.layers.Layer`.

    Call arguments:
        As `BlockSparseAttention`'s.

    Raises:
        ValueError: If `attention_type` is not `"original_full"`.

    Example:

    >>> layer = CausalAttention(num_heads=2, key_dim=8, attention_type="original_full")
    >>> layer(keras.ops.ones((1, 7, 16))).shape
    TensorShape([1, 7, 16])
    """

    is_causal = True

    def __init__(
        self, num_heads: int, key_dim: int, attention_type: str = "original_full", **kwargs: Any
    ):
        super().__init__(num_heads=num_heads, key_dim=key_dim, **kwargs)
        self.attention_type = attention_type
        if attention_type != "original_full":
            raise ValueError(
                "Causal attention (`is_decoder=True` in a config) is full attention so far: pass "
                f"attention_type='original_full'. Received: attention_type={attention_type!r}"
            )

    def _attend(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor,
        mask: Tensor,
        training: bool,
        with_weights: bool,
        dropout_seed: Tensor | None,
        global_bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        return self._full(query, value, key, mask, training, dropout_seed)

    def _full_bias(self, mask: Tensor) -> Tensor:
        position = ops.arange(ops.shape(mask)[1], dtype="int32")
        is_after = position[None, :] > position[:, None]
        return super()._full_bias(mask) + ops.where(is_after, NOT_READ, 0.0)

    def call_with_cache(
        self, inputs: Tensor, attention_mask: Tensor, cache: Any = None, index: Any = None
    ) -> tuple[Tensor, Any]:
        """Attends, and returns the keys and values, so that later tokens need not compute them.

        Letters: L is the room in the cache, in tokens.

        Args:
            inputs: Tensor `(B, T, D)`: a prompt if there is no cache yet, else one more token
                (T = 1).
            attention_mask: Tensor `(B, T)` without a cache, else `(B, L)`: 1 for tokens up to the
                new one, 0 for padding and room that is not used yet.
            cache: `(keys, values)`, `(B, N, L, H)` each; `None` for a prompt.
            index: int32 scalar, the new token's place in the cache.

        Returns:
            `(output, (keys, values))`: `(B, T, D)`, and `(B, N, T, H)` each without a cache, else
            `(B, N, L, H)`.
        """
        query, key, value = self._project(inputs, inputs, inputs)
        mask = ops.cast(attention_mask, "float32")
        if cache is None:
            bias = self._full_bias(mask)
        else:
            bias = super()._full_bias(mask)
            key, value = (
                write_at(old, new, index) for new, old in zip((key, value), cache, strict=True)
            )
        context, _ = full_attention(query, key, value, bias, scale=self.key_dim**-0.5)
        return self._project_back(self._merge_heads(context)), (key, value)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "attention_type": self.attention_type}
