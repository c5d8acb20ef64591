"""Reads what `generate` continues, and writes what it returns."""

from typing import Any, NamedTuple

from keras import ops

from bigbird_tf.config import ModelConfig
from bigbird_tf.models.inputs import INPUT_NAMES, is_text, read_inputs
from bigbird_tf.nn.backend import check_when_run
from bigbird_tf.types import Tensor

__all__ = ["Prompts", "padded_behind", "prompt_pieces", "read_prompts", "to_dense", "to_text"]


class Prompts(NamedTuple):
    """Prompts with their padding on the left, so that all go on at the same place.

    Attributes:
        ids, mask, positions: int32 `(B, P)`; positions count the real tokens.
        is_scalar: Whether there was one string, not a batch.
    """

    ids: Any
    mask: Any
    positions: Any
    is_scalar: bool


def read_prompts(
    prompts: Any,
    config: ModelConfig,
    tokenizer: Any,
    max_new_tokens: int,
    names: tuple[str, ...] = INPUT_NAMES,
) -> Prompts:
    """Returns prompts as ids with padding on the left.

    Args:
        prompts, tokenizer, max_new_tokens: As of `TextGeneration.generate`.
        config: The model's config.
        names: What the model's inputs are called.

    Raises:
        TypeError: If the prompts are strings and there is no tokenizer.
        ValueError: If shapes or dtypes are wrong, or there is no room for the new tokens.
        tf.errors.InvalidArgumentError: If an id is outside of the vocabulary, or a prompt is empty.
    """
    is_scalar = False
    if is_text(prompts) and tokenizer is not None:
        prompts, is_scalar = _tokenize(prompts, tokenizer)
    elif is_text(prompts):
        raise TypeError(
            "Prompts that are strings need `tokenizer`, a `BigBirdTokenizer` or another "
            "`Tokenizer`. Received: tokenizer=None"
        )
    if hasattr(prompts, "row_splits"):
        prompts = to_dense(prompts, config.pad_token_id)
    if isinstance(prompts, dict):
        known = [name for name in names if name != "position_ids"]
        extra = sorted(set(prompts) - {*known})
        if extra:
            listed = f"{', '.join(map(repr, known[:-1]))} and {known[-1]!r}"
            raise ValueError(
                f"`prompts` may have {listed}; positions follow from the mask. Received besides: "
                f"{extra}"
            )
    inputs = read_inputs(prompts, config, names=names)
    inputs["input_ids"] = _check_token_types(inputs)
    ids, mask = inputs["input_ids"], ops.cast(inputs["attention_mask"], "int32")
    length = ops.shape(ids)[1]
    mask = _check_room(mask, length, max_new_tokens, config.max_position_embeddings)
    mask = _check_tokens(mask)
    # Padding first, the rest in order: all keys differ, so it does not matter how the sort is.
    order = ops.argsort(mask * length + ops.arange(length, dtype="int32"), axis=1)
    ids, mask = (ops.take_along_axis(x, order, axis=1) for x in (ids, mask))
    return Prompts(ids, mask, ops.maximum(ops.cumsum(mask, axis=1) - 1, 0), is_scalar)


def padded_behind(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the ids and mask of prompts, padded on the left, with their padding on the right."""
    length = ops.shape(ids)[1]
    padding = length - ops.sum(mask, axis=1, keepdims=True)
    place = (ops.arange(length, dtype="int32") + padding) % length
    return ops.take_along_axis(ids, place, axis=1), ops.take_along_axis(mask, place, axis=1)


def to_text(tokens: Tensor, tokenizer: Any, stop_token_ids: tuple[int, ...]) -> Any:
    """Returns new tokens `(B, M)` as strings `(B,)`, without what ended them."""
    import tensorflow as tf

    drop = tf.constant([*stop_token_ids, tokenizer.pad_token_id], tf.int32)
    is_text = tf.reduce_all(tokens[:, :, None] != drop, axis=-1)
    # A model may have more embeddings than its vocabulary has pieces.
    is_text &= tokens < tokenizer.vocab_size
    return tokenizer.detokenize(tf.ragged.boolean_mask(tokens, is_text))


def _tokenize(prompts: Any, tokenizer: Any) -> tuple[dict, bool]:
    """Returns prompts as padded ids and their mask, and whether there was one string alone."""
    import tensorflow as tf

    texts = tf.convert_to_tensor(prompts)
    if texts.dtype != tf.string or texts.shape.rank is None or texts.shape.rank > 1:
        raise ValueError(
            "With a tokenizer, `prompts` must be one string or strings of shape (batch,). "
            f"Received: dtype={texts.dtype.name}, shape={texts.shape}"
        )
    is_scalar = texts.shape.rank == 0
    pieces = prompt_pieces(texts[None] if is_scalar else texts, tokenizer)
    return to_dense(pieces, tokenizer.pad_token_id), is_scalar


def to_dense(ragged: Any, pad_token_id: int) -> dict:
    """Returns ragged ids as padded ones and their mask."""
    import tensorflow as tf

    ids = ragged.to_tensor(pad_token_id)
    mask = tf.sequence_mask(ragged.row_lengths(), tf.shape(ids)[1], tf.int32)
    return {"input_ids": ids, "attention_mask": mask}


def prompt_pieces(texts: Any, tokenizer: Any) -> Any:
    """Returns the ids of strings `(B,)` as prompts, int32, ragged `(B, None)`: `<s>` in front."""
    import tensorflow as tf

    pieces = tokenizer.tokenize(texts)
    first = tokenizer.cls_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    # Decoders of Pegasus read the same before any text.
    first = getattr(tokenizer, "decoder_start_token_id", first)
    begin = tf.fill([pieces.nrows(), 1], tf.constant(first, pieces.dtype))
    return tf.concat([begin, pieces], axis=1)


def _check_room(mask: Tensor, length: Any, max_new_tokens: int, longest: int) -> Tensor:
    message = (
        "A prompt and its new tokens must fit into `max_position_embeddings`. Received: a prompt "
        f"of {{length}} tokens, max_new_tokens={max_new_tokens}, max_position_embeddings="
        f"{longest}. Ask for fewer, or keep only the end of the prompt"
    )
    if not isinstance(length, int):
        most = longest - max_new_tokens
        is_well = (lambda: length <= most, message.format(length="too many"))
        return check_when_run(mask, is_well)
    if length + max_new_tokens > longest:
        raise ValueError(message.format(length=length))
    return mask


def _check_token_types(inputs: dict[str, Tensor]) -> Tensor:
    """Returns the ids after a check that none is of another type than the new tokens, 0."""
    types = inputs.get("token_type_ids")
    if types is None:
        return inputs["input_ids"]
    message = "`token_type_ids` of a prompt must be 0, the type of the tokens that are added"
    return check_when_run(inputs["input_ids"], (lambda: ops.all(ops.equal(types, 0)), message))


def _check_tokens(mask: Tensor) -> Tensor:
    message = "Each prompt must have one token at least: a row of `attention_mask` is all zeros."
    return check_when_run(mask, (lambda: ops.all(ops.sum(mask, axis=1) > 0), message))
