"""What the guides say of the repository is so: links, rooms, files, pinned versions."""

import ast
import configparser
import re
from pathlib import Path

import pytest

import bigbird_tf as bb
from tests.conftest import ROOT
from tests.test_imports import ROOMS, SOURCES, relative

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
REFERENCE = re.compile(r"^::: (\S+)$", re.MULTILINE)


def anchors(page: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub and mkdocs make them."""
    page = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def broken_links(page: Path, text: str) -> list[str]:
    """Returns the links of a page that lead nowhere in the repository."""
    broken = []
    for link in LINK.findall(CODE.sub("", text)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (
            anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_the_check_sees_broken_links():
    text = "[a](b.md) [c](serving.md#signatures) [d](#nowhere) `[e](f.md)` ![g](h.svg) [i](ftp:j)"
    assert broken_links(DOCS / "index.md", text) == ["b.md", "#nowhere", "h.svg"]


def test_files_that_the_pages_name_are_there():
    for page in (DOCS / "architecture.md", ROOT / "CONTRIBUTING.md"):
        named = re.findall(
            r"`((?:bigbird_tf|tests|docs|benchmarks)/[\w/.]*)`", page.read_text(encoding="utf-8")
        )
        assert len(named) > 10
        assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_table_of_rooms_is_the_rule():
    from docs.rooms_picture import read_rooms

    table = read_rooms((DOCS / "architecture.md").read_text(encoding="utf-8"))
    rule = {room: set(imports) - {room} for room, imports in ROOMS.items() if room != "types"}
    assert table == rule, "docs/architecture.md and ROOMS in tests/test_imports.py differ"


def test_the_picture_of_rooms_is_up_to_date():
    from docs.rooms_picture import PICTURE, draw, read_rooms

    table = read_rooms((DOCS / "architecture.md").read_text(encoding="utf-8"))
    assert PICTURE.read_text(encoding="utf-8") == draw(table), "run docs/rooms_picture.py"


def test_every_public_name_is_in_the_reference():
    pages = (DOCS / "reference").glob("*.md")
    listed = [name for page in pages for name in REFERENCE.findall(page.read_text("utf-8"))]
    assert len(set(listed)) == len(listed)
    missing = {f"bigbird_tf.{name}" for name in bb.__all__} - set(listed)
    assert missing == {"bigbird_tf.__version__"}


def test_every_page_is_in_the_navigation():
    navigation = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert navigation == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_pre_commit_has_the_versions_of_setup_cfg():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    pinned = dict(re.findall(r"(ruff|mypy)==([\d.]+)", setup["options.extras_require"]["test"]))
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert dict(re.findall(r"(ruff|mypy)(?:-pre-commit)?\n    rev: v([\d.]+)", text)) == pinned
    assert len(pinned) == 2


def untyped(tree: ast.AST) -> list[str]:
    """Returns the functions with an argument or a result that has no type; not nested ones."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            found += untyped(node)
        elif isinstance(node, ast.FunctionDef):
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            named = [a for a in (*every, node.args.vararg, node.args.kwarg) if a is not None]
            named = [a for a in named if a.arg not in ("self", "cls")]
            is_typed = node.returns is not None or node.name == "__init__"
            if not is_typed or any(argument.annotation is None for argument in named):
                found.append(node.name)
        elif not isinstance(node, ast.expr):
            found += untyped(node)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_functions_have_types(path):
    assert untyped(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_check_of_types_sees_what_has_none():
    code = (
        "def f(a: int) -> int:\n  def g(b): ...\n"
        "class A:\n  def h(self, c): ...\n  def i(self): ..."
    )
    assert untyped(ast.parse(code)) == ["h", "i"]
