"""How a `tokenizer.json` lays out one text, or two, and a warning where we do it otherwise."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["cls_and_sep", "warn_of_layout"]

TEXTS = ("A", "B")


def _layouts(content: Mapping[str, Any]) -> tuple[list[str], list[str]] | None:
    """Returns the tokens around one text and around two, and "A" and "B" for these.

    `None` where there is no post-processor, so that nothing is said of it.
    """
    processor = content.get("post_processor")
    if not processor:
        return None
    for part in processor.get("processors", [processor]):
        if part["type"] in ("BertProcessing", "RobertaProcessing"):
            cls, sep = f"<{part['cls'][0]}>", f"<{part['sep'][0]}>"
            middle = [sep] if part["type"] == "BertProcessing" else [sep, sep]
            return [cls, "A", sep], [cls, "A", *middle, "B", sep]
        if part["type"] == "TemplateProcessing":
            single, pair = (
                [
                    f"<{entry['SpecialToken']['id']}>"
                    if "SpecialToken" in entry
                    else entry["Sequence"]["id"]
                    for entry in part[name]
                ]
                for name in ("single", "pair")
            )
            return single, pair
    return ["A"], ["A", "B"]


def cls_and_sep(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns the tokens that a `tokenizer.json` puts around a text, by name; those it has."""
    single, _ = _layouts(content) or ([], [])
    ends = {"cls_token": single[:1], "sep_token": single[-1:]}
    return {name: end[0][1:-1] for name, end in ends.items() if end and end[0] not in TEXTS}


def warn_of_layout(content: Mapping[str, Any], name_or_path: str | os.PathLike) -> None:
    """Warns where a `tokenizer.json` lays texts out in another way than BigBird's.

    Args:
        content: The file.
        name_or_path: What it is of.
    """
    layouts = _layouts(content)
    if layouts is None:
        return
    single, pair = layouts
    if len(cls_and_sep(content)) == 2 and single[1:-1] == ["A"]:
        cls, sep = single[0], single[-1]
        if pair == [cls, "A", sep, "B", sep]:
            return
    told = " and ".join(_written(layout) for layout in (single, pair))
    ours = "[cls] A [sep] and [cls] A [sep] B [sep]"
    warnings.warn(
        f"The tokenizer.json of {name_or_path} lays one text and two out as {told}; here it is "
        f"{ours}, whatever the vocabulary. Where its model was trained on the other layout, put "
        "the ids of `tokenize` together yourself.",
        stacklevel=2,
    )


def _written(layout: list[str]) -> str:
    return " ".join(part if part in TEXTS else part[1:-1] for part in layout) or "nothing"
