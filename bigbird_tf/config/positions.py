"""What configs say of positions: a table of them, or vectors of distances in attention."""

from typing import Any, Literal, get_args

__all__ = ["PositionEmbeddingType", "check_position_embedding_type", "check_positions"]

PositionEmbeddingType = Literal["absolute", "relative"]


def check_position_embedding_type(name: str, value: Any) -> str:
    """Returns the kind of positions; files that say none mean `"absolute"`.

    Raises:
        ValueError: If there is no such kind here, such as others of `transformers`.
    """
    if value is None:
        return "absolute"
    if value not in get_args(PositionEmbeddingType):
        raise ValueError(
            f"`{name}` must be 'absolute', a table of positions, or 'relative', vectors of "
            f"distances as ETC has them. Received: {name}={value!r}"
        )
    return value


def check_positions(config: Any) -> None:
    """Refuses what does not go together.

    Args:
        config: A `BigBirdConfig`.

    Raises:
        ValueError: If something does not. The message names it.
    """
    if config.position_embedding_type == "absolute":
        return
    if config.is_decoder:
        raise ValueError(
            "position_embedding_type='relative' is for encoders. Received: is_decoder=True, "
            "position_embedding_type='relative'. Pass position_embedding_type='absolute'"
        )
    # What patterns refuse is refused where the config is made.
    config.pattern_spec()
