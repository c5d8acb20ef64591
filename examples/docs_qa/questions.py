"""Questions to help pages: a function's or method's name; its documentation's first sentence.

The answer is a span of the page, exactly as it stands there (line breaks and margins included), so
that a model can point at it. Everything here is a pure function of the pages and a seed.
"""

import bisect
import collections
import dataclasses
import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence

from examples.docs_qa.pages import Page

__all__ = ["Question", "Split", "abridge_split", "find_definitions", "make_splits"]

# A definition as pydoc prints it: the name at the margin of its section, its signature, then the
# documentation four columns further right. Functions stand four columns in, methods behind the bar
# that pydoc draws beside a class.
DEFINITION = re.compile(r"^(?P<margin>    (?: \|  )?)(?P<name>[A-Za-z_]\w*)\((?P<rest>.*)$")
SECTION = re.compile(r"^[A-Z][A-Z ]+$")
METHODS_FOLLOW = re.compile(
    r"^     \|  (?:Methods|Class methods|Static methods) (?:defined here|inherited from .*):$"
)
OTHERS_FOLLOW = re.compile(
    r"^     \|  (?:Data descriptors|Readonly properties|Data and other attributes) "
    r"(?:defined here|inherited from .*):$"
)
SENTENCE_END = re.compile(r"[.!?](?=[\s\"'`)]|$)")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|[A-Za-z])\.$")
# `D.keys() -> a set-like object`: builtins' documentation often is a signature once more. Generated
# code has "TODO" for documentation.
NO_SENTENCE = re.compile(r"->|--|^[\w.]+ ?\(|^[\w.]+\s*=|^[^\w\"'`*]|^TODO")
PROSE_WORD = re.compile(r"(?<= )[a-z]+(?=[ ,.;:\n])")

MIN_WORDS, MAX_WORDS = 3, 40


@dataclasses.dataclass(frozen=True)
class Question:
    """A question to one page, and its answer.

    Attributes:
        module: The page's module.
        name: The question: the name of a function or method.
        answer: The answer, as it stands in the page.
        start, end: Where the answer stands: offsets into the page's UTF-8 bytes.
    """

    module: str
    name: str
    answer: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Split:
    """Pages of packages that no other split has a page of, and questions to them."""

    packages: list[str]
    pages: dict[str, Page]
    questions: list[Question]


def find_definitions(page: Page) -> list[Question]:
    """Finds every function and method that a page defines.

    Args:
        page: A help page as rendered by `pydoc`.

    Returns:
        One `Question` a definition, in the order of the page, good or not: where there is no
        documentation, `answer` is empty and `start` equals `end`.
    """
    encoded = page.text.encode()
    lines = page.text.splitlines(keepends=True)
    starts = [0]  # Byte offset of each line.
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))

    found = []
    section = ""
    among_methods = False
    for number, line in enumerate(lines):
        stripped = line.rstrip()
        if SECTION.match(stripped):
            section = stripped
        elif stripped.startswith("    class "):
            # The class's own documentation comes first, at the margin where methods stand later.
            among_methods = False
        elif METHODS_FOLLOW.match(stripped):
            among_methods = True
        elif OTHERS_FOLLOW.match(stripped):
            among_methods = False
        elif match := DEFINITION.match(stripped):
            margin = match["margin"]
            expected = "FUNCTIONS" if margin == "    " else "CLASSES"
            if section == expected and (among_methods or expected == "FUNCTIONS"):
                begin, end = _first_sentence(lines, number + 1, margin + "    ", starts)
                answer = encoded[begin:end].decode()
                found.append(Question(page.module, match["name"], answer, begin, end))
    return found


def _first_sentence(
    lines: Sequence[str], first: int, margin: str, starts: Sequence[int]
) -> tuple[int, int]:
    """Gives the byte span of the first sentence of the text under `margin` from line `first` on.

    The sentence ends where it says so, or with the paragraph if that is one line.
    """
    begin = end = starts[first]
    text = ""
    for number in range(first, len(lines)):
        line = lines[number].rstrip()
        if not line.startswith(margin) or line[len(margin) : len(margin) + 1] in ("", " "):
            break
        if number == first:
            begin = starts[first] + len(margin.encode())
        for match in SENTENCE_END.finditer(line, len(margin)):
            if not ABBREVIATION.search(line, 0, match.end()):
                return begin, starts[number] + len(line[: match.end()].encode())
        text += line
        end = starts[number] + len(line.encode())
        if number > first:
            # Several lines and no end yet: go on, but a paragraph without one is no sentence.
            end = begin
    return begin, max(begin, end)


def abridge(page: Page) -> Page:
    """Gives a page with each definition's documentation cut down to its first sentence.

    A short window of such a page has many definitions to choose from, where one of the whole page
    has two or three: more to learn from the same number of pieces. Headings stay; other text goes.
    """
    lines = page.text.encode().splitlines(keepends=True)
    starts = list(itertools.accumulate(map(len, lines), initial=0))
    kept = set()
    for definition in find_definitions(page):
        if definition.answer:
            first = bisect.bisect_right(starts, definition.start) - 1
            last = bisect.bisect_right(starts, definition.end - 1) - 1
            kept.update(range(first - 1, last + 1))  # The signature stands on the line before.
    text = [line.decode() for line in lines]
    return Page(
        page.module,
        "".join(
            line for number, line in enumerate(text) if number in kept or _is_heading(line.rstrip())
        ),
    )


def _is_heading(line: str) -> bool:
    return bool(
        SECTION.match(line)
        or METHODS_FOLLOW.match(line)
        or OTHERS_FOLLOW.match(line)
        or line.startswith("    class ")
    )


def abridge_split(split: Split, *, max_repeats: int = 3) -> Split:
    """Abridges all pages of a split and asks every documented definition in them.

    This is for practice in training: everyday words are asked too, and the same question up to
    `max_repeats` times, on different pages.
    """
    pages = {module: abridge(page) for module, page in split.pages.items()}
    questions = []
    times: collections.Counter[tuple] = collections.Counter()
    for module in sorted(pages):
        for question in ask(pages[module], set()):
            key = (question.name, *_words(question.answer))
            times[key] += 1
            if times[key] <= max_repeats:
                questions.append(question)
    return Split(split.packages, pages, questions)


def everyday_words(pages: Iterable[Page], min_packages: int) -> set[str]:
    """Gives the lower-case words that stand in running text in pages of many packages.

    A question such as `close` or `read` says nothing about what is asked.

    Args:
        pages: Help pages.
        min_packages: A word counts if so many packages use it.
    """
    packages = collections.defaultdict(set)
    for page in pages:
        for word in set(PROSE_WORD.findall(page.text)):
            packages[word].add(page.package)
    return {word for word, users in packages.items() if len(users) >= min_packages}


def ask(page: Page, everyday: set[str]) -> list[Question]:
    """Gives the questions that a page answers clearly.

    Left out are names that the page defines more than once (which one is meant?), everyday words,
    special methods (`__init__`), and documentation that is missing, is a signature, or is shorter
    or longer than a sentence should be.
    """
    definitions = find_definitions(page)
    times = collections.Counter(definition.name for definition in definitions)
    return [
        definition
        for definition in definitions
        if times[definition.name] == 1
        and definition.name not in everyday
        and len(definition.name) >= 3
        and not definition.name.startswith("__")
        and MIN_WORDS <= len(_words(definition.answer)) <= MAX_WORDS
        and not NO_SENTENCE.search(definition.answer)
    ]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def make_splits(
    pages: Sequence[Page],
    *,
    seed: int = 0,
    test_share: float = 0.12,
    validation_share: float = 0.04,
    min_packages_everyday: int = 8,
) -> dict[str, Split]:
    """Divides pages into splits by package, and asks their questions.

    No package is in two splits. Since packages also repeat each other's documentation (`keras.ops`
    repeats NumPy's), a held-out question is dropped when its answer is the documentation of
    anything in a training page, and when it was asked before.

    Args:
        pages: Help pages of many packages.
        seed: Seed of the draw of held-out packages.
        test_share, validation_share: Share of all questions that the test and the validation
            packages have, about. A package with more than half of such a share is never held out.
        min_packages_everyday: Words in the prose of so many packages are no questions.

    Returns:
        The splits `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: If the pages are of fewer than three packages with questions.
    """
    pages = sorted(pages, key=lambda page: page.module)
    everyday = everyday_words(pages, min_packages_everyday)
    asked: dict[str, list[Question]] = collections.defaultdict(list)
    for page in pages:
        asked[page.package].extend(ask(page, everyday))
    packages = _divide(
        {name: len(questions) for name, questions in asked.items()},
        {"test": test_share, "validation": validation_share},
        seed,
    )

    documented = {
        tuple(_words(definition.answer))
        for page in pages
        if page.package in packages["train"]
        for definition in find_definitions(page)
    }
    splits = {}
    for split in ("train", "validation", "test"):
        known = documented if split != "train" else set()
        questions = []
        seen = set()
        for question in (q for name in sorted(packages[split]) for q in asked[name]):
            words = tuple(_words(question.answer))
            if words not in known and (question.name, words) not in seen:
                seen.add((question.name, words))
                questions.append(question)
        with_questions = {question.module for question in questions}
        splits[split] = Split(
            packages=sorted(packages[split]),
            pages={
                page.module: page
                for page in pages
                if page.package in packages[split]
                and (split == "train" or page.module in with_questions)
            },
            questions=questions,
        )
    return splits


def _divide(
    sizes: Mapping[str, int], shares: Mapping[str, float], seed: int
) -> dict[str, set[str]]:
    """Draws packages for each held-out split until it has its share; the rest are for training."""
    total = sum(sizes.values())
    names = sorted(name for name, size in sizes.items() if size)
    if len(names) < len(shares) + 1:
        raise ValueError(
            f"`pages` must be of at least {len(shares) + 1} packages with questions, so that whole "
            f"packages can be held out. Received pages of {len(sizes)} packages, {len(names)} of "
            "them with questions"
        )
    random.Random(seed).shuffle(names)
    divided = {"train": set(sizes)}
    for split, share in shares.items():
        left = [name for name in names if name in divided["train"]]
        # The smallest package is small enough in any case, so that no split stays empty.
        largest = max(share * total / 2, min(sizes[name] for name in left))
        chosen: set[str] = set()
        for name in left:
            so_far = sum(sizes[other] for other in chosen)
            if so_far < share * total and sizes[name] <= largest:
                chosen.add(name)
        divided[split] = chosen
        divided["train"] -= chosen
    return divided
