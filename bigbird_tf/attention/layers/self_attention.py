"""`SelfAttention`: what attention layers share around their patterns."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.layers.argument_checks import (
    check_shapes,
    check_shapes_when_run,
    checked_mask,
)
from bigbird_tf.attention.layers.projected_attention import ProjectedAttention
from bigbird_tf.types import Tensor

__all__ = ["SelfAttention"]


class SelfAttention(ProjectedAttention):
    """The checks of multi-head attention of a sequence to itself.

    Subclasses say in `_attend` which tokens attend to which, and in `is_causal` whether none of
    them attends to later ones, also where no call asks for that.

    Args:
        **kwargs: As `ProjectedAttention`'s.
    """

    is_causal = False

    def call(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        query_mask: Tensor | None = None,
        mask: Tensor | None = None,
        dropout_seed: Tensor | None = None,
        global_bias: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Attends; see the class."""
        value = query if value is None else value
        key = value if key is None else key
        if attention_mask is None:
            attention_mask = mask if query_mask is None else query_mask
        is_causal = use_causal_mask or self.is_causal
        if global_bias is not None and is_causal:
            raise ValueError(
                "`global_bias` is of queries that read everything, which causal attention has not. "
                f"Received: global_bias.shape={tuple(global_bias.shape)}"
            )
        check_shapes(query, value, key, attention_mask)
        checked = check_shapes_when_run(query, value, key, attention_mask)
        query, value, key = (checked if x is query else x for x in (query, value, key))
        training = bool(training)
        if attention_mask is None:
            attention_mask = ops.ones(ops.shape(query)[:2], "bool")
        attention_mask = ops.cast(checked_mask(attention_mask), "float32")
        output, weights = self._attend(
            *(query, value, key, attention_mask, training, return_attention_scores, dropout_seed),
            is_causal,
            global_bias,
            global_membership,
        )
        return (output, weights) if return_attention_scores else output

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
        """Returns the output `(B, T, D)`, and attention weights `(B, N, T, T)` if asked for.

        Args:
            query, value, key: Tensors `(B, T, D)`.
            mask: float32 `(B, T)`, 1 for tokens.
            training: Whether dropout acts.
            with_weights: Whether the weights are asked for; else they may be `None`.
            dropout_seed: A seed that was drawn ahead, or `None`.
            is_causal: Whether no token attends to later ones.
            global_bias: float32 `(B, K, T)`, added to the scores of the first K queries, or `None`.
            global_membership: Integers `(B, T)`, to which token beside the sequence each token of
                it belongs, or `None`.
        """
        raise NotImplementedError

    def compute_output_spec(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        query_mask: Tensor | None = None,
        mask: Tensor | None = None,
        dropout_seed: Tensor | None = None,
        global_bias: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> Any:
        """Returns shapes and dtypes of what a call returns, without computing."""
        if attention_mask is None:
            attention_mask = mask if query_mask is None else query_mask
        value = query if value is None else value
        check_shapes(query, value, value if key is None else key, attention_mask)
        output = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        batch, length, _ = query.shape
        shape = (batch, self.num_heads, length, length)
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)
