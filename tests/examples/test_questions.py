import collections

import pytest

from examples.docs_qa.pages import Page, render_pages
from examples.docs_qa.questions import (
    _words,
    abridge,
    abridge_split,
    ask,
    everyday_words,
    find_definitions,
    make_splits,
)
from tests.examples.help_pages import ZEBRA, library, page


def test_definitions_of_a_page():
    found = [(d.name, d.answer) for d in find_definitions(ZEBRA)]
    assert found == [
        ("__init__", "Initialise the brush with everything."),
        ("dip_brush", "Dip the brush into a pot of naïve\n     |      colour: e.g. black."),
        ("undocumented_one", ""),
        ("rinse_brush", "Wash all colour out"),
        ("draw_stripe", "Draw one stripe on a canvas!"),
        ("endless", ""),
        ("stripe", "stripe(canvas) -> a new stripe"),
        ("twice_defined", "The first of two definitions here."),
        ("twice_defined", "The second of two definitions here."),
    ]


def test_spans_are_byte_offsets():
    encoded = ZEBRA.text.encode()
    definitions = find_definitions(ZEBRA)
    for definition in definitions:
        assert encoded[definition.start : definition.end].decode() == definition.answer
    # A page in which bytes and characters differ before the answer.
    assert ZEBRA.text.index("Draw one stripe") != definitions[4].start


def test_only_clear_questions_are_asked():
    assert [q.name for q in ask(ZEBRA, set())] == ["dip_brush", "rinse_brush", "draw_stripe"]
    assert [q.name for q in ask(ZEBRA, {"rinse_brush"})] == ["dip_brush", "draw_stripe"]


@pytest.mark.parametrize(
    "documentation",
    [
        "Too short.",
        " ".join(["word"] * 41) + ".",
        "D.items() gives a view of all.",
        "value = one of many things.",
        "(self, other) of the class.",
        "TODO: add the documentation here.",
        "",
    ],
)
def test_what_is_no_answer(documentation):
    assert not ask(page("ape", ("good_name", documentation)), set())


@pytest.mark.parametrize("name", ["ab", "__eq__"])
def test_what_is_no_question(name):
    assert not ask(page("ape", (name, "Some documentation of a thing.")), set())


def test_empty_page():
    assert find_definitions(Page("nothing", "")) == []
    assert find_definitions(Page("nothing", "FUNCTIONS\n    last_line(x)")) != []


def test_everyday_words_are_those_of_many_packages():
    pages = [Page(f"p{i}", "These words close a file.\n") for i in range(3)]
    pages += [Page("p0.sub", "A rare word.\n"), Page("p0.other", "A rare word.\n")]
    assert everyday_words(pages, 3) == {"words", "close", "a", "file"}
    assert "rare" in everyday_words(pages, 1)


def test_splits_are_deterministic_by_seed():
    pages = library()
    first = make_splits(pages, seed=3)
    assert make_splits(pages[::-1], seed=3) == first
    drawn = {tuple(make_splits(pages, seed=seed)["test"].packages) for seed in range(5)}
    assert len(drawn) > 1


def test_no_leakage_between_splits():
    pages = library()
    # The same documentation under another package, as `keras.ops` repeats NumPy's.
    pages += [
        Page(f"copy{i}.{p.module}", p.text.replace("rows of", "ROWS  of"))
        for i, p in enumerate(pages)
    ]
    for seed in range(6):
        splits = make_splits(pages, seed=seed, test_share=0.2, validation_share=0.2)
        packages = [set(split.packages) for split in splits.values()]
        assert sum(map(len, packages)) == len(set.union(*packages))
        for split in splits.values():
            assert {p.package for p in split.pages.values()} <= set(split.packages)
            assert {q.module for q in split.questions} <= set(split.pages)
        trained = {
            tuple(_words(d.answer))
            for p in splits["train"].pages.values()
            for d in find_definitions(p)
        }
        for name in ("validation", "test"):
            assert not [q for q in splits[name].questions if tuple(_words(q.answer)) in trained]


def test_splits_hold_out_a_share_and_ask_no_question_twice():
    pages = library()
    pages.append(Page("jay.again", pages[-1].text))
    splits = make_splits(pages, seed=0, test_share=0.3, validation_share=0.2)
    sizes = {name: len(split.questions) for name, split in splits.items()}
    total = sum(sizes.values())
    assert 0.2 < sizes["test"] / total < 0.45
    assert 0.1 < sizes["validation"] / total < 0.35
    for split in splits.values():
        asked = collections.Counter((q.name, q.answer) for q in split.questions)
        assert set(asked.values()) == {1}


def test_large_packages_are_never_held_out():
    giant = [
        page(f"giant.m{i}", *((f"fn_{i}_{j}", f"Giant deed {i} times {j}.") for j in range(9)))
        for i in range(30)
    ]
    for seed in range(4):
        assert "giant" in make_splits(library() + giant, seed=seed)["train"].packages


def test_no_split_stays_empty():
    """However uneven the packages are, each split gets one."""
    pages = [
        page(name, *((f"{name}_fn_{i}", f"Deed {i} of package {name}.") for i in range(count)))
        for name, count in (("one", 3), ("two", 5), ("three", 40))
    ]
    for seed in range(6):
        splits = make_splits(pages, seed=seed)
        assert {name: len(split.packages) for name, split in splits.items()} == {
            "train": 1,
            "validation": 1,
            "test": 1,
        }
        assert all(split.questions for split in splits.values())


def test_too_few_packages():
    with pytest.raises(ValueError, match=r"at least 3 packages.*Received pages of 1 packages"):
        make_splits([ZEBRA])


def test_a_real_module():
    """`textwrap`, as pydoc renders it on this machine."""
    (rendered,), _ = render_pages([["textwrap"]])
    answers = {q.name: q.answer for q in ask(rendered, set())}
    assert answers["dedent"].startswith("Remove any common leading whitespace")
    assert answers["dedent"].endswith("`text`.")
    assert "__init__" not in answers


def test_abridged_page():
    text = abridge(ZEBRA).text
    assert "Wait a second." in text  # The line goes as a whole.
    for gone in ("water must be warm", "fake_definition", "Paint stripes", "undocumented_one"):
        assert gone not in text
    for stays in ("    class Brush(builtins.object)", "     |  Methods defined here:", "FUNCTIONS"):
        assert f"{stays}\n" in text
    before = [(d.name, d.answer) for d in find_definitions(ZEBRA) if d.answer]
    assert [(d.name, d.answer) for d in find_definitions(abridge(ZEBRA))] == before
    assert abridge(abridge(ZEBRA)) == abridge(ZEBRA)


def test_abridged_split_repeats_questions_so_often_only():
    pages = library()
    pages += [Page(f"jay.copy{i}", pages[-1].text) for i in range(4)]
    split = make_splits(pages, seed=0)["train"]
    practice = abridge_split(split, max_repeats=2)
    assert set(practice.pages) == set(split.pages)
    times = collections.Counter((q.name, q.answer) for q in practice.questions)
    assert max(times.values()) == 2
    assert set(times) >= {(q.name, q.answer) for q in split.questions}
    for question in practice.questions:
        text = practice.pages[question.module].text.encode()
        assert text[question.start : question.end].decode() == question.answer
