"""Whether special ids are in the vocabulary, and a model and a tokenizer mean the same by them."""

from typing import Any

from bigbird_tf.config import BigBirdConfig

__all__ = ["check_in_vocabulary", "check_special_ids", "check_stop_ids"]


def check_in_vocabulary(config: BigBirdConfig, name: str, *ids: int) -> None:
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


def check_special_ids(model: Any, tokenizer: Any) -> None:
    """Refuses a tokenizer whose special pieces have other ids than those that a model reads.

    Call it wherever a model and a tokenizer meet. What a model does not read may differ, as do
    `bos_token_id` and `eos_token_id` of the published configs from the published vocabulary.

    Args:
        model: A BigBird model; its class names the fields of its config in `special_ids`.
        tokenizer: A `BigBirdTokenizer`.

    Raises:
        ValueError: If one of these ids is another one.
    """
    for name in model.special_ids:
        mine, theirs = getattr(model.config, name), getattr(tokenizer, name)
        if mine != theirs:
            raise ValueError(
                f"The model's config and the tokenizer must have the same `{name}`. Received: "
                f"config.{name}={mine}, tokenizer.{name}={theirs}. Pass {name}={theirs} where the "
                f"config is made; a model that is there already needs `model.config = "
                f"model.config.replace({name}={theirs})`, before it is trained"
            )


def check_stop_ids(stop_token_ids: tuple[int, ...], tokenizer: Any) -> None:
    """Refuses the config's `eos_token_id` as what ends texts if it is an ordinary piece.

    Args:
        stop_token_ids: The config's.
        tokenizer: A `BigBirdTokenizer`.

    Raises:
        ValueError: If it is.
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    if stop_token_ids and special.isdisjoint(stop_token_ids):
        raise ValueError(
            "The config's `eos_token_id` is none of the tokenizer's special pieces, so that no "
            f"text would end by it. Received: config.eos_token_id={stop_token_ids}, "
            f"tokenizer.eos_token_id={tokenizer.eos_token_id}. Set it in the config, or pass "
            "`stop_token_ids`"
        )
