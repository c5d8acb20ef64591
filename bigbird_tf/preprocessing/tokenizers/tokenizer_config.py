"""The `tokenizer_config.json` of `transformers`: which pieces are special and take spaces."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bigbird_tf.whole_files import write_whole

__all__ = ["read_stripped_pieces", "stripped_pieces", "write_tokenizer_config"]


def stripped_pieces(tokens: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the pieces that take the spaces before and behind them: `lstrip` and `rstrip`.

    Args:
        tokens: Each piece's `content`, `lstrip` and `rstrip`, as `transformers` writes an
            `AddedToken`.
    """
    tokens = list(tokens)
    return {
        side: [token["content"] for token in tokens if token.get(side)]
        for side in ("lstrip", "rstrip")
    }


def read_stripped_pieces(path: Path, mask_token: str | None = None) -> dict[str, list[str]]:
    """Reads which pieces take spaces; see `stripped_pieces`.

    Args:
        path: The `tokenizer_config.json`.
        mask_token: A piece that takes the spaces before it, unless the file says otherwise.

    Raises:
        ValueError: If the file is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = list((content.get("added_tokens_decoder") or {}).values())
        # Before `transformers` 4.34 wrote that list, each token stood by its own name.
        listed += [value for value in content.values() if isinstance(value, dict)]
        tokens: dict[str, Any] = {}
        for token in listed:
            if "content" in token:
                tokens.setdefault(token["content"], token)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a tokenizer_config.json. Received: {error}") from error
    if mask_token is not None:
        tokens.setdefault(mask_token, {"content": mask_token, "lstrip": True})
    return stripped_pieces(tokens.values())


def write_tokenizer_config(
    path: Path,
    special: Mapping[str, str],
    pieces: Mapping[int, str],
    lstrip: Iterable[str],
    rstrip: Iterable[str],
    further: Iterable[str] = (),
    tokenizer_class: str = "BigBirdTokenizer",
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes a `tokenizer_config.json` for a tokenizer of `transformers`.

    Args:
        path: The file.
        special: The special pieces by the names of `transformers`, such as `"mask_token"`.
        pieces: Those, and others that take spaces, by id.
        lstrip, rstrip: Which of them take the spaces before and behind them.
        further: Special pieces that have no name.
        tokenizer_class: Its class.
        settings: What else the file says.
    """
    further = list(further)
    # By its name alone a token would take no space: `transformers` 5 has made one of it already.
    decoder = {
        str(index): {
            "content": piece,
            "lstrip": piece in lstrip,
            "normalized": False,
            "rstrip": piece in rstrip,
            "single_word": False,
            "special": piece in special.values() or piece in further,
        }
        for index, piece in sorted(pieces.items())
    }
    config = {
        "tokenizer_class": tokenizer_class,
        "added_tokens_decoder": decoder,
        **special,
        **(settings or {}),
    }
    if further:
        config["additional_special_tokens"] = further
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(path, text + "\n")
