"""The example of summaries: its data by hand, and all of it in miniature."""

import sysconfig
import textwrap

import pytest
from rich.console import Console

from examples.summarize.sources import (
    Pair,
    find_packages,
    first_sentence,
    read_pairs,
    split_packages,
    without,
)

MODULE = textwrap.dedent(
    """\
    # Copyright of somebody.
    \"\"\"Paint stripes on
    zebras. Slowly.

    More of it.
    \"\"\"
    import paint  # colours


    class Brush:
        \"\"\"A brush for black paint.\"\"\"

        def dip(self):
            \"\"\"Dip.\"\"\"

        def rinse(self):
            \"\"\"Wash all colour out.

            With water.\"\"\"
            return 3
    """
)


def read(tmp_path, text, **options):
    file = tmp_path / "stripes.py"
    file.write_text(text)
    return {pair.summary: pair for pair in read_pairs({"zebra": [file]}, **options)}


def test_pairs_by_hand(tmp_path):
    pairs = read(tmp_path, MODULE)
    assert set(pairs) == {
        "Paint stripes on zebras.",
        "A brush for black paint.",
        "Wash all colour out.",
    }
    module = pairs["Paint stripes on zebras."]
    assert module.is_module
    lines = module.document.split("\n")
    begin = ["stripes", "Slowly.", "More of it.", "import paint  # colours", "class Brush:"]
    assert lines[:5] == begin
    assert "Copyright" not in module.document
    assert pairs["Wash all colour out."].document == (
        "rinse\nWith water.\ndef rinse(self):\nreturn 3"
    )
    leads = {pair.summary: pair.lead for pair in pairs.values()}
    assert leads == {
        "Paint stripes on zebras.": "Slowly.",
        "A brush for black paint.": "class Brush:",
        "Wash all colour out.": "With water.",
    }
    assert not any(pair.is_module for pair in pairs.values() if pair is not module)


@pytest.mark.parametrize(
    "text",
    [
        # Said twice; too short; a licence; no Python; none.
        '"""Paint many stripes."""\nx = "paint many stripes."',
        '"""Paint stripes."""',
        '"""Copyright by the zebras."""',
        "def",
        "x = 1",
    ],
)
def test_what_is_no_pair(tmp_path, text):
    assert read(tmp_path, text) == {}


def test_draws(tmp_path):
    functions = [f"def f{i}():\n    '''Return the number {i}.'''\n" for i in range(9)]
    chosen = [set(read(tmp_path, "".join(functions), per_module=4, seed=s)) for s in (0, 0, 1)]
    assert [len(found) for found in chosen] == [4] * 3
    assert chosen[0] == chosen[1] != chosen[2]


def test_first_sentence():
    assert first_sentence("Read\na file. Then\n\nwrite.") == "Read a file."
    assert first_sentence("Read e.g.that\n\nwrite.") == "Read e.g.that"


def test_packages_are_on_one_side():
    packages = find_packages()
    names = sorted(packages)
    splits = split_packages(names)
    assert sorted(splits["train"] + splits["test"]) == names
    # Whatever else there is.
    assert [split_packages([name])["test"] == [name] for name in ("json", "email")] == [True, False]
    library = sysconfig.get_path("stdlib")
    assert not any("test" in str(path.relative_to(library)) for path in packages["logging"])


def test_what_is_known_is_not_asked():
    known = [Pair("a", "One two three.", "", True), Pair("b", "Four five six.", "", True)]
    asked = [
        Pair("c", "one two three.", "", True),
        Pair("b", "Seven eight nine.", "", True),
        Pair("c", "Ten eleven twelve.", "", True),
    ]
    assert without(asked, known) == asked[2:]


@pytest.mark.slow
def test_quick():
    """Trains, writes, measures; with a model that can learn nothing in so short a time."""
    from examples.summarize.train import MINIATURE, QUICK, run

    results = run(QUICK, None, Console(quiet=True), minutes=0.001, **MINIATURE)
    assert results["data"]["packages"]["test"] == 2
    assert results["training"][0]["steps"] >= 1
    assert set(results["rouge"]) == {
        "its name",
        "its first sentence",
        "the model, 128 pieces",
        "the model, 64 pieces",
    }
    assert len(results["examples"]) == results["data"]["test_modules"] == 4
