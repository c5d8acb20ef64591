"""`ProjectedAttention`: projections and heads, which all attention layers share."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.kernels.attention_weights import MASKED
from bigbird_tf.attention.kernels.reference import full_attention
from bigbird_tf.config_checks import check_integer, check_rate
from bigbird_tf.nn.dense import Dense, as_matrix
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.shared_layers import replace_layer
from bigbird_tf.types import Shape, Tensor

__all__ = ["ProjectedAttention"]


class ProjectedAttention(keras.layers.Layer):
    """Projections and heads of multi-head attention, and full attention of queries to keys.

    Args:
        num_heads: Number of heads, N.
        key_dim: Size of each head, H.
        dropout: Dropout rate of attention weights.
        use_bias: Whether query, key and value projections have biases.
        use_output_bias: Whether the output projection has one; `None` for `use_bias`.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        **kwargs: Of `keras.layers.Layer`.
    """

    _shares_projections = False

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        use_output_bias: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = check_integer("num_heads", num_heads, 1)
        self.key_dim = check_integer("key_dim", key_dim, 1)
        self.dropout = check_rate("dropout", dropout)
        self.use_bias = use_bias
        self.use_output_bias = use_bias if use_output_bias is None else use_output_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

        width = num_heads * key_dim
        self.query_dense = self._projection(width, use_bias, "query")
        self.key_dense = self._projection(width, use_bias, "key")
        self.value_dense = self._projection(width, use_bias, "value")
        self.dropout_layer = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def _projection(self, width: int | None, use_bias: bool, name: str) -> Dense:
        return Dense(
            width,
            use_bias=use_bias,
            # A shared initializer would give equal kernels.
            kernel_initializer=self.kernel_initializer.clone(),
            bias_initializer=self.bias_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> None:
        """Makes all weights of the shapes of `query` (and of `value` and `key`, if they differ)."""
        if self._shares_projections:
            return
        value_shape = value_shape or query_shape
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape or value_shape)
        self.value_dense.build(value_shape)
        self.output_dense = self._projection(query_shape[-1], self.use_output_bias, "output")
        self.output_dense.build((*query_shape[:-1], self.num_heads * self.key_dim))

    def share_projections(self, other: "ProjectedAttention") -> None:
        """Takes another layer's projections in place of its own.

        Args:
            other: A layer of as many heads, built already; this one is not.
        """
        for name in ("query_dense", "key_dense", "value_dense"):
            replace_layer(self, name, getattr(other, name))
        self.output_dense = other.output_dense
        self._shares_projections = True

    def product_flops(self, length: int) -> int:
        """Returns the floating-point operations of queries, keys and values with each other.

        Args:
            length: The length of a sequence, whose queries read all keys.
        """
        return 4 * self.num_heads * self.key_dim * length**2

    def _project(self, query: Tensor, value: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns queries, keys and values, `(B, N, T, H)` each."""
        queries, keys, values = (
            self._split_heads(x)
            for x in (
                self.query_dense(query),
                self.key_dense(key),
                self.value_dense(value),
            )
        )
        return queries, keys, values

    def _split_heads(self, x: Tensor) -> Tensor:
        """`(B, T, N * H)` to `(B, N, T, H)`."""
        x = ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads, self.key_dim))
        return ops.transpose(x, (0, 2, 1, 3))

    def _merge_heads(self, context: Tensor) -> Tensor:
        """`(B, N, T, H)` to `(B, T, N * H)`."""
        context = ops.transpose(context, (0, 2, 1, 3))
        return ops.reshape(context, (-1, ops.shape(context)[1], self.num_heads * self.key_dim))

    def _project_back(self, context: Tensor) -> Tensor:
        """`(B, T, N * H)` to `(B, T, D)`."""
        # As a matrix: see `Dense`. Queries, keys and values are not: TensorFlow then orders the
        # backward pass of a training step so that it holds more.
        output = self.output_dense(as_matrix(context))
        return ops.reshape(output, (-1, ops.shape(context)[1], output.shape[-1]))

    def _full(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor,
        mask: Tensor,
        training: bool,
        dropout_seed: Tensor | None,
        bias: Tensor | None = None,
        query_bias: Callable | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        projected, of_scores = self._project(query, value, key), self._full_bias(mask)
        if bias is not None:
            of_scores = of_scores + bias
        if query_bias is not None:
            of_scores = of_scores + query_bias(projected[0])
        context, weights = full_attention(
            *projected,
            of_scores,
            scale=self.key_dim**-0.5,
            dropout=lambda x: self.dropout_layer(x, training=training, seed=dropout_seed),
        )
        return self._project_back(self._merge_heads(context)), weights

    def _full_bias(self, mask: Tensor) -> Tensor:
        """Returns what full attention adds to scores, to broadcast to `(B, N, T, T)`."""
        return (1.0 - mask[:, None, None, :]) * MASKED

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "use_output_bias": self.use_output_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
