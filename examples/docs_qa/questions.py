"""Questions to pages, of three kinds.

A function's or method's name asks a help page for the first sentence of its documentation: the
evidence and the answer stand side by side. "class of" and a method's name asks a digest of many
classes which of them defines it: the class's heading may stand thousands of pieces before the
method, and only the order of both tells. "signature of" and a name asks a help page how a function
or method is called: this kind the model that ships does not know, and the demo teaches it.

The answer is a span of the page, exactly as it stands there (line breaks and margins included), so
that a model can point at it. Everything here is a pure function of the pages and a seed.
"""

import collections
import dataclasses
import random
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from examples.docs_qa.definitions import find_definitions
from examples.docs_qa.digests import make_digests
from examples.docs_qa.pages import Page

__all__ = [
    "KINDS",
    "SIGNATURE",
    "Question",
    "Split",
    "make_practice",
    "make_splits",
]

KINDS = ("sentence", "class")  # What the model that ships was trained on.
SIGNATURE = "signature"
QUESTIONS = {"sentence": "{}", "class": "class of {}", SIGNATURE: "signature of {}"}

# `D.keys() -> a set-like object`: builtins' documentation often is a signature once more. Generated
# code has "TODO" for documentation.
NO_SENTENCE = re.compile(r"->|--|^[\w.]+ ?\(|^[\w.]+\s*=|^[^\w\"'`*]|^TODO")
PROSE_WORD = re.compile(r"(?<= )[a-z]+(?=[ ,.;:\n])")

# They tell nothing of how a function is called.
NO_PARAMETERS = frozenset(["", "self", "cls", "/", "*", "..."])
MAX_SIGNATURE = 160

MIN_WORDS, MAX_WORDS = 3, 40


@dataclasses.dataclass(frozen=True)
class Question:
    """A question to one page, and its answer. All offsets are into the page's UTF-8 bytes.

    Attributes:
        module: The page's module.
        kind: `"sentence"`, `"class"` or `"signature"`, what is asked of the name.
        name: The name of a function or method.
        name_start: Where the page defines that.
        answer: The answer, as it stands in the page.
        start, end: Where the answer stands.
    """

    module: str
    kind: str
    name: str
    name_start: int
    answer: str
    start: int
    end: int

    @property
    def text(self) -> str:
        """The question as it is asked."""
        return QUESTIONS[self.kind].format(self.name)

    @property
    def name_end(self) -> int:
        """Where the name ends."""
        return self.name_start + len(self.name.encode())


@dataclasses.dataclass(frozen=True)
class Split:
    """Help pages of packages that no other split has a page of, digests of them, and questions."""

    packages: list[str]
    pages: dict[str, Page]
    questions: list[Question]


def make_practice(split: Split, *, rounds: int = 4, seed: int = 1) -> Split:
    """Puts a split's pages together as short digests again and again, and asks everything in them.

    This is for training. A short window of a digest has many definitions and classes to choose
    from, where one of a help page has two or three: more to learn from the same number of pieces.
    And no class is near the same others twice, so that there is nothing to learn by heart.

    Args:
        split: The split.
        rounds: How often its pages are put together.
        seed: Seed of the order.
    """
    help_pages = [page for page in split.pages.values() if page.package in split.packages]
    digests = make_digests(help_pages, rounds=rounds, seed=seed, shorten=True)
    return Split(
        split.packages,
        {digest.module: digest for digest in digests},
        [question for digest in digests for question in ask(digest, set())],
    )


def everyday_words(pages: Iterable[Page], min_packages: int) -> set[str]:
    """Returns the lower-case words that stand in running text in pages of many packages.

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


def ask(page: Page, everyday: set[str], kinds: Collection[str] = KINDS) -> list[Question]:
    """Returns the questions of some kinds that a page answers clearly.

    Left out are names that the page defines more than once (which one is meant?), everyday words,
    special methods (`__init__`), documentation that is missing, is a signature, or is shorter or
    longer than a sentence should be, classes of pages that have only one, and signatures without
    parameters.
    """
    definitions = find_definitions(page)
    times = collections.Counter(definition.name for definition in definitions)
    owners = {definition.owner_start for definition in definitions if definition.owner}
    questions = []
    for definition in definitions:
        name = definition.name
        if times[name] > 1 or name in everyday or len(name) < 3 or name.startswith("__"):
            continue
        known = {"module": page.module, "name": name, "name_start": definition.name_start}
        sentence, owner, begin = definition.sentence, definition.owner, definition.owner_start
        if MIN_WORDS <= len(_words(sentence)) <= MAX_WORDS and not NO_SENTENCE.search(sentence):
            start, end = definition.start, definition.end
            question = Question(**known, kind="sentence", answer=sentence, start=start, end=end)
            questions.append(question)
        if owner and len(owners) > 1:
            end = begin + len(owner.encode())
            questions.append(Question(**known, kind="class", answer=owner, start=begin, end=end))
        signature, begin = definition.signature, definition.name_start
        if _tells_parameters(signature):
            end = begin + len(signature.encode())
            answer = {"answer": signature, "start": begin, "end": end}
            questions.append(Question(**known, kind=SIGNATURE, **answer))
    return [question for question in questions if question.kind in kinds]


def _tells_parameters(signature: str) -> bool:
    """Returns whether a line has all parameters, and more than `self`."""
    depth = 0
    for place, letter in enumerate(signature[: MAX_SIGNATURE + 1]):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == ")" and not depth:
            parameters = signature[signature.index("(") + 1 : place]
            told = set(parameters.split(", ")) - NO_PARAMETERS
            # `Queue(maxsize=0) method of the.Class instance` tells more than that.
            is_plain = " method of " not in signature[place:]
            return len(signature) <= MAX_SIGNATURE and bool(told) and is_plain
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def make_splits(
    pages: Sequence[Page],
    *,
    seed: int = 0,
    test_share: float = 0.12,
    validation_share: float = 0.08,
    min_packages_everyday: int = 8,
    known: Mapping[str, Sequence[str]] | None = None,
    kinds: Collection[str] = KINDS,
) -> dict[str, Split]:
    """Divides pages into splits by package, and asks their questions.

    Help pages are asked for sentences and signatures, digests of each split's pages for classes.

    No package is in two splits. Since packages also repeat each other's documentation (`keras.ops`
    repeats NumPy's), a held-out question is dropped when its answer is the documentation or the
    signature of anything in a training page, when a training page's class of that name defines a
    method of that name, and when it was asked before.

    Args:
        pages: Help pages of many packages.
        seed: Seed of the draw of held-out packages.
        test_share, validation_share: Share of all questions that the test and the validation
            packages have, about. A package with more than half of such a share is never held out.
        min_packages_everyday: Words in the prose of so many packages are no questions.
        known: The packages of each split that a model was trained with. They stay in their splits
            (those of `"validation"` are training packages now); what a model does not know is
            divided evenly between `"train"` and `"test"`.
        kinds: The kinds of questions to ask.

    Returns:
        The splits `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: If the pages are of fewer than three packages with questions.
    """
    pages = sorted(pages, key=lambda page: page.module)
    everyday = everyday_words(pages, min_packages_everyday)
    asked = {page.module: ask(page, everyday, kinds) for page in pages}
    sizes: collections.Counter[str] = collections.Counter()
    for page in pages:
        sizes[page.package] += len(asked[page.module])
    if known is None:
        packages = _divide(
            sizes,
            {"test": test_share, "validation": validation_share},
            seed,
        )
    else:
        packages = _divide_as_known(sorted(sizes), known)

    trained = [
        definition
        for page in pages
        if page.package in packages["train"]
        for definition in find_definitions(page)
    ]
    documented = {tuple(_words(definition.sentence)) for definition in trained}
    signatures = {definition.signature for definition in trained}
    owned = {(definition.name, definition.owner) for definition in trained}
    splits = {}
    for split in ("train", "validation", "test"):
        held_out = split != "train"
        help_pages = [page for page in pages if page.package in packages[split]]
        digests = make_digests(help_pages, seed=seed)
        candidates = [q for page in help_pages for q in asked[page.module] if q.kind != "class"]
        candidates += [
            q for page in digests for q in ask(page, everyday, kinds) if q.kind == "class"
        ]
        questions = []
        seen = set()
        for question in candidates:
            words = tuple(_words(question.answer))
            if question.kind == "class":
                is_known = (question.name, question.answer) in owned
            elif question.kind == SIGNATURE:
                is_known = question.answer in signatures
            else:
                is_known = words in documented
            if not (held_out and is_known) and (question.text, words) not in seen:
                seen.add((question.text, words))
                questions.append(question)
        with_questions = {question.module for question in questions}
        splits[split] = Split(
            packages=sorted(packages[split]),
            pages={
                page.module: page
                for page in (*help_pages, *digests)
                if page.module in with_questions or not held_out
            },
            questions=questions,
        )
    return splits


def _divide_as_known(
    names: Iterable[str], known: Mapping[str, Sequence[str]]
) -> dict[str, set[str]]:
    divided: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    split_of = {name: split for split, members in known.items() for name in members}
    split_of |= dict.fromkeys(known.get("validation", ()), "train")
    for name in names:
        # By the name alone, so that a package's side does not depend on what else there is.
        side = ("train", "test")[zlib.crc32(name.encode()) % 2]
        divided[split_of.get(name, side)].add(name)
    return divided


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
