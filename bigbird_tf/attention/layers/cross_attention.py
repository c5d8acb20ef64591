"""`CrossAttention`: attention of a decoder's tokens to what an encoder made of a document."""

from typing import Any, NamedTuple

import keras
from keras import ops

from bigbird_tf.attention.kernels.reference import full_attention
from bigbird_tf.attention.layers.argument_checks import check_cross_shapes, checked_mask
from bigbird_tf.attention.layers.projected_attention import ProjectedAttention
from bigbird_tf.types import Shape, Tensor

__all__ = ["CrossAttention", "Memory"]


class Memory(NamedTuple):
    """What a layer of a decoder reads of documents, projected once for all steps.

    Attributes:
        keys, values: Tensors `(B, N, S, H)`.
    """

    keys: Any
    values: Any


@keras.saving.register_keras_serializable(package="bigbird_tf")
class CrossAttention(ProjectedAttention):
    """Multi-head attention of each token of one sequence to all tokens of another.

    Letters: S is the other sequence's length.

    Args:
        num_heads: Number of heads, N.
        key_dim: Size of each head, H.
        **kwargs: `dropout`, `use_bias`, `use_output_bias`, `kernel_initializer` and
            `bias_initializer`, as of `BlockSparseAttention`; and those of `keras.layers.Layer`.

    Call arguments:
        query: Tensor `(B, T, D)`.
        value: Tensor `(B, S, E)`, which keys and values are made of.
        attention_mask: Tensor `(B, S)`: 1 or true for tokens of `value`, 0 or false for padding;
            `None` if there is none. A mask that is zero everywhere gives a finite result.
        training: Whether dropout acts.
        return_attention_scores: Whether to return attention weights `(B, N, T, S)` too.
        dropout_seed: A seed for dropout that was drawn ahead; for rematerialisation.

    Returns:
        Tensor `(B, T, D)`, or it and the weights.

    Raises:
        ValueError: If `query` and `value` are not of rank 3 and of one batch size, or
            `attention_mask` is not of shape `(B, S)`.

    Example:

    >>> layer = CrossAttention(num_heads=2, key_dim=8)
    >>> layer(keras.ops.ones((1, 7, 16)), keras.ops.ones((1, 31, 16))).shape
    TensorShape([1, 7, 16])
    """

    # Without a `key_shape`: Keras wants those of the call's arguments alone.
    def build(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape | None = None
    ) -> None:
        """Makes all weights of the shapes of `query` (and of `value`, if it differs)."""
        super().build(query_shape, value_shape)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        dropout_seed: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Attends; see the class."""
        check_cross_shapes(query, value, attention_mask)
        if attention_mask is None:
            attention_mask = ops.ones(ops.shape(value)[:2], "bool")
        mask = ops.cast(checked_mask(attention_mask), "float32")
        output, weights = self._full(query, value, value, mask, bool(training), dropout_seed)
        return (output, weights) if return_attention_scores else output

    def project_memory(self, value: Tensor) -> Memory:
        """Returns keys and values of `(B, S, E)`, for `attend_to_memory`."""
        keys, values = self.key_dense(value), self.value_dense(value)
        return Memory(self._split_heads(keys), self._split_heads(values))

    def attend_to_memory(self, query: Tensor, memory: Memory, mask: Tensor) -> Tensor:
        """Attends as a call does, to keys and values that are there already.

        Several rows may read one document, as those of beam search do: then they are queries to one
        set of keys, which is neither repeated for them nor moved with them.

        Args:
            query: Tensor `(R, T, D)`, where R is a multiple of B: as many rows for each document,
                side by side.
            memory: What `project_memory` returned of B documents.
            mask: float32 `(B, S)`, 1 for tokens of the documents.

        Returns:
            Tensor `(R, T, D)`.
        """
        rows, length, width = ops.shape(query)
        documents = ops.shape(memory.keys)[0]
        # Not -1, which nothing tells where there are no rows.
        if isinstance(documents, int) and isinstance(rows, int):
            rows_of_document = rows // max(documents, 1)
        else:
            rows_of_document = rows // ops.maximum(documents, 1)
        together = ops.reshape(query, (documents, rows_of_document * length, width))
        context, _ = full_attention(
            self._split_heads(self.query_dense(together)),
            memory.keys,
            memory.values,
            self._full_bias(mask),
            scale=self.key_dim**-0.5,
        )
        output = self._project_back(self._merge_heads(context))
        return ops.reshape(output, (rows, length, output.shape[-1]))

    def compute_output_spec(
        self,
        query: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        dropout_seed: Tensor | None = None,
    ) -> Any:
        """Returns shapes and dtypes of what a call returns, without computing."""
        check_cross_shapes(query, value, attention_mask)
        output = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)
