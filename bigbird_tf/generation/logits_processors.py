"""What decoding changes about logits before a token is chosen. Pure functions.

Shapes: R rows, T places for tokens, V vocabulary. A row's tokens so far are `tokens`, int32
`(R, T)`, where `is_token`, bool `(R, T)`, says so: padding before them and empty places after them
do not count. A row has one token at least. Scores are logits or log probabilities, float32
`(R, V)`. Names and meanings are those of `transformers`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from bigbird_tf.types import Tensor

__all__ = [
    "ban_repeated_ngrams",
    "ban_tokens",
    "force_tokens",
    "make_processor",
    "penalize_repetition",
]

# The score of what must not come. Finite, so that all tokens banned are as likely as each other;
# far below what beam search gives to beams that do not compete.
BANNED = -1e30


def penalize_repetition(scores: Tensor, tokens: Tensor, is_token: Tensor, penalty: float) -> Tensor:
    """Makes the tokens that a row has less likely (Keskar et al., 2019).

    Args:
        scores, tokens, is_token: See the module.
        penalty: What positive scores are divided by and negative ones multiplied by; below 1
            repetition becomes likelier.

    Returns:
        The new scores, float32 `(R, V)`.
    """
    return _change(scores, tokens, is_token, lambda x: ops.where(x < 0, x * penalty, x / penalty))


def ban_repeated_ngrams(
    scores: Tensor, tokens: Tensor, is_token: Tensor, length: Any, ngram_size: int
) -> Tensor:
    """Bans each token that would end an n-gram that its row has already (Paulus et al., 2017).

    Args:
        scores, tokens, is_token: See the module; tokens of a row stand side by side.
        length: The place of the next token, an integer or int32 scalar.
        ngram_size: n.

    Returns:
        The new scores, float32 `(R, V)`.
    """
    # Place i ends an n-gram like the one to come if what is before it is as the last n - 1 tokens.
    places = ops.arange(ops.shape(tokens)[1], dtype="int32")
    is_end = ops.logical_and(is_token, places >= ngram_size - 1)
    for distance in range(1, ngram_size):
        last = ops.maximum(length - distance, 0)
        is_same = ops.roll(tokens, distance, axis=1) == _column(tokens, last)
        is_same = ops.logical_and(is_same, ops.roll(is_token, distance, axis=1))
        is_same = ops.logical_and(is_same, _column(is_token, last))
        is_end = ops.logical_and(is_end, is_same)
    return _change(scores, tokens, is_end, lambda x: ops.full_like(x, BANNED))


def ban_tokens(scores: Tensor, token_ids: tuple[int, ...], is_on: Any = True) -> Tensor:
    """Bans tokens in all rows.

    Args:
        scores: float32 `(R, V)`.
        token_ids: What to ban.
        is_on: Whether to, a bool or bool scalar.

    Returns:
        The new scores, float32 `(R, V)`.
    """
    is_banned = np.isin(np.arange(scores.shape[-1]), token_ids)
    return ops.where(ops.logical_and(is_banned, is_on), BANNED, scores)


def force_tokens(scores: Tensor, token_ids: tuple[int, ...], is_on: Any = True) -> Tensor:
    """Makes tokens certain in all rows: their scores are 0, all others are banned.

    Args:
        scores: float32 `(R, V)`.
        token_ids: What to force; of several, any.
        is_on: Whether to, a bool or bool scalar.

    Returns:
        The new scores, float32 `(R, V)`.
    """
    is_forced = np.isin(np.arange(scores.shape[-1]), token_ids)
    forced = np.where(is_forced, 0.0, BANNED).astype("float32")
    return ops.where(is_on, forced, scores)


def make_processor(
    prompts: Any,
    is_prompt: Any,
    *,
    max_new_tokens: int,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    min_new_tokens: int = 0,
    stop_token_ids: tuple[int, ...] = (),
    forced_bos_token_id: tuple[int, ...] = (),
    forced_eos_token_id: tuple[int, ...] = (),
) -> Callable | None:
    """Puts together what `generate` asks for, in the order of `transformers`.

    Args:
        prompts: int32 `(R, P)`, what the new tokens follow, with padding on the left.
        is_prompt: `(R, P)`, 0 or false for padding.
        max_new_tokens: M.
        repetition_penalty: Of `penalize_repetition`; 1 for none.
        no_repeat_ngram_size: Of `ban_repeated_ngrams`; 0 for none.
        min_new_tokens: How many tokens come before one of `stop_token_ids` may; 0 for none.
        stop_token_ids: Tokens that end a row.
        forced_bos_token_id: What a row begins with; of several, any; empty for no such rule.
        forced_eos_token_id: What a row of M tokens ends with, likewise.

    Returns:
        A function `(scores, new_tokens, t) -> scores`, where `new_tokens` are int32 `(R, M)` and
        hold t tokens; or `None` if there is nothing to do.
    """
    keeps_going = min_new_tokens > 0 and len(stop_token_ids) > 0
    looks_back = repetition_penalty != 1 or no_repeat_ngram_size > 0
    if not (looks_back or keeps_going or forced_bos_token_id or forced_eos_token_id):
        return None

    def process(scores, new_tokens, t):
        if looks_back:
            tokens = ops.concatenate([prompts, new_tokens], axis=1)
            is_new = ops.arange(max_new_tokens, dtype="int32") < t
            is_new = ops.broadcast_to(is_new, ops.shape(new_tokens))
            is_token = ops.concatenate([ops.cast(is_prompt, "bool"), is_new], axis=1)
            if repetition_penalty != 1:
                scores = penalize_repetition(scores, tokens, is_token, repetition_penalty)
            if no_repeat_ngram_size > 0:
                length = ops.shape(prompts)[1] + t
                scores = ban_repeated_ngrams(scores, tokens, is_token, length, no_repeat_ngram_size)
        if keeps_going:
            scores = ban_tokens(scores, stop_token_ids, t < min_new_tokens)
        if forced_bos_token_id:
            scores = force_tokens(scores, forced_bos_token_id, ops.equal(t, 0))
        if forced_eos_token_id:
            scores = force_tokens(scores, forced_eos_token_id, ops.equal(t, max_new_tokens - 1))
        return scores

    return process


def _change(scores: Tensor, tokens: Tensor, is_chosen: Tensor, change: Callable) -> Tensor:
    """Changes the scores of those of a row's tokens that are chosen."""
    # What is not chosen stands for the row's first that is, or else writes what is there: so no
    # two writes to one place differ, and their order does not matter.
    first = ops.argmax(ops.cast(is_chosen, "int32"), axis=1)[:, None]
    tokens = ops.where(is_chosen, tokens, ops.take_along_axis(tokens, first, axis=1))
    before = ops.take_along_axis(scores, tokens, axis=1)
    after = ops.where(ops.any(is_chosen, axis=1, keepdims=True), change(before), before)
    rows = ops.broadcast_to(
        ops.arange(ops.shape(scores)[0], dtype="int32")[:, None], ops.shape(tokens)
    )
    indices = ops.reshape(ops.stack([rows, tokens], axis=-1), (-1, 2))
    return ops.scatter_update(scores, indices, ops.reshape(after, (-1,)))


def _column(x: Tensor, place: Tensor) -> Tensor:
    return ops.take(x, place, axis=1)[:, None]
