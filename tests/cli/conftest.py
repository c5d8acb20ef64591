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


class Notes:
    """Stands for a function: notes what it is called with, and returns or raises one thing."""

    def __init__(self, result=None):
        self.result, self.calls = result, []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    @property
    def call(self):
        """The only call."""
        [call] = self.calls
        return call


@pytest.fixture
def notes(monkeypatch):
    """Returns a function that replaces a module's function by one that records its calls."""

    def place(module, name, result=None):
        made = Notes(result)
        monkeypatch.setattr(module, name, made)
        return made

    return place
