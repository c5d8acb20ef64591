"""`decode`: new tokens of prompts, as the arguments of `generate` say."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bigbird_tf.generation.decoding import beam_search, sample
from bigbird_tf.generation.logits_processors import make_processor
from bigbird_tf.types import Tensor

__all__ = ["decode", "repeat_rows"]


def decode(
    step: Callable,
    logits: Tensor,
    cache: Any,
    *,
    prompts: Tensor,
    is_prompt: Tensor,
    seed: Tensor | None,
    pad_token_id: int,
    max_new_tokens: int,
    stop_token_ids: tuple[int, ...],
    num_beams: int = 1,
    num_return_sequences: int = 1,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    min_new_tokens: int = 0,
    forced_bos_token_id: tuple[int, ...] = (),
    forced_eos_token_id: tuple[int, ...] = (),
    **options: Any,
) -> Tensor:
    """Decodes greedily, by sampling or by beam search.

    Args:
        step, logits, cache: As of `sample` and `beam_search`, for B prompts. The step gets
            `num_beams` rows for each of them, or `num_return_sequences` without beams.
        prompts, is_prompt: int32 `(B, P)`: what the new tokens follow, and 0 for padding.
        seed: Of sampling; `None` for the most likely tokens.
        pad_token_id, max_new_tokens, stop_token_ids, num_beams, num_return_sequences: As of
            `beam_search`.
        repetition_penalty, no_repeat_ngram_size, min_new_tokens, forced_bos_token_id,
            forced_eos_token_id: As of `make_processor`.
        **options: Further arguments of `sample` or `beam_search`.

    Returns:
        int32 `(B * N, M)`, where N is `num_return_sequences`.
    """
    rows = num_beams if num_beams > 1 else num_return_sequences
    prompts, is_prompt = repeat_rows((prompts, is_prompt), rows)
    options.update(
        max_new_tokens=max_new_tokens,
        stop_token_ids=stop_token_ids,
        pad_token_id=pad_token_id,
        process=make_processor(
            prompts,
            is_prompt,
            max_new_tokens=max_new_tokens,
            repetition_penalty=repetition_penalty,
            no_repeat_ngram_size=no_repeat_ngram_size,
            min_new_tokens=min_new_tokens,
            stop_token_ids=stop_token_ids,
            forced_bos_token_id=forced_bos_token_id,
            forced_eos_token_id=forced_eos_token_id,
        ),
    )
    if num_beams > 1:
        options.update(num_beams=num_beams, num_return_sequences=num_return_sequences)
        return beam_search(step, logits, cache, **options)[0]
    logits, cache = repeat_rows((logits, cache), num_return_sequences)
    return sample(step, logits, cache, seed=seed, **options)


def repeat_rows(tensors: Any, times: int) -> Any:
    """Repeats the rows of tensors, in any structure, each beside itself."""
    if times == 1:
        return tensors
    return keras.tree.map_structure(lambda x: ops.repeat(x, times, axis=0), tensors)
