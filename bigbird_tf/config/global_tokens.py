"""What configs say of global tokens beside the sequence (the ETC construction)."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

__all__ = [
    "CONSTRUCTIONS",
    "GLOBAL_READS",
    "Construction",
    "GlobalReads",
    "check_construction",
    "fields_of_construction",
]

Construction = Literal["itc", "etc"]
GlobalReads = Literal["all", "members"]
CONSTRUCTIONS = get_args(Construction)
GLOBAL_READS = get_args(GlobalReads)
# What means something else, or nothing, with another construction.
_FIELDS = ("num_global_blocks", "num_global_tokens", "global_reads")


def fields_of_construction(
    fields: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Returns fields without what they say of global tokens, if overrides change the construction.

    Args:
        fields: Fields of a config.
        overrides: What replaces some of them.
    """
    before = fields.get("construction", "itc")
    if overrides.get("construction", before) == before:
        return fields
    return {name: value for name, value in fields.items() if name not in _FIELDS}


def check_construction(config: Any) -> None:
    """Refuses what does not go together.

    Args:
        config: A `BigBirdConfig`.

    Raises:
        ValueError: If something does not. The message names it.
    """
    if config.construction == "itc":
        if config.num_global_tokens:
            raise ValueError(
                "`num_global_tokens` are tokens beside the sequence, which construction='etc' has; "
                "with 'itc', `num_global_blocks` of the sequence are global. Received: "
                f"construction='itc', num_global_tokens={config.num_global_tokens}"
            )
    elif config.is_decoder:
        raise ValueError(
            "construction='etc' is for encoders: its global tokens read all of the sequence, so "
            "that every position would see what comes after it. Received: is_decoder=True, "
            "construction='etc'. Pass construction='itc' for a decoder"
        )
    elif config.inference_random_blocks == "first_block" and config.num_random_blocks:
        raise ValueError(
            "inference_random_blocks='first_block' is what `transformers` does, which has no "
            "construction='etc'. Received both. Pass inference_random_blocks='seeded', or "
            "num_random_blocks=0"
        )
    if config.global_reads == "members" and not config.num_global_tokens:
        raise ValueError(
            "global_reads='members' is about tokens beside the sequence: pass construction='etc' "
            "and `num_global_tokens`. Received: num_global_tokens=0"
        )
