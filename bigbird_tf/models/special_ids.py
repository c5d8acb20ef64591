"""Whether special ids are in the vocabulary, and a model and a tokenizer mean the same by them."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bigbird_tf.config import ModelConfig

__all__ = ["adopt_special_ids", "check_in_vocabulary", "read_stop_ids", "stop_ids_of"]


def check_in_vocabulary(config: ModelConfig, name: str, *ids: int) -> None:
    """Refuses special ids that no text can have.

    Args:
        config: The model's config.
        name: What has the ids, such as `"sep_token_id"`.
        *ids: The ids.

    Raises:
        ValueError: If one of them is not below `vocab_size`.
    """
    for index in ids:
        if not 0 <= index < config.vocab_size:
            raise ValueError(
                f"`{name}` must be an id of the vocabulary, below vocab_size={config.vocab_size}. "
                f"Received: {name}={index}. Pass the tokenizer's where the config is made or read, "
                f"as `from_pretrained(…, {name}=…)`"
            )


def adopt_special_ids(model: Any, tokenizer: Any) -> None:
    """Replaces a model's special ids by its tokenizer's where they differ, and warns.

    Call it wherever a model and a tokenizer meet. Published configs are wrong about them now and
    then, and what texts become decides. What a model does not read may differ, as do `bos_token_id`
    and `eos_token_id` of the published configs from the published vocabulary.

    Args:
        model: A BigBird model; its class names the fields of its config in `special_ids`. Its
            config is replaced where they differ.
        tokenizer: A `Tokenizer`.
    """
    fields = {name: getattr(tokenizer, name) for name in model.special_ids}
    fields = {
        name: theirs
        for name, theirs in fields.items()
        # A config may have several ids that end a text.
        if theirs not in np.atleast_1d(np.array(getattr(model.config, name), object))
    }
    if not fields:
        return
    said = ", ".join(
        f"config.{name}={getattr(model.config, name)}, tokenizer.{name}={theirs}"
        for name, theirs in fields.items()
    )
    warnings.warn(
        f"The model's config and the tokenizer have other special ids: {said}. The tokenizer's "
        "count, and the model's config has them from now on",
        stacklevel=3,
    )
    model.config = model.config.replace(**fields)


def read_stop_ids(
    config: ModelConfig, stop_token_ids: int | Sequence[int] | None
) -> tuple[int, ...]:
    """Returns the ids that end what a model writes, for the argument that `generate` takes.

    Args:
        config: The model's config.
        stop_token_ids: The ids; `None` for the config's `eos_token_id`.

    Raises:
        ValueError: If one of them is not below `vocab_size`.
    """
    stops: Any = config.eos_token_id if stop_token_ids is None else stop_token_ids
    stops = () if stops is None else tuple(np.atleast_1d(np.array(stops, "int32")).tolist())
    name = "eos_token_id" if stop_token_ids is None else "stop_token_ids"
    check_in_vocabulary(config, name, *stops)
    return stops


def stop_ids_of(stop_token_ids: tuple[int, ...], tokenizer: Any) -> tuple[int, ...]:
    """Returns what ends texts: the config's `eos_token_id`, unless it is an ordinary token.

    Then it is the tokenizer's, with a warning.

    Args:
        stop_token_ids: The config's.
        tokenizer: A `Tokenizer`.

    Raises:
        ValueError: If the config's is an ordinary token, and the tokenizer has none.
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    if not stop_token_ids or not special.isdisjoint(stop_token_ids):
        return stop_token_ids
    said = (
        "The config's `eos_token_id` is none of the tokenizer's special pieces, so that no "
        f"text would end by it. Received: config.eos_token_id={stop_token_ids}, "
        f"tokenizer.eos_token_id={tokenizer.eos_token_id}. "
    )
    if tokenizer.eos_token_id is None:
        raise ValueError(f"{said}Set it in the config, or pass `stop_token_ids`")
    warnings.warn(
        f"{said}The tokenizer's counts; set it in the config, or pass `stop_token_ids`",
        stacklevel=3,
    )
    return (tokenizer.eos_token_id,)
