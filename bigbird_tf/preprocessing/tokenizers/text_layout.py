"""`TextLayout`: where the special tokens of an input are."""

from typing import Any, NamedTuple

__all__ = ["LaidOut", "TextLayout"]


class TextLayout(NamedTuple):
    """`first text last`, or `first text between text last`: ids of special tokens around texts.

    Attributes:
        first: Before all; `None` for nothing.
        between: Between two texts; `None` for nothing.
        last: Behind all.
    """

    first: int | None
    between: int | None
    last: int


class LaidOut:
    """A tokenizer whose inputs are `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]`."""

    cls_token_id: Any
    sep_token_id: Any

    @property
    def text_layout(self) -> TextLayout:
        """Which special tokens an input has around one text or two."""
        return TextLayout(self.cls_token_id, self.sep_token_id, self.sep_token_id)
