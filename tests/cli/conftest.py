"""The command, run in the process of the tests."""

import sys

import pytest

from bigbird_tf.cli import commands


class Outcome:
    """What a run of the command left: its exit status, and what it wrote."""

    def __init__(self, code, captured):
        self.code, self.out, self.err = code, captured.out, captured.err


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bigbird-tf", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        return Outcome(exit_.value.code, capsys.readouterr())

    return run
