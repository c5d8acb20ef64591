import collections

import pytest

from examples.docs_qa.definitions import find_definitions, find_outlines
from examples.docs_qa.digests import make_digests
from examples.docs_qa.pages import Page, render_pages
from examples.docs_qa.questions import (
    KINDS,
    SIGNATURE,
    _words,
    ask,
    everyday_words,
    make_practice,
    make_splits,
)
from tests.examples.help_pages import KIWI, ZEBRA, library, page, page_of_classes


def test_definitions_of_a_page():
    found = [(d.name, d.sentence) for d in find_definitions(ZEBRA)]
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
        assert encoded[definition.start : definition.end].decode() == definition.sentence
        name = encoded[definition.name_start :][: len(definition.name.encode())]
        assert name.decode() == definition.name
    # A page in which bytes and characters differ before the answer.
    assert ZEBRA.text.index("Draw one stripe") != definitions[4].start


def test_only_clear_questions_are_asked():
    assert [q.name for q in ask(ZEBRA, set())] == ["dip_brush", "rinse_brush", "draw_stripe"]
    assert [q.name for q in ask(ZEBRA, {"rinse_brush"})] == ["dip_brush", "draw_stripe"]


def test_which_class_defines_a_method():
    asked = [q for q in ask(KIWI, set()) if q.kind == "class"]
    assert [(q.text, q.answer) for q in asked] == [
        ("class of nest_rows", "Nest"),
        ("class of count_eggs", "Nest"),
        ("class of drop_eggs", "Egg"),
        ("class of egg_rows", "Egg"),
    ]
    encoded = KIWI.text.encode()
    for question in asked:
        # The answer is in the class's heading, not where the class is listed or called.
        assert encoded[question.start - 6 : question.start] == b"class "
        assert encoded[question.start : question.end].decode() == question.answer
        assert encoded[question.name_start : question.name_end].decode() == question.name


def test_a_class_under_another_name_owns_its_methods():
    text = KIWI.text.replace("    class Egg(", "    Alias = class Egg(")
    owners = {d.name: d.owner for d in find_definitions(Page("kiwi", text))}
    assert owners["drop_eggs"] == "Egg"
    assert owners["nest_rows"] == "Nest"


def test_methods_that_a_class_inherits_have_no_answer():
    text = KIWI.text.replace("Methods defined here:", "Methods inherited from Bird:", 1)
    asked = {q.name for q in ask(Page("kiwi", text), set()) if q.kind == "class"}
    assert not asked  # One class is left that defines anything: there is nothing to choose.
    definitions = find_definitions(Page("kiwi", text))
    assert [d.owner for d in definitions] == ["", "", "", "Egg", "Egg", "Egg"]


def test_known_classes_are_not_asked_again():
    """A class that a training page documents, too, says nothing about what was understood."""
    pages = [
        page_of_classes(name, {"Nest": ("nest_rows",), f"{name}Egg": ("drop_eggs",)})
        for name in ("Wren", "Lark", "Dove", "Rook", "Duck")
    ]
    splits = make_splits(pages, test_share=0.2, validation_share=0.2)
    for name in ("validation", "test"):
        asked = [q.text for q in splits[name].questions if q.kind == "class"]
        assert asked == ["class of drop_eggs"]


def test_splits_of_packages_that_a_model_knows():
    known = {"train": ["ant", "gone"], "validation": ["bee"], "test": ["cow", "dog"]}
    splits = make_splits(library(), known=known)
    assert {"ant", "bee"} <= set(splits["train"].packages)
    assert {"cow", "dog"} <= set(splits["test"].packages)
    assert not splits["validation"].packages
    sides = {name: side for side in splits for name in splits[side].packages}
    assert len(sides) == 12
    assert {sides[name] for name in ("elk", "fox", "gnu", "hen", "ibis", "jay")} == {
        "train",
        "test",
    }
    # A package's side does not depend on what else there is.
    fewer = make_splits(library()[:-1], known=known)
    assert {name: side for side in fewer for name in fewer[side].packages}.items() <= sides.items()


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


def test_how_a_function_is_called():
    asked = ask(ZEBRA, set(), {SIGNATURE})
    assert [(q.text, q.answer) for q in asked] == [
        ("signature of dip_brush", "dip_brush(self, /, pot: 'Pot') -> 'Brush'"),
        ("signature of draw_stripe", "draw_stripe(canvas, start=(0, 0))"),
        ("signature of endless", "endless(text)"),
    ]
    encoded = ZEBRA.text.encode()
    for question in asked:
        assert encoded[question.start : question.end].decode() == question.answer
        assert encoded[question.name_start : question.name_end].decode() == question.name


@pytest.mark.parametrize(
    ("signature", "is_told"),
    [
        ("deed(x)", True),
        ("deed(*rows)", True),
        ("deed(self, /, *, key=None)", True),
        ("deed(cls, path: 'str') -> 'Deed'", True),
        ("deed()", False),
        ("deed(self)", False),
        ("deed(self, /)", False),
        ("deed(...)", False),
        ("deed(cls, /, *)", False),
        ("deed(selfish)", True),
        ("deed(first,", False),
        ("deed(size=0) method of ape.Deed instance", False),
        (f"deed({'x' * 200})", False),
    ],
)
def test_which_signatures_tell_something(signature, is_told):
    text = f"NAME\n    ape\n\nFUNCTIONS\n    {signature}\n        Does a deed.\n"
    asked = ask(Page("ape", text), set(), {SIGNATURE})
    assert [q.answer for q in asked] == [signature] * is_told


def test_signatures_that_a_training_page_has_are_not_asked():
    functions = "    merge_all(own)\n    fox_1_sort_rows(x, y=None)\n"
    pages = [*library(), Page("kudu", f"NAME\n    kudu\n\nFUNCTIONS\n{functions}")]
    known = {"train": ["fox"], "test": ["kudu", "hen"]}
    splits = make_splits(pages, known=known, kinds=(*KINDS, SIGNATURE))
    asked = {q.answer for q in splits["test"].questions if q.module == "kudu"}
    assert asked == {"merge_all(own)"}
    assert {q.kind for q in splits["train"].questions} >= {"sentence", SIGNATURE}
    assert SIGNATURE not in {q.kind for q in make_splits(pages, known=known)["train"].questions}


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
            help_pages = [p for p in split.pages.values() if not p.module.startswith("digest")]
            assert {p.package for p in help_pages} <= set(split.packages)
            assert {q.module for q in split.questions} <= set(split.pages)
        trained = {
            tuple(_words(d.sentence))
            for p in splits["train"].pages.values()
            for d in find_definitions(p)
        }
        for name in ("validation", "test"):
            sentences = [q for q in splits[name].questions if q.kind == "sentence"]
            assert not [q for q in sentences if tuple(_words(q.answer)) in trained]


def test_splits_hold_out_a_share_and_ask_no_question_twice():
    pages = library()
    pages.append(Page("jay.again", pages[-1].text))
    splits = make_splits(pages, seed=0, test_share=0.3, validation_share=0.2)
    sizes = {name: len(split.questions) for name, split in splits.items()}
    total = sum(sizes.values())
    assert 0.2 < sizes["test"] / total < 0.45
    assert 0.1 < sizes["validation"] / total < 0.35
    for split in splits.values():
        asked = collections.Counter((q.text, q.answer) for q in split.questions)
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


def test_outlines_of_a_page():
    brush, functions = find_outlines(ZEBRA)
    assert (brush.section, functions.section) == ("CLASSES", "FUNCTIONS")
    assert brush.text.startswith(
        "    class Brush(builtins.object)\n     |  Methods defined here:\n"
    )
    assert "     |  undocumented_one(self)\n" in brush.text
    assert "Wait a second." in brush.text  # The line goes as a whole.
    assert "    draw_stripe(canvas, start=(0, 0))\n        Draw one" in functions.text
    for gone in (
        "water must be warm",
        "fake_definition",
        "Paint stripes",
        "bristle",
        "of two lines",
    ):
        assert gone not in brush.text + functions.text


def test_outlines_leave_out_what_is_inherited():
    text = KIWI.text.replace("Methods defined here:", "Methods inherited from Bird:", 1)
    (egg,) = find_outlines(Page("kiwi", text))  # Nest defines nothing now.
    assert egg.text.startswith("    class Egg(")
    again = KIWI.text + KIWI.text.partition("    class Nest(builtins.object)\n")[2].replace(
        "Methods defined here:", "Class methods defined here:"
    )
    names = [d.name for d in find_definitions(make_digests([Page("kiwi", again)])[0])]
    assert collections.Counter(names)["nest_rows"] == 2


def many_classes():
    """Pages with classes of 1 to 40 methods."""
    return [
        page_of_classes(
            f"lot{number}",
            {
                f"Owner{number}x{size}": [f"deed_{number}_{size}_{i}" for i in range(size)]
                for size in range(1, 41, 3)
            },
        )
        for number in range(5)
    ]


def owners_of(digest):
    """The classes of a digest, in their order, with the names of their methods."""
    owners = collections.defaultdict(list)
    for definition in find_definitions(digest):
        owners[definition.owner].append(definition.name)
    return owners


def test_digests_have_every_method_once():
    pages = [*library(), *many_classes(), Page("kiwi.again", KIWI.text)]
    digests = make_digests(pages, size=4000, longest=4000)
    assert [digest.module for digest in digests] == [f"digest {i + 1}" for i in range(len(digests))]
    assert len(digests) > 5
    assert {len(digest.text.encode()) > 4200 for digest in digests} == {False}
    found = collections.Counter(
        (d.name, d.owner, d.sentence) for digest in digests for d in find_definitions(digest)
    )
    every = [d for p in (*library(), *many_classes()) for d in find_definitions(p) if d.owner]
    assert found == collections.Counter((d.name, d.owner, d.sentence) for d in every)


def test_the_classes_of_a_digest_are_of_one_length():
    """Who does not see where a method stands must not win by guessing the longest."""
    for digest in make_digests(many_classes(), size=4000, longest=1500):
        sizes = [len(names) for names in owners_of(digest).values()]
        assert max(sizes) <= 30  # Of up to 40.
        assert max(sizes) - min(sizes) <= 0.5 * max(sizes) + 3, sizes


def test_digests_come_in_another_order_each_round():
    rounds = make_digests(many_classes(), size=10**6, rounds=3)
    assert len(rounds) == 3
    assert len({tuple(owners_of(digest)) for digest in rounds}) == 3
    assert make_digests(many_classes(), size=10**6, rounds=3) == rounds
    assert make_digests(many_classes(), size=10**6, seed=1)[0].text != rounds[0].text


def test_definitions_with_async():
    text = KIWI.text.replace("     |  count_eggs(", "     |  async count_eggs(")
    (found,) = [d for d in find_definitions(Page("kiwi", text)) if d.name == "count_eggs"]
    assert found.owner == "Nest"
    assert text.encode()[found.name_start :].startswith(b"count_eggs(self)")
    assert found.sentence == "The deed of count_eggs in it."


def test_digests_ask_for_classes_and_help_pages_for_sentences():
    for split in make_splits(library(), test_share=0.3, validation_share=0.2).values():
        for question in split.questions:
            is_digest = question.module.startswith("digest")
            assert question.kind == ("class" if is_digest else "sentence")
            text = split.pages[question.module].text.encode()
            assert text[question.start : question.end].decode() == question.answer


def test_practice_asks_in_many_orders_of_short_outlines():
    split = make_splits(library())["train"]
    practice = make_practice(split, rounds=40)
    times = collections.Counter((q.text, q.answer) for q in practice.questions)
    assert max(times.values()) <= 40
    assert set(times) >= {(q.text, q.answer) for q in split.questions}
    sizes = collections.Counter()
    for digest in practice.pages.values():
        functions = [d for d in find_definitions(digest) if not d.owner]
        sizes[len(functions)] += 1
    whole = sum(1 for p in split.pages.values() for d in find_definitions(p) if not d.owner)
    assert len(sizes) > 5
    assert max(sizes) < whole
    for question in practice.questions:
        text = practice.pages[question.module].text.encode()
        assert text[question.start : question.end].decode() == question.answer
