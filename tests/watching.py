"""What a function was called with, for tests of arguments that are handed on."""

import inspect


def watch(monkeypatch, module, name):
    """Records the calls of a module's function; returns a list of their arguments by name."""
    function, calls = getattr(module, name), []

    def noted(*args, **kwargs):
        calls.append(inspect.signature(function).bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, noted)
    return calls
