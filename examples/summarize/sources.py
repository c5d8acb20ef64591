"""Sources of the installed packages, and the sentences that sum them up in their docstrings."""

import ast
import dataclasses
import hashlib
import inspect
import random
import re
import sysconfig
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["Pair", "find_packages", "first_sentence", "read_pairs", "split_packages", "without"]

MAX_CHARS = 150_000  # Longer ones are generated tables.
# Folders of copies of other packages, and of tests.
LEFT_OUT = re.compile("vendor|^extern$|third_party|test")
FEWEST_WORDS, MOST_WORDS = 3, 20


@dataclasses.dataclass(frozen=True)
class Pair:
    """A text and its summary.

    Attributes:
        document: A name, the docstring but for its first sentence, and the code.
        summary: The docstring's first sentence.
        lead: What comes first behind the name: a sentence of the docstring, or a line of code.
        is_module: Whether it is of a whole module, not of a class or a function.
    """

    document: str
    summary: str
    lead: str
    is_module: bool


def find_packages() -> dict[str, list[Path]]:
    """Returns the Python files of the standard library and of installed packages, by package."""
    paths = sysconfig.get_paths()
    packages: dict[str, list[Path]] = {}
    for root in (Path(paths["stdlib"]), Path(paths["purelib"])):
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).parts
            if "site-packages" not in parts and not any(map(LEFT_OUT.search, parts)):
                packages.setdefault(parts[0].removesuffix(".py"), []).append(file)
    return packages


def split_packages(names: Sequence[str], test_share: float = 0.12) -> dict[str, list[str]]:
    """Shares packages out, each to the same side on all machines.

    Args:
        names: The packages.
        test_share: About how many of them are for testing.
    """
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for name in names:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
        splits["test" if number < test_share else "train"].append(name)
    return splits


def read_pairs(
    packages: Mapping[str, Sequence[Path]],
    *,
    per_package: int = 20,
    per_module: int = 8,
    seed: int = 0,
) -> list[Pair]:
    """Reads modules, and some classes and functions in them, that have a sentence on themselves.

    Args:
        packages: Files by package, as `find_packages` returns them.
        per_package: At most so many files of a package, drawn at random; big ones are alike inside.
        per_module: At most so many classes and functions of a module.
        seed: Of the draws.

    Returns:
        The pairs, no summary twice.
    """
    pairs: dict[str, Pair] = {}
    for name in sorted(packages):
        draw = random.Random(f"{seed} {name}")
        files = draw.sample(packages[name], min(per_package, len(packages[name])))
        for file in files:
            found = list(_pairs_of(file))
            chosen = [pair for pair in found if not pair.is_module]
            chosen = draw.sample(chosen, min(per_module, len(chosen)))
            for pair in [pair for pair in found if pair.is_module] + chosen:
                pairs.setdefault(pair.summary.lower(), pair)
    return list(pairs.values())


def without(pairs: Sequence[Pair], known: Sequence[Pair]) -> list[Pair]:
    """Returns the pairs whose summaries and documents are not among those that are known."""
    summaries = {pair.summary.lower() for pair in known}
    documents = {pair.document for pair in known}
    return [
        pair
        for pair in pairs
        if pair.summary.lower() not in summaries and pair.document not in documents
    ]


def first_sentence(text: str) -> str:
    """Returns what comes before the first full stop, or the first empty line."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.!?:])\s", paragraph, maxsplit=1)[0]


def _pairs_of(file: Path) -> Iterator[Pair]:
    try:
        source = file.read_text(encoding="utf-8")
        if len(source) > MAX_CHARS:
            return
        with warnings.catch_warnings():
            # Of other people's escapes in strings.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return
    lines = source.splitlines()
    stem = file.parent.name if file.stem == "__init__" else file.stem
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            pair = _pair_of(node, stem, lines)
            if pair is not None:
                yield pair


def _pair_of(
    node: ast.Module | ast.ClassDef | ast.FunctionDef, stem: str, lines: list[str]
) -> Pair | None:
    docstring = ast.get_docstring(node, clean=False)
    if docstring is None:
        return None
    docstring = inspect.cleandoc(docstring)
    summary = first_sentence(docstring)
    words = summary.split()
    is_well = FEWEST_WORDS <= len(words) <= MOST_WORDS and summary[0].isalpha()
    if not is_well or re.search("copyright|license", summary, re.IGNORECASE):
        return None
    # The sentence may have been broken into lines.
    rest = re.sub(r"\s+".join(map(re.escape, words)), "", docstring, count=1).strip()
    is_module = isinstance(node, ast.Module)
    place, name = node.body[0], stem if isinstance(node, ast.Module) else node.name
    # Of a module, neither the licence nor whatever else is above its docstring.
    before = [] if is_module else lines[node.lineno - 1 : place.lineno - 1]
    end = len(lines) if isinstance(node, ast.Module) else node.end_lineno
    code = [*before, *lines[place.end_lineno : end]]
    code = [line.strip() for line in code if line.strip()]
    text = [line.strip() for line in rest.splitlines() if line.strip()]
    document = "\n".join([name, *text, *code])
    # Some say it twice, in another place.
    if summary.lower() in document.lower() or not (text or code):
        return None
    lead = first_sentence(rest) if text else code[0]
    return Pair(document, summary, lead, is_module)
