"""The command that makes a release, in a repository of its own."""

import datetime
import subprocess

import pytest

from tools.release import dated_changelog, main, with_version

CHANGELOG = "# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.1.0 (2026-01-02)\n\n- Old.\n"


def git(root, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    (tmp_path / "bigbird_tf").mkdir()
    (tmp_path / "bigbird_tf/version.py").write_text('"""V."""\n\n__version__ = "0.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    return tmp_path


def test_a_release(root):
    main("0.2.0", root)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    assert (root / "bigbird_tf/version.py").read_text() == '"""V."""\n\n__version__ = "0.2.0"\n'
    assert (root / "CHANGELOG.md").read_text() == (
        f"# Changelog\n\n## Unreleased\n\n## 0.2.0 ({today})\n\n- New.\n\n"
        "## 0.1.0 (2026-01-02)\n\n- Old.\n"
    )
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "-1", "--format=%s").strip() == "Release 0.2.0"
    assert git(root, "tag", "--points-at", "HEAD").strip() == "v0.2.0"


def test_nothing_is_half_done(root):
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace("- New.\n", ""))
    with pytest.raises(ValueError, match="not committed"):
        main("0.2.0", root)
    git(root, "commit", "--all", "--quiet", "--message", "Nothing new")
    with pytest.raises(ValueError, match="must have entries under '## Unreleased'"):
        main("0.2.0", root)
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "tag") == ""


@pytest.mark.parametrize("step", ["commit", "tag"])
def test_what_git_refuses_is_taken_back(root, step):
    if step == "commit":
        hook = root / ".git/hooks/pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    else:
        git(root, "config", "tag.gpgSign", "true")
        git(root, "config", "gpg.program", "false")
    with pytest.raises(subprocess.CalledProcessError, match=f"'{step}'"):
        main("0.2.0", root)
    assert (root / "CHANGELOG.md").read_text() == CHANGELOG
    assert git(root, "status", "--porcelain") == git(root, "tag") == ""
    assert git(root, "log", "--format=%s").split() == ["First"]


def test_a_tag_that_is_there(root):
    git(root, "tag", "v0.2.0")
    with pytest.raises(ValueError, match=r"a tag v0\.2\.0 already"):
        main("0.2.0", root)


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "1.0", "v0.2.0", ""])
def test_versions_that_are_none(version):
    with pytest.raises(ValueError, match=r"above 0\.1\.0. Received: "):
        with_version('__version__ = "0.1.0"\n', version)


def test_ten_comes_after_nine():
    assert with_version('__version__ = "0.9.0"', "0.10.0") == '__version__ = "0.10.0"'


def test_a_changelog_without_the_heading():
    with pytest.raises(ValueError, match="Unreleased"):
        dated_changelog("# Changelog\n", "0.2.0", datetime.date(2026, 1, 2))
