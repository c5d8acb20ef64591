"""Makes a release: writes version and date, commits, and tags. `make release VERSION=0.2.0`."""

import datetime
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["dated_changelog", "main", "with_version"]

ROOT = Path(__file__).parents[1]
CHANGELOG, VERSION_FILE = "CHANGELOG.md", "bigbird_tf/version.py"
UNRELEASED = "## Unreleased\n"
VERSION = re.compile(r"\d+\.\d+\.\d+")
ASSIGNMENT = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)


def dated_changelog(text: str, version: str, date: datetime.date) -> str:
    """Returns the changelog with what is unreleased under a version and its date.

    Raises:
        ValueError: If nothing is unreleased.
    """
    before, heading, after = text.partition(UNRELEASED)
    entries = after.partition("\n## ")[0]
    if not heading or not entries.strip():
        raise ValueError(f"{CHANGELOG} must have entries under {UNRELEASED.strip()!r}.")
    return f"{before}{UNRELEASED}\n## {version} ({date.isoformat()})\n{after}"


def with_version(text: str, version: str) -> str:
    """Returns the file of the version with another one.

    Raises:
        ValueError: If it is none, or not above the one that is there.
    """
    now = ASSIGNMENT.search(text)
    if now is None:
        raise ValueError(f"{VERSION_FILE} must have a line `__version__ = …`.")
    if not VERSION.fullmatch(version) or _numbers(version) <= _numbers(now[1]):
        raise ValueError(
            f"VERSION must be three numbers with dots, above {now[1]}. Received: {version!r}"
        )
    return ASSIGNMENT.sub(f'__version__ = "{version}"', text)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


def main(version: str, root: Path = ROOT) -> None:
    """Writes, commits and tags. Nothing is changed if something stands against it.

    Args:
        version: Such as `"0.2.0"`.
        root: The repository.

    Raises:
        ValueError: If the version cannot be released, or there are changes that are not committed.
        subprocess.CalledProcessError: If Git refuses the commit or the tag.
    """
    if _git(root, "status", "--porcelain"):
        raise ValueError("There are changes that are not committed. Commit or stash them.")
    if _git(root, "tag", "--list", f"v{version}"):
        raise ValueError(f"There is a tag v{version} already.")
    changelog, version_file = root / CHANGELOG, root / VERSION_FILE
    today = datetime.datetime.now(datetime.UTC).date()
    written = {
        version_file: with_version(version_file.read_text(encoding="utf-8"), version),
        changelog: dated_changelog(changelog.read_text(encoding="utf-8"), version, today),
    }
    before = {file: file.read_bytes() for file in written}
    head = _git(root, "rev-parse", "HEAD").strip()
    try:
        for file, text in written.items():
            file.write_text(text, encoding="utf-8")
        _git(root, "commit", "--all", "--message", f"Release {version}")
        _git(root, "tag", "--annotate", f"v{version}", "--message", f"Release {version}")
    except BaseException:
        for file, content in before.items():
            file.write_bytes(content)
        if _git(root, "rev-parse", "HEAD").strip() != head:
            # Takes the commit back, not the files.
            _git(root, "reset", "--quiet", head)
        raise
    print(f"Committed and tagged v{version}. Publish it: git push --follow-tags")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2] or [""])
    except ValueError as error:
        sys.exit(f"No release: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"No release: {error}\n{error.stderr}")
