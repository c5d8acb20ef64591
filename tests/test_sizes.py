"""No file is longer than one can take in, but where it says why."""

from pathlib import Path

from tests.conftest import ROOT

LONGEST = 400
FOLDERS = ("benchmarks", "bigbird_tf", "examples", "tests")
# In the lines at the top of a file, before its reason.
SAYS_WHY = f"Longer than {LONGEST} lines: "
TOP = 20


def too_long(files: dict[str, str]) -> list[str]:
    """Returns which of the files, texts by name, are too long and do not say why."""
    lines = {name: text.splitlines() for name, text in files.items()}
    return [
        f"{name}: {len(of_file)} lines"
        for name, of_file in lines.items()
        if len(of_file) > LONGEST and not any(SAYS_WHY in line for line in of_file[:TOP])
    ]


def test_no_file_is_too_long():
    files = [path for folder in FOLDERS for path in sorted(Path(ROOT, folder).rglob("*.py"))]
    assert len(files) > 100
    assert not too_long({path.relative_to(ROOT).as_posix(): path.read_text() for path in files})


def test_exceptions_say_why():
    code = "x = 1\n" * LONGEST
    files = {
        "long": code,
        "longer": f'"""A module."""\n{code}',
        "with a reason": f"# Longer than 400 lines: one table.\n{code}",
        "with a reason that nobody sees": f"{code}# Longer than 400 lines: one table.\n",
    }
    assert too_long(files) == ["longer: 401 lines", "with a reason that nobody sees: 401 lines"]
