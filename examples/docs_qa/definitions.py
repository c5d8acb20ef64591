"""The functions and methods that a help page defines, as `pydoc` prints them."""

import bisect
import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from examples.docs_qa.pages import Page

__all__ = ["Definition", "Outline", "find_definitions", "find_outlines"]

# A definition as pydoc prints it: the name at the margin of its section, its signature, then the
# documentation four columns further right. Functions stand four columns in, methods behind the bar
# that pydoc draws beside a class.
DEFINITION = re.compile(r"^(?P<margin>    (?: \|  )?)(?:async )?(?P<name>[A-Za-z_]\w*)\(")
SECTION = re.compile(r"^[A-Z][A-Z ]+$")
# A class under another name stands as `Name = class RealName(...)`.
CLASS = re.compile(r"^    (?:\w+ = )?class (?P<name>\w+)")
METHODS_FOLLOW = re.compile(
    r"^     \|  (?:Methods|Class methods|Static methods) "
    r"(?:(?P<here>defined here)|inherited from .*):$"
)
OTHERS_FOLLOW = re.compile(
    r"^     \|  (?:Data descriptors|Readonly properties|Data and other attributes) "
    r"(?:defined here|inherited from .*):$"
)
SENTENCE_END = re.compile(r"[.!?](?=[\s\"'`)]|$)")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|[A-Za-z])\.$")


@dataclasses.dataclass(frozen=True)
class Definition:
    """A function or method that a page defines. All offsets are into the page's UTF-8 bytes.

    Attributes:
        name: Its name.
        name_start: Where the name stands.
        signature: The line from the name on, which tells how it is called.
        sentence: The first sentence of its documentation; empty where there is none.
        start, end: Where the sentence stands; equal where there is none.
        owner: The class that defines it; empty for functions and for inherited methods.
        owner_start: Where the owner's name stands in the owner's heading.
    """

    name: str
    name_start: int
    signature: str
    sentence: str
    start: int
    end: int
    owner: str
    owner_start: int


def find_definitions(page: Page) -> list[Definition]:
    """Finds every function and method that a page defines.

    Args:
        page: A help page as rendered by `pydoc`.

    Returns:
        The definitions in the order of the page, documented or not.
    """
    encoded = page.text.encode()
    lines, starts = _lines(page)
    found = []
    section = ""
    among_methods = is_own = False
    owner, owner_start = "", 0
    for number, line in enumerate(lines):
        stripped = line.rstrip()
        if SECTION.match(stripped):
            section = stripped
        elif match := CLASS.match(stripped):
            # The class's own documentation comes first, at the margin where methods stand later.
            among_methods = False
            owner, owner_start = match["name"], starts[number] + match.start("name")
        elif match := METHODS_FOLLOW.match(stripped):
            among_methods, is_own = True, bool(match["here"])
        elif OTHERS_FOLLOW.match(stripped):
            among_methods = False
        elif match := DEFINITION.match(stripped):
            margin = match["margin"]
            expected = "FUNCTIONS" if margin == "    " else "CLASSES"
            if section == expected and (among_methods or expected == "FUNCTIONS"):
                begin, end = _first_sentence(lines, number + 1, margin + "    ", starts)
                has_owner = expected == "CLASSES" and is_own
                found.append(
                    Definition(
                        name=match["name"],
                        name_start=starts[number] + match.start("name"),
                        signature=stripped[match.start("name") :],
                        sentence=encoded[begin:end].decode(),
                        start=begin,
                        end=end,
                        owner=owner if has_owner else "",
                        owner_start=owner_start if has_owner else 0,
                    )
                )
    return found


def _lines(page: Page) -> tuple[list[str], list[int]]:
    """Returns a page's lines, and the byte where each begins and the last ends."""
    lines = page.text.splitlines(keepends=True)
    return lines, list(itertools.accumulate((len(line.encode()) for line in lines), initial=0))


def _first_sentence(
    lines: Sequence[str], first: int, margin: str, starts: Sequence[int]
) -> tuple[int, int]:
    """Returns the byte span of the first sentence of the text under `margin` from line `first` on.

    The sentence ends where it says so, or with the paragraph if that is one line.
    """
    begin = end = starts[first]
    for number in range(first, len(lines)):
        line = lines[number].rstrip()
        if not line.startswith(margin) or line[len(margin) : len(margin) + 1] in ("", " "):
            break
        if number == first:
            begin = starts[first] + len(margin.encode())
        for match in SENTENCE_END.finditer(line, len(margin)):
            if not ABBREVIATION.search(line, 0, match.end()):
                return begin, starts[number] + len(line[: match.end()].encode())
        end = starts[number] + len(line.encode())
        if number > first:
            # Several lines and no end yet: go on, but a paragraph without one is no sentence.
            end = begin
    return begin, max(begin, end)


class Outline(NamedTuple):
    """A class or the functions of a page in outline.

    Attributes:
        section: Where a page has it: `"CLASSES"` or `"FUNCTIONS"`.
        heading: Lines that come first.
        definitions: Of each definition its signature and the first sentence of its documentation.
    """

    section: str
    heading: str
    definitions: tuple[str, ...]

    @property
    def text(self) -> str:
        """The outline as a page has it."""
        return self.heading + "".join(self.definitions)


def find_outlines(page: Page) -> list[Outline]:
    """Returns the classes and the functions of a page in outline.

    Methods that a class inherits are left out, and a class that defines none.
    """
    lines, starts = _lines(page)
    outlines: dict[tuple[str, str], list[str]] = {}
    for definition in find_definitions(page):
        signature = bisect.bisect_right(starts, definition.name_start) - 1
        if definition.owner:
            heading = lines[bisect.bisect_right(starts, definition.owner_start) - 1]
            key = "CLASSES", heading + "     |  Methods defined here:\n"
        elif lines[signature].startswith("     |"):
            continue
        else:
            key = "FUNCTIONS", ""
        text = lines[signature]
        if definition.sentence:
            first = bisect.bisect_right(starts, definition.start) - 1
            last = bisect.bisect_right(starts, definition.end - 1) - 1
            text += "".join(lines[first : last + 1])
        outlines.setdefault(key, []).append(text)
    return [Outline(*key, tuple(definitions)) for key, definitions in outlines.items()]
