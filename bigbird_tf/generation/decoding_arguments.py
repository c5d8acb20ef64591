"""Checks the arguments of `generate` that say how to decode."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

from bigbird_tf.config_checks import check_integer

__all__ = ["check_decoding", "decoding_options"]

LENGTH_RULES = ("transformers", "google")


def check_decoding(
    *,
    max_new_tokens: int = 64,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    length_rule: str = "transformers",
    num_return_sequences: int = 1,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int | None = None,
    min_new_tokens: int | None = None,
    forced_bos_token_id: int | None = None,
    forced_eos_token_id: int | Sequence[int] | None = None,
) -> None:
    """Raises a `ValueError` that names the first impossible argument; see `generate`."""
    check_integer("max_new_tokens", max_new_tokens, 1)
    check_integer("num_beams", num_beams, 1)
    check_integer("num_return_sequences", num_return_sequences, 1)
    check_integer("top_k", 1 if top_k is None else top_k, 1)
    check_integer("no_repeat_ngram_size", no_repeat_ngram_size or 0, 0)
    check_integer("min_new_tokens", min_new_tokens or 0, 0)
    check_integer("forced_bos_token_id", forced_bos_token_id or 0, 0)
    for token in _as_ids(forced_eos_token_id):
        check_integer("forced_eos_token_id", token, 0)
    _check_number("temperature", temperature)
    _check_number("length_penalty", length_penalty)
    _check_number("repetition_penalty", repetition_penalty)
    if not temperature > 0:
        raise ValueError(
            "`temperature` must be above 0; for the most likely tokens, pass do_sample=False. "
            f"Received: temperature={temperature!r}"
        )
    if not repetition_penalty > 0:
        raise ValueError(
            "`repetition_penalty` must be above 0: 1 changes nothing, and more makes the tokens of "
            f"prompt and continuation less likely. Received: {repetition_penalty=}"
        )
    _check_number("top_p", 1.0 if top_p is None else top_p)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]. Received: top_p={top_p!r}")
    if early_stopping != "never" and not isinstance(early_stopping, bool):
        raise ValueError(
            "`early_stopping` must be True, False or 'never'. Received: "
            f"early_stopping={early_stopping!r}"
        )
    if length_rule not in LENGTH_RULES:
        raise ValueError(
            f"`length_rule` must be one of {', '.join(map(repr, LENGTH_RULES))}. Received: "
            f"length_rule={length_rule!r}"
        )
    if length_rule == "google" and early_stopping is not False:
        raise ValueError(
            "Beams by length_rule='google' run all steps: pass early_stopping=False, or "
            f"length_rule='transformers'. Received: early_stopping={early_stopping!r}"
        )
    if (min_new_tokens or 0) > max_new_tokens:
        raise ValueError(
            "`min_new_tokens` must be at most `max_new_tokens`. Received: "
            f"{min_new_tokens=}, {max_new_tokens=}"
        )
    if do_sample and num_beams > 1:
        raise ValueError(
            "Beams are not sampled: pass do_sample=False, or num_beams=1. Received: "
            f"do_sample=True, {num_beams=}"
        )
    if not do_sample and (temperature != 1.0 or top_k is not None or top_p is not None):
        raise ValueError(
            "`temperature`, `top_k` and `top_p` are of sampling: pass do_sample=True. Received: "
            f"do_sample=False, {temperature=}, {top_k=}, {top_p=}"
        )
    if num_beams > 1 and num_return_sequences > num_beams:
        raise ValueError(
            "`num_return_sequences` must be at most `num_beams`, since no more are found. "
            f"Received: {num_return_sequences=}, {num_beams=}"
        )
    if num_beams == 1 and num_return_sequences > 1 and not do_sample:
        raise ValueError(
            "Greedy decoding has one continuation of a prompt: for more, pass do_sample=True or "
            f"num_beams={num_return_sequences}. Received: {num_return_sequences=}, num_beams=1, "
            "do_sample=False"
        )


def decoding_options(
    *, stop_token_ids: tuple[int, ...], do_sample: bool = False, **arguments: Any
) -> dict[str, Any]:
    """Checks arguments of `generate`, and returns those that `decode` takes.

    Args:
        stop_token_ids: Tokens that end a row.
        do_sample: Whether to draw tokens at random.
        **arguments: The others, as of `check_decoding`; all of them, but forced
            ids where there are none.

    Returns:
        A dictionary of Python's own numbers, since NumPy's would be tensors of a compiled loop.

    Raises:
        ValueError: If an argument is impossible.
    """
    check_decoding(do_sample=do_sample, **arguments)
    options = {
        "max_new_tokens": int(arguments["max_new_tokens"]),
        "stop_token_ids": stop_token_ids,
        "num_return_sequences": int(arguments["num_return_sequences"]),
        "repetition_penalty": float(arguments["repetition_penalty"]),
        "no_repeat_ngram_size": int(arguments["no_repeat_ngram_size"] or 0),
        "min_new_tokens": int(arguments["min_new_tokens"] or 0),
    }
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        ids = _as_ids(arguments.get(name))
        if ids:
            options[name] = tuple(int(token) for token in ids)
    if arguments["num_beams"] > 1:
        options.update(
            num_beams=int(arguments["num_beams"]),
            length_penalty=float(arguments["length_penalty"]),
            early_stopping=arguments["early_stopping"],
            length_rule=arguments["length_rule"],
        )
    elif do_sample:
        top_k = arguments["top_k"]
        options.update(
            temperature=float(arguments["temperature"]),
            top_k=None if top_k is None else int(top_k),
            top_p=arguments["top_p"],
        )
    return options


def _as_ids(value: Any) -> tuple:
    """Returns the id of a token, several, or none, as a tuple."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _check_number(name: str, value: Any) -> None:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"`{name}` must be a number. Received: {name}={value!r}")
