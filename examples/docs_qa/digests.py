"""Digests: classes of many modules in outline, on pages of one size.

Most help pages have one large class, and who has read its heading can guess what defines a method
anywhere below. A digest has several classes of one length, in random order: which of them it is
only a method's place tells.
"""

import itertools
import random
from collections.abc import Iterable

from examples.docs_qa.definitions import Outline, find_outlines
from examples.docs_qa.pages import Page

__all__ = ["make_digests"]


def make_digests(
    pages: Iterable[Page],
    *,
    size: int = 13_000,
    longest: int = 2_600,
    seed: int = 0,
    rounds: int = 1,
    shorten: bool = False,
) -> list[Page]:
    """Puts the outlines of pages together, those of about the same length in random order.

    Args:
        pages: Help pages. A class that several of them document alike is there once.
        size: Bytes of a digest, about. As it is, most have between 3,000 and 4,000 pieces.
        longest: Bytes of an outline at most; of longer ones a random choice of definitions is left.
        seed: Seed of choice and order.
        rounds: How often everything is put together, in a new order each time.
        shorten: Whether to leave a choice of 1, 2, 4, 8 or 16 definitions of each outline, anew
            each round, functions among them. More classes, and of unlike lengths, are in as many
            pieces then.

    Returns:
        The digests, as pages of modules `"digest 1"`, `"digest 2"`, …
    """
    pages = sorted(pages, key=lambda page: page.module)
    outlines = list(dict.fromkeys(outline for page in pages for outline in find_outlines(page)))
    draw = random.Random(seed)
    texts = []
    for _ in range(rounds):
        draw.shuffle(outlines)
        if shorten:
            chosen = [_choose(outline, 2 ** draw.randrange(5), draw) for outline in outlines]
        else:
            classes = (outline for outline in outlines if outline.section == "CLASSES")
            # Nobody shall guess the longest.
            chosen = sorted((_cut(outline, longest, draw) for outline in classes), key=_length)
        for members in _divide(chosen, size):
            draw.shuffle(members)
            texts.append(_join(members))
    return [Page(f"digest {number}", text) for number, text in enumerate(texts, 1)]


def _length(outline: Outline) -> int:
    return len(outline.text.encode())


def _cut(outline: Outline, longest: int, draw: random.Random) -> Outline:
    count = len(outline.definitions) * longest // max(_length(outline), longest)
    return _choose(outline, count, draw)


def _choose(outline: Outline, count: int, draw: random.Random) -> Outline:
    total = len(outline.definitions)
    kept = sorted(draw.sample(range(total), min(max(count, 1), total)))
    return outline._replace(definitions=tuple(outline.definitions[i] for i in kept))


def _divide(outlines: Iterable[Outline], size: int) -> list[list[Outline]]:
    divided: list[list[Outline]] = []
    so_far = size
    for outline in outlines:
        if so_far + _length(outline) > size:
            divided.append([])
            so_far = 0
        divided[-1].append(outline)
        so_far += _length(outline)
    return divided


def _join(outlines: Iterable[Outline]) -> str:
    """Joins outlines as `pydoc` would: a heading wherever another section begins."""
    return "".join(
        f"{section}\n" + "".join(f"{outline.text}    \n" for outline in members) + "\n"
        for section, members in itertools.groupby(outlines, key=lambda outline: outline.section)
    )
