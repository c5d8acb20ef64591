"""`EtcEncoder`: the stack of encoder blocks, with global tokens beside the sequence."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.layers.block_sparse_attention import pad_length
from bigbird_tf.attention.pattern.slots import NOT_READ
from bigbird_tf.layers.encoder import Encoder
from bigbird_tf.types import Tensor

__all__ = ["EtcEncoder"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class EtcEncoder(Encoder):
    """All encoder blocks, on global tokens and sequence joined (ETC: Ainslie et al., 2020).

    Global tokens attend to everything, and everything attends to them. They need no attention of
    their own: they are laid out before the sequence, as whole blocks that end in padding, and these
    blocks are global in the pattern of the joined sequence (`BigBirdConfig.pattern_spec`). That is
    the construction exactly:

    - One softmax on each side. A row of the sequence lists in its slots the global tokens' blocks,
      its window and its random blocks; a global block reads all of the joined sequence.
    - Nothing is read twice. A slot of the window that comes upon a global block is not read (the
      block has a slot of its own), so no window reaches from the sequence into the global tokens;
      random blocks are drawn from those that are neither global nor in the row's window. (Where the
      joined pattern is that of the published models, one global block at each end and a window of
      3, the published draws hold, repeats and all.)
    - Blocks of the sequence begin where they would without global tokens, since these fill whole
      blocks. So G need be no multiple of the block, and global blocks of the sequence
      (`num_global_blocks`), which come next at its start or stand at its end, are what they are in
      any other pattern.
    - The places that fill the last block of global tokens are padding: masked as keys, and no
      query's result is kept.

    Sequences short enough for full attention go the same way, joined.

    Args:
        config: A `BigBirdConfig` with `num_global_tokens`.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        attention_mask: Tensor `(B, T)`, 0 for padding; `None` if there is none.
        training: Whether dropout acts.
        output_hidden_states: Whether to return what goes into each layer, too.
        output_attentions: Whether to return attention weights, too.
        global_inputs: Tensor `(B, G, hidden_size)`; G is at most `num_global_tokens`.
        global_mask: Tensor `(B, G)`, 0 for global tokens that are padding; `None` if none is.
        global_membership: int32 `(B, T)`: the number of the global token that each position belongs
            to, -1 for none. A global token with members reads these and all global tokens; one
            without members reads everything. `None` for all to read everything. Relative positions
            tell members from others; then all read everything but with `global_reads="members"`.

    Returns:
        `(last, hidden_states, attentions, global_last)`: as `Encoder` returns of the sequence, but
        `attentions` are `(B, N, G + T, G + T)`, global tokens first; and `(B, G, hidden_size)`.

    Raises:
        ValueError: If a call has no `global_inputs`.
    """

    def call(  # type: ignore[override]  # it returns the global tokens besides
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        global_inputs: Tensor | None = None,
        global_mask: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor], Tensor]:
        """Computes; see the class."""
        global_inputs = _required(global_inputs)
        if attention_mask is None:
            attention_mask = ops.ones(ops.shape(inputs)[:2], "bool")
        if global_mask is None:
            global_mask = ops.ones(ops.shape(global_inputs)[:2], "bool")
        room, count = self.config.global_length, ops.shape(global_inputs)[1]
        padding = room - count

        def join(of_global, of_sequence):
            of_global = ops.cast(of_global, of_sequence.dtype)
            return ops.concatenate([pad_length(of_global, padding), of_sequence], axis=1)

        bias, membership = None, None
        if global_membership is not None:
            # What belongs to a token only by padding does not.
            members = ops.where(ops.cast(attention_mask, "bool"), global_membership, -1)
            is_relative = self.config.position_embedding_type == "relative"
            if is_relative:
                # As numbers that may go through a function with a gradient.
                beside = ops.full((ops.shape(inputs)[0], room), -1.0, "float32")
                membership = ops.concatenate([beside, ops.cast(members, "float32")], axis=1)
            if self.config.global_reads == "members" or not is_relative:
                bias = membership_bias(members, room)
        last, hidden_states, attentions = super().call(
            join(global_inputs, inputs),
            join(global_mask, attention_mask),
            training=training,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            global_bias=bias,
            global_membership=membership,
        )
        if attentions and (not isinstance(padding, int) or padding):
            joined = room + ops.shape(inputs)[1]
            kept = [ops.arange(count, dtype="int32"), ops.arange(room, joined, dtype="int32")]
            kept = ops.concatenate(kept)
            attentions = [
                ops.take(ops.take(weights, kept, axis=2), kept, axis=3) for weights in attentions
            ]
        hidden_states = [state[:, room:] for state in hidden_states]
        # A slice of an unknown length has lost the number, where that is known.
        of_global = ops.reshape(last[:, :count], (-1, count, last.shape[2]))
        return last[:, room:], hidden_states, attentions, of_global

    def compute_output_spec(  # type: ignore[override]  # as of `call`
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        global_inputs: Tensor | None = None,
        global_mask: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> Any:
        """Returns shapes and dtypes of what a call returns."""
        global_inputs = _required(global_inputs)
        batch, length, _ = inputs.shape
        count = global_inputs.shape[1]
        joined = None if None in (length, count) else count + length
        of_joined = keras.KerasTensor((batch, joined, inputs.shape[2]), dtype=inputs.dtype)
        _, _, attentions = super().compute_output_spec(
            of_joined, output_attentions=output_attentions
        )
        last, hidden_states, _ = super().compute_output_spec(
            inputs, output_hidden_states=output_hidden_states
        )
        shape = (*global_inputs.shape[:2], self.config.hidden_size)
        of_global = keras.KerasTensor(shape, dtype=self.compute_dtype)
        return last, hidden_states, attentions, of_global


def membership_bias(members: Tensor, room: int) -> Tensor:
    """Returns what keeps global tokens to their own positions, to be added to their scores.

    Args:
        members: int32 `(B, T)`, to which global token each position belongs; -1 for none.
        room: Places of global tokens before the sequence.

    Returns:
        float32 `(B, room, room + T)`: `NOT_READ` at positions of the sequence that belong to
        another global token or none, in rows of global tokens that have members; else 0.
    """
    is_member = ops.equal(members[:, None], ops.arange(room, dtype="int32")[None, :, None])
    has_members = ops.any(is_member, axis=-1, keepdims=True)
    is_read = ops.logical_or(is_member, ops.logical_not(has_members))
    bias = ops.cast(ops.where(is_read, 0.0, NOT_READ), "float32")
    return ops.concatenate([ops.zeros((*ops.shape(bias)[:2], room), "float32"), bias], axis=2)


def _required(global_inputs: Tensor | None) -> Tensor:
    if global_inputs is None:
        raise ValueError(
            "`global_inputs` must be given: a tensor (batch, tokens, hidden_size). Received: None. "
            "Without tokens beside the sequence there is `Encoder`"
        )
    return global_inputs
