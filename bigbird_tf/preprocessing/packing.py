"""Ragged pieces into the dense inputs of a model: `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`."""

import tensorflow as tf
import tensorflow_text as tf_text

__all__ = [
    "align_with_pieces",
    "check_length_arguments",
    "keep_range",
    "pack_ended",
    "pack_segments",
    "pad_rows",
    "padded_length",
]

PADDINGS = ("longest", "max_length")


def check_length_arguments(
    max_length: int | None, padding: str, pad_to_multiple_of: int | None, num_special: int = 2
) -> None:
    """Raises a `ValueError` that names the first impossible one among the arguments of length.

    Args:
        max_length: The most pieces of an input, special ones included; `None` for no limit.
        padding: `"longest"` or `"max_length"`.
        pad_to_multiple_of: The step of padded lengths, or `None`.
        num_special: How many special pieces an input has at least.
    """
    if padding not in PADDINGS:
        raise ValueError(
            f"`padding` must be 'longest' or 'max_length'. Received: padding={padding!r}"
        )
    if padding == "max_length" and max_length is None:
        raise ValueError("`padding='max_length'` needs a `max_length`. Received: max_length=None")
    for name, value, least in (
        ("max_length", max_length, num_special),
        ("pad_to_multiple_of", pad_to_multiple_of, 1),
    ):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                f"`{name}` must be an integer, {least} or more, or None. Received: {name}={value!r}"
            )


def padded_length(
    lengths: tf.Tensor, max_length: int | None, padding: str, pad_to_multiple_of: int | None
) -> tf.Tensor | int:
    """Returns the length T that a batch is padded to.

    The result is a Python integer where it is known without looking at the batch, so that shapes
    stay static. A step of `pad_to_multiple_of` never leads beyond `max_length`.

    Args:
        lengths: Pieces of each row, of shape (B,).
        max_length: The most pieces of an input, or `None`.
        padding: `"longest"` or `"max_length"`.
        pad_to_multiple_of: The step of padded lengths, or `None`.
    """
    if padding == "max_length":
        return max_length
    # An empty batch has no longest row, and the reduction would give the smallest integer.
    longest = tf.maximum(tf.reduce_max(tf.cast(lengths, tf.int32)), 1)
    if pad_to_multiple_of is None:
        return longest
    rounded = -(-longest // pad_to_multiple_of) * pad_to_multiple_of
    if max_length is None:
        return rounded
    # Rows that were left longer than `max_length` stay whole.
    return tf.maximum(tf.minimum(rounded, max_length), longest)


def pack_segments(
    segments: list[tf.RaggedTensor],
    *,
    cls_token_id: int,
    sep_token_id: int,
    pad_token_id: int,
    max_length: int | None,
    padding: str,
    pad_to_multiple_of: int | None,
    truncation: bool = True,
) -> dict[str, tf.Tensor]:
    """Joins one or two segments with the special pieces, cuts and pads them.

    Args:
        segments: One or two ragged int32 tensors of ids, of shape (B, None).
        cls_token_id, sep_token_id, pad_token_id: The special ids.
        max_length: The most pieces of a row, special ones included; `None` for no limit.
        padding: `"longest"` or `"max_length"`.
        pad_to_multiple_of: The step of padded lengths, or `None`.
        truncation: Whether rows over `max_length` are cut, the longer segment first.

    Returns:
        A dict of int32 tensors of shape (B, T): `input_ids`, `attention_mask`, `token_type_ids`.
    """
    if truncation and max_length is not None:
        segments = trim_longest_first(segments, max_length - 1 - len(segments))
    ids, types = tf_text.combine_segments(segments, cls_token_id, sep_token_id)
    length = _length_of(ids, max_length, padding, pad_to_multiple_of, truncation)
    input_ids, attention_mask = tf_text.pad_model_inputs(ids, length, pad_value=pad_token_id)
    token_type_ids, _ = tf_text.pad_model_inputs(types, length)
    inputs = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": token_type_ids,
    }
    return _with_static_shapes(inputs, length)


def pack_ended(
    segments: list[tf.RaggedTensor],
    *,
    eos_token_id: int | None,
    empty_token_id: int | None = None,
    pad_token_id: int,
    max_length: int | None,
    padding: str,
    pad_to_multiple_of: int | None,
    truncation: bool = True,
) -> dict[str, tf.Tensor]:
    """Joins one or two segments with the piece that ends a text, cuts and pads them.

    Args:
        segments: As in `pack_segments`.
        eos_token_id: The piece behind them; `None` for none.
        empty_token_id: Without one, the piece that stands for a text without pieces, since a model
            reads one token at least; `None` for none.
        pad_token_id, max_length, padding, pad_to_multiple_of, truncation: As in `pack_segments`.

    Returns:
        A dict of int32 tensors of shape (B, T): `input_ids`, `attention_mask`.
    """
    if truncation and max_length is not None:
        segments = trim_longest_first(segments, max_length - int(eos_token_id is not None))
    ids = tf.concat(segments, axis=1)
    last = empty_token_id if eos_token_id is None else eos_token_id
    if last is not None:
        lengths = ids.row_lengths()
        is_open = (
            tf.ones_like(lengths) if last == eos_token_id else tf.cast(lengths == 0, lengths.dtype)
        )
        end = tf.fill([tf.reduce_sum(is_open)], tf.cast(last, ids.dtype))
        ids = tf.concat([ids, tf.RaggedTensor.from_row_lengths(end, is_open)], axis=1)
    length = _length_of(ids, max_length, padding, pad_to_multiple_of, truncation)
    input_ids, attention_mask = tf_text.pad_model_inputs(ids, length, pad_value=pad_token_id)
    return _with_static_shapes({"input_ids": input_ids, "attention_mask": attention_mask}, length)


def pad_rows(
    ids: tf.RaggedTensor,
    *,
    pad_token_id: int,
    max_length: int,
    padding: str,
    pad_to_multiple_of: int | None,
) -> dict[str, tf.Tensor]:
    """Pads rows that have their special pieces already; all are of one segment.

    Args:
        ids: Ragged int32 of shape (B, None), no row longer than `max_length`.
        pad_token_id: The id of padding.
        max_length: The most pieces of a row.
        padding: `"longest"` or `"max_length"`.
        pad_to_multiple_of: The step of padded lengths, or `None`.

    Returns:
        A dict of int32 tensors of shape (B, T): `input_ids`, `attention_mask`, `token_type_ids`.
    """
    length = padded_length(ids.row_lengths(), max_length, padding, pad_to_multiple_of)
    input_ids, attention_mask = tf_text.pad_model_inputs(ids, length, pad_value=pad_token_id)
    inputs = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": tf.zeros_like(input_ids),
    }
    return _with_static_shapes(inputs, length)


def _length_of(
    ids: tf.RaggedTensor,
    max_length: int | None,
    padding: str,
    pad_to_multiple_of: int | None,
    truncation: bool,
) -> tf.Tensor | int:
    """Returns the length that rows are padded to, which are longer if they are not cut."""
    if padding == "max_length" and not truncation:
        return tf.maximum(tf.reduce_max(tf.cast(ids.row_lengths(), tf.int32)), max_length)
    return padded_length(ids.row_lengths(), max_length, padding, pad_to_multiple_of)


def _with_static_shapes(
    inputs: dict[str, tf.Tensor], length: tf.Tensor | int
) -> dict[str, tf.Tensor]:
    shape = (None, length if isinstance(length, int) else None)
    return {key: tf.ensure_shape(tf.cast(x, tf.int32), shape) for key, x in inputs.items()}


def trim_longest_first(segments: list[tf.RaggedTensor], room: int) -> list[tf.RaggedTensor]:
    """Cuts one segment, or two of which the longer one loses pieces first, to a common room.

    When both are cut to the same length, an odd place stays with the one that was longer, or with
    the second of two equally long ones, as in `transformers`. (`tensorflow_text` trims too, but
    gives the odd place to the second always, and its loop fails in graphs of unknown batch size.)

    Args:
        segments: One or two ragged tensors of shape (B, None).
        room: How many pieces a row may have in all segments together.
    """
    if len(segments) == 1:
        return [segments[0][:, :room]]
    first, second = (segment.row_lengths() for segment in segments)
    longer_is_first = first > second
    kept_of_shorter = tf.minimum(tf.minimum(first, second), room // 2)
    kept_of_longer = tf.minimum(tf.maximum(first, second), room - kept_of_shorter)
    kept = (
        tf.where(longer_is_first, kept_of_longer, kept_of_shorter),
        tf.where(longer_is_first, kept_of_shorter, kept_of_longer),
    )
    return [keep_range(segment, 0, count) for segment, count in zip(segments, kept, strict=True)]


def keep_range(
    segment: tf.RaggedTensor, starts: tf.Tensor | int, counts: tf.Tensor
) -> tf.RaggedTensor:
    """Cuts each row of a ragged tensor (B, None) to a stretch of its own.

    Args:
        segment: Ragged of shape (B, None).
        starts: Where each stretch begins; integers of shape (B,), or one for all.
        counts: How long each is; integers of shape (B,).
    """
    lengths = segment.row_lengths()
    positions = tf.ragged.range(lengths).flat_values
    starts = tf.broadcast_to(tf.cast(starts, positions.dtype), tf.shape(lengths))
    ends = starts + tf.cast(counts, positions.dtype)
    kept = (positions >= tf.repeat(starts, lengths)) & (positions < tf.repeat(ends, lengths))
    return tf.ragged.boolean_mask(segment, segment.with_flat_values(kept))


def align_with_pieces(
    values: tf.RaggedTensor,
    max_length: int,
    length: tf.Tensor,
    static_length: int | None,
) -> tf.Tensor:
    """Lays values of the pieces of one segment out as `pack_segments` lays out the pieces.

    Args:
        values: A value for each piece; ragged of shape (B, None).
        max_length: The most pieces of a row, special ones included.
        length: T, the length that the pieces were padded to.
        static_length: T where it is known when tracing, else `None`.

    Returns:
        A tensor of shape (B, T), with 0 for special pieces and padding.
    """
    kept = values[:, : max_length - 2]
    nothing = tf.zeros([kept.nrows(), 1], kept.dtype)
    with_cls = tf.concat([tf.RaggedTensor.from_tensor(nothing), kept], axis=1)
    aligned, _ = tf_text.pad_model_inputs(with_cls, length)
    return tf.ensure_shape(aligned, (None, static_length))
