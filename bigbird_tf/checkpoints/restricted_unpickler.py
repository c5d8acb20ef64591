"""Reads the pickles of PyTorch's files, and runs nothing that is in them.

A pickle is a program: Python's own `pickle` calls any function that it names. Here a fixed list of
operations works on plain values, and of all functions a caller names the few that may be called.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Global", "load_pickle"]


class Global(NamedTuple):
    """A function or class that a pickle names; only its name is known.

    Attributes:
        name: Such as `"collections.OrderedDict"`.
    """

    name: str


class _Mark:
    """Where the arguments of an operation begin on the stack."""


_MARK = _Mark()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_VALUES = frozenset((*_NUMBERS, "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"))
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PASSED_OVER = frozenset(("PROTO", "FRAME"))


def load_pickle(
    data: bytes,
    functions: Mapping[str, Callable[..., Any]],
    names: Mapping[str, Any],
    load_persistent: Callable[[Any], Any],
) -> Any:
    """Returns what a pickle holds, if that is made of plain values and what is allowed.

    Args:
        data: The pickle.
        functions: What may be called, by name, such as `"collections.OrderedDict"`. They must
            check their arguments, which come from the file.
        names: What may be named but not called, by name.
        load_persistent: Returns what a persistent id means.

    Raises:
        ValueError: If it is no whole pickle, names anything else, or has another operation. What
            `functions` and `load_persistent` raise goes through.
    """
    machine = _Machine(functions, names, load_persistent)
    try:
        for operation, argument, _ in pickletools.genops(data):
            machine.run(operation.name, argument)
    except (IndexError, KeyError) as error:
        # The stack is too short, or nothing was put where something is got.
        raise ValueError(f"its pickle is damaged: {error!r}") from error
    return machine.result


class _Machine:
    """The state of a pickle that is being read: a stack, and values that are used again."""

    def __init__(self, functions: Any, names: Any, load_persistent: Any):
        self.result = None
        self._functions = functions
        self._names = names
        self._load_persistent = load_persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack.append(tuple(reversed([stack.pop() for _ in range(_TUPLES[name])])))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "GLOBAL":
            stack.append(self._find(".".join(argument.split(" ", 1))))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(self._find(f"{_of(str, module)}.{_of(str, attribute)}"))
        elif name == "REDUCE":
            arguments = _of(tuple, stack.pop())
            stack.append(self._call(stack.pop(), arguments))
        elif name == "BUILD":
            # Attributes, such as the `_metadata` of a state dictionary, which is not for us.
            stack.pop()
            _of(dict, stack[-1])
        elif name == "BINPERSID":
            stack.append(self._load_persistent(stack.pop()))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._pop_to_mark()
            _of(list, stack[-1]).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            pair = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._pop_to_mark()
            _set_items(_of(dict, stack[-1]), pair)
        elif name == "STOP":
            self.result = stack.pop()
        elif name not in _PASSED_OVER:
            raise ValueError(f"its pickle has the operation {name}, which no tensors need")

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _find(self, name: str) -> Any:
        if name in self._names:
            return self._names[name]
        if name in self._functions:
            return Global(name)
        raise ValueError(
            f"its pickle names {name}, which is none of what tensors are made of, and was not run"
        )

    def _call(self, function: Any, arguments: tuple) -> Any:
        return self._functions[_of(Global, function).name](*arguments)


def _of(kind: type, value: Any) -> Any:
    """Returns a value of the type that an operation takes."""
    if not isinstance(value, kind):
        raise ValueError(
            f"its pickle is damaged: an operation takes a {kind.__name__}, and has a "
            f"{type(value).__name__}"
        )
    return value


def _set_items(items: dict, pairs: list[Any]) -> None:
    if len(pairs) % 2:
        raise ValueError("its pickle is damaged: a key has no value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        # Tuples within tuples without end would exhaust the stack of what hashes them.
        if not isinstance(key, (str, int)):
            raise ValueError(f"its pickle has a {type(key).__name__} as the key of a dictionary")
        items[key] = value
