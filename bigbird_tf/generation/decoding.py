"""Decoding: which token comes next. Pure functions around a step that a model provides.

Shapes use B for prompts, K for beams of a prompt, R for rows (B, or B * K), V for the vocabulary,
M for `max_new_tokens`. A step is a function `(tokens, t, cache) -> (logits, cache)`: it feeds the
new token number t of each row, int32 `(R,)`, and returns the logits of the next one, float32
`(R, V)`. A cache is any structure of tensors with the rows first. `process`, where there is one, is
a function `(scores, tokens, t) -> scores` that changes scores `(R, V)` of the new token number t,
where `tokens` `(R, M)` holds those before it; see `logits_processors`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from bigbird_tf.nn.backend import SEED_DTYPE
from bigbird_tf.nn.dropout import DrawnSeed
from bigbird_tf.types import Tensor

__all__ = ["beam_search", "filter_logits", "sample"]

# The score of what does not compete; finite, so that differences stay defined.
_OUT = -1e9


def sample(
    step: Callable,
    logits: Tensor,
    cache: Any,
    *,
    max_new_tokens: int,
    stop_token_ids: tuple[int, ...],
    pad_token_id: int,
    process: Callable | None = None,
    seed: Tensor | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Decodes the most likely token each time, or one drawn at random.

    Args:
        step: See the module.
        logits: float32 `(B, V)`, of the first new token.
        cache: What the first step gets.
        max_new_tokens: M.
        stop_token_ids: Tokens that end a row.
        pad_token_id: What rows have after their end.
        process: See the module; it gets logits.
        seed: An integer or int32 scalar tensor to draw by; `None` for the most likely token.
        temperature, top_k, top_p: As in `filter_logits`.

    Returns:
        int32 `(B, M)`: the new tokens, with the one that ended a row.
    """

    def choose(logits, tokens, t):
        if process is not None:
            logits = process(logits, tokens, t)
        if seed is None:
            return ops.cast(ops.argmax(logits, axis=-1), "int32")
        logits = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        drawn = DrawnSeed(ops.stack([ops.cast(number, SEED_DTYPE) for number in (seed, t)]))
        return keras.random.categorical(logits, 1, dtype="int32", seed=drawn)[:, 0]

    def write(tokens, chosen, t, is_done):
        chosen = ops.where(is_done, pad_token_id, chosen)
        is_done = ops.logical_or(is_done, _is_any_of(chosen, stop_token_ids))
        return _put(tokens, chosen, t), is_done

    def is_open(t, tokens, is_done, cache):
        return ops.logical_and(t < max_new_tokens, ops.logical_not(ops.all(is_done)))

    def advance(t, tokens, is_done, cache):
        logits, cache = step(_at(tokens, t - 1), t - 1, cache)
        tokens, is_done = write(tokens, choose(logits, tokens, t), t, is_done)
        return t + 1, tokens, is_done, cache

    tokens = ops.full((ops.shape(logits)[0], max_new_tokens), pad_token_id, "int32")
    is_done = ops.zeros_like(tokens[:, 0], "bool")
    tokens, is_done = write(tokens, choose(logits, tokens, 0), 0, is_done)
    state = (ops.convert_to_tensor(1, "int32"), tokens, is_done, cache)
    return ops.while_loop(is_open, advance, state)[1]


def filter_logits(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Takes unlikely tokens out before one is drawn: first by `top_k`, then by `top_p`.

    Args:
        logits: float32 `(R, V)`.
        temperature: What logits are divided by: below 1 the likely become likelier.
        top_k: How many of the most likely tokens stay; `None` for all.
        top_p: The fewest most likely tokens whose probabilities add up to this stay (Holtzman et
            al., 2020); `None` for all.

    Returns:
        float32 `(R, V)`; what is out has a logit of -1e9.
    """
    logits = logits / temperature
    vocab_size = logits.shape[-1]
    if top_k is not None and top_k < vocab_size:
        least = ops.top_k(logits, top_k)[0][:, -1:]
        logits = ops.where(logits < least, _OUT, logits)
    if top_p is not None and top_p < 1:
        ordered = ops.top_k(logits, vocab_size)[0]
        probabilities = ops.softmax(ordered)
        before = ops.cumsum(probabilities, axis=-1) - probabilities
        least = ops.min(ops.where(before < top_p, ordered, np.inf), axis=-1, keepdims=True)
        logits = ops.where(logits < least, _OUT, logits)
    return logits


class _Beams(NamedTuple):
    """What beam search keeps from step to step.

    Attributes:
        tokens, scores: The beams that go on: int32 `(B, K, M)`; sums of log probabilities
            `(B, K)`, the best first.
        parents: int32 `(B * K,)`, the row of the step before that each of them continues.
        ended_tokens, ended_scores, is_ended: The best that ended, the best first, and which of
            these places are taken; their scores have the length penalty in them.
        can_improve: Whether what goes on may still change what ended, bool `(B, 1)`.
        is_over: Whether nothing can go on, bool scalar.
        cache: The step's, for the rows of the step before.
    """

    tokens: Any
    scores: Any
    parents: Any
    ended_tokens: Any
    ended_scores: Any
    is_ended: Any
    can_improve: Any
    is_over: Any
    cache: Any


def beam_search(
    step: Callable,
    logits: Tensor,
    cache: Any,
    *,
    num_beams: int,
    max_new_tokens: int,
    stop_token_ids: tuple[int, ...],
    pad_token_id: int,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    length_rule: str = "transformers",
    num_return_sequences: int = 1,
    process: Callable | None = None,
) -> tuple[Tensor, Tensor]:
    """Decodes the continuations with the best scores, of those that `num_beams` beams find.

    The score is the sum of log probabilities, divided by what `length_rule` makes of the number of
    new tokens, n:

    - `"transformers"`: n to the power of `length_penalty`. Only an end among the best K candidates
      counts; what is open after M tokens ends there. `early_stopping` says when a prompt is done.
    - `"google"`: ((5 + n) / 6) to the power of `length_penalty`, as in Google's code for
      BigBird-Pegasus (Wu et al., 2016). All M steps run, and each end among the best 2 K candidates
      counts. Where fewer than K beams have ended, open ones take the places behind them, scored
      without regard to length.

    Args:
        step: See the module.
        logits: float32 `(B, V)`, of the first new token.
        cache: What the first step gets, with B rows.
        num_beams: K.
        max_new_tokens: M.
        stop_token_ids: Tokens that end a beam.
        pad_token_id: What follows the end.
        length_penalty: Above 0 favours long continuations, below 0 short ones.
        early_stopping: Of `"transformers"`. `False`: a prompt is done when its best open beam,
            judged at its present length, is behind all K that ended. `"never"`: the same, but
            judged at the length that suits it best, M if `length_penalty` is above 0. `True`: as
            soon as K have ended.
        length_rule: `"transformers"` or `"google"`.
        num_return_sequences: N, how many continuations of a prompt to give, at most K.
        process: See the module; it gets log probabilities, with K rows for each prompt.

    Returns:
        `(tokens, scores)`: int32 `(B * N, M)`, the new tokens of each prompt's best beams, the best
        first, with the one that ended a beam; and their scores, float32 `(B * N,)`.
    """
    batch, vocab_size = ops.shape(logits)[0], logits.shape[-1]
    is_google = length_rule == "google"
    looks_ahead = early_stopping == "never" and length_penalty > 0
    # Enough that K candidates remain even if all stop tokens of all beams are among the best.
    num_candidates = min(max(2, 1 + len(stop_token_ids)), vocab_size) * num_beams

    def expand(beams: _Beams, logits: Tensor, cache: Any, t: Tensor) -> _Beams:
        length_factor = _length_factor(t + 1, length_penalty, length_rule)
        log_probs = ops.log_softmax(logits)
        if process is not None:
            log_probs = process(log_probs, ops.reshape(beams.tokens, (-1, max_new_tokens)), t)
        log_probs = ops.reshape(log_probs, (-1, num_beams, vocab_size))
        totals = ops.reshape(log_probs + beams.scores[:, :, None], (-1, num_beams * vocab_size))
        scores, chosen = ops.top_k(totals, num_candidates)
        parents, token = chosen // vocab_size, chosen % vocab_size
        tokens = _put(_pick(beams.tokens, parents), token, t)
        is_end = _is_any_of(token, stop_token_ids)
        if not is_google:
            is_end = ops.logical_or(is_end, t + 1 == max_new_tokens)

        open_scores, best = ops.top_k(ops.where(is_end, _OUT, scores), num_beams)
        is_new_end = is_end & beams.can_improve
        if not is_google:
            # An end counts only among the best K: below them, beams that go on were better.
            is_new_end = is_new_end & (ops.arange(num_candidates) < num_beams)
        all_scores = ops.concatenate(
            [beams.ended_scores, ops.where(is_new_end, scores / length_factor, _OUT)], axis=1
        )
        all_tokens = ops.concatenate([beams.ended_tokens, tokens], axis=1)
        all_ended = ops.concatenate([beams.is_ended, is_new_end], axis=1)
        ended_scores, kept = ops.top_k(all_scores, num_beams)
        is_ended = _pick(all_ended, kept)

        can_improve, is_over = beams.can_improve, t + 1 == max_new_tokens
        if not is_google:
            worst_end = ops.min(ops.where(is_ended, ended_scores, _OUT), axis=1, keepdims=True)
            best_length = max_new_tokens if looks_ahead else t + 1
            best_open = open_scores[:, :1] / _length_factor(best_length, length_penalty)
            can_improve = can_improve & (best_open > worst_end)
            is_over = ops.all(is_end)
        if early_stopping is True:
            can_improve = can_improve & ~ops.all(is_ended, axis=1, keepdims=True)
        first_row = ops.arange(batch, dtype="int32")[:, None] * num_beams
        return _Beams(
            tokens=_pick(tokens, best),
            scores=open_scores,
            parents=ops.reshape(_pick(parents, best) + first_row, (-1,)),
            ended_tokens=_pick(all_tokens, kept),
            ended_scores=ended_scores,
            is_ended=is_ended,
            can_improve=can_improve,
            is_over=ops.convert_to_tensor(is_over, "bool"),
            cache=cache,
        )

    def is_open(t, beams):
        return ops.logical_and(ops.any(beams.can_improve), ops.logical_not(beams.is_over))

    def advance(t, beams):
        cache = keras.tree.map_structure(lambda x: ops.take(x, beams.parents, axis=0), beams.cache)
        last = ops.reshape(_at(beams.tokens, t - 1), (-1,))
        logits, cache = step(last, t - 1, cache)
        return t + 1, expand(beams, logits, cache, t)

    # All beams begin alike; but for the first they are out, or all would take the same way.
    is_first = ops.arange(num_beams) == 0
    zeros = ops.zeros((batch, num_beams), "float32")
    tokens = ops.full((batch, num_beams, max_new_tokens), pad_token_id, "int32")
    beams = _Beams(
        tokens=tokens,
        scores=zeros + ops.where(is_first, 0.0, _OUT),
        parents=ops.arange(batch * num_beams, dtype="int32"),
        ended_tokens=tokens,
        ended_scores=zeros + _OUT,
        is_ended=ops.cast(zeros, "bool"),
        can_improve=ops.ones((batch, 1), "bool"),
        is_over=ops.convert_to_tensor(False),
        cache=None,
    )
    logits, cache = keras.tree.map_structure(
        lambda x: ops.repeat(x, num_beams, axis=0), (logits, cache)
    )
    beams = expand(beams, logits, cache, 0)
    _, beams = ops.while_loop(is_open, advance, (ops.convert_to_tensor(1, "int32"), beams))
    tokens, scores = beams.ended_tokens, beams.ended_scores
    if is_google:
        tokens = ops.where(beams.is_ended[:, :, None], tokens, beams.tokens)
        scores = ops.where(beams.is_ended, scores, beams.scores)
    tokens, scores = tokens[:, :num_return_sequences], scores[:, :num_return_sequences]
    return ops.reshape(tokens, (-1, max_new_tokens)), ops.reshape(scores, (-1,))


def _length_factor(length: Any, length_penalty: float, length_rule: str = "transformers") -> Tensor:
    """Returns what a sum of log probabilities of so many tokens is divided by."""
    length = ops.cast(length, "float32")
    if length_rule == "google":
        length = (5 + length) / 6
    return length**length_penalty


def _is_any_of(tokens: Tensor, ids: tuple[int, ...]) -> Tensor:
    return ops.any(tokens[..., None] == np.array(ids, "int32"), axis=-1)


def _put(tokens: Tensor, chosen: Tensor, t: Tensor) -> Tensor:
    """Writes one token `(…)` at place t of each row of `(…, M)`."""
    place = ops.arange(tokens.shape[-1], dtype="int32")
    return ops.where(place == t, chosen[..., None], tokens)


def _at(tokens: Tensor, t: Tensor) -> Tensor:
    return ops.take(tokens, t, axis=-1)


def _pick(x: Tensor, indices: Tensor) -> Tensor:
    """Picks beams: `(B, K', …)` and indices `(B, K)` to `(B, K, …)`."""
    indices = ops.expand_dims(indices, list(range(2, len(x.shape))))
    return ops.take_along_axis(x, indices, axis=1)
