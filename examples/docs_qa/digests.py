"""Digests: classes and functions of many modules in outline, on pages of one size.

Most help pages have one large class, and who has read its heading can guess what defines a method
anywhere below. A digest has many classes: which one it is only its place tells.
"""

import itertools
import random
from collections.abc import Iterable, Sequence

from examples.docs_qa.definitions import Outline, find_outlines
from examples.docs_qa.pages import Page

__all__ = ["make_digests"]


def make_digests(
    pages: Iterable[Page],
    *,
    size: int = 13_000,
    seed: int = 0,
    rounds: int = 1,
    shorten: bool = False,
) -> list[Page]:
    """Puts the outlines of pages together in random order.

    Args:
        pages: Help pages. A class that several of them document alike is there once.
        size: Bytes of a digest, about; a larger outline is one by itself. As it is, most have
            between 3,000 and 4,000 pieces.
        seed: Seed of the order.
        rounds: How often everything is put together, in a new order each time.
        shorten: Whether to leave a random choice of each outline's definitions, between 1 and 16,
            anew each round. More classes are in as many pieces then.

    Returns:
        The digests, as pages of modules `"digest 1"`, `"digest 2"`, …
    """
    pages = sorted(pages, key=lambda page: page.module)
    outlines = list(dict.fromkeys(outline for page in pages for outline in find_outlines(page)))
    draw = random.Random(seed)
    texts = []
    for _ in range(rounds):
        draw.shuffle(outlines)
        chosen = [_shorten(outline, draw) for outline in outlines] if shorten else outlines
        texts += [_join(members) for members in _divide(chosen, size)]
    return [Page(f"digest {number}", text) for number, text in enumerate(texts, 1)]


def _shorten(outline: Outline, draw: random.Random) -> Outline:
    count = min(2 ** draw.randrange(5), len(outline.definitions))
    kept = sorted(draw.sample(range(len(outline.definitions)), count))
    return outline._replace(definitions=tuple(outline.definitions[i] for i in kept))


def _divide(outlines: Sequence[Outline], size: int) -> list[list[Outline]]:
    divided: list[list[Outline]] = []
    so_far = size
    for outline in outlines:
        length = len(outline.text.encode())
        if so_far + length > size:
            divided.append([])
            so_far = 0
        divided[-1].append(outline)
        so_far += length
    return divided


def _join(outlines: Iterable[Outline]) -> str:
    """Joins outlines as `pydoc` would: a heading wherever another section begins."""
    return "".join(
        f"{section}\n" + "".join(f"{outline.text}    \n" for outline in members) + "\n"
        for section, members in itertools.groupby(outlines, key=lambda outline: outline.section)
    )
