"""Records that cannot be changed, and that name the nearest field where one is misspelt."""

import dataclasses
import difflib
import functools
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar, dataclass_transform

__all__ = ["FrozenDict", "check_names", "frozen_record"]

T = TypeVar("T")


class FrozenDict(dict):
    """A dictionary that cannot be changed, and so can be hashed; equal to any with its items."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "A config's dictionaries cannot be changed. Make a new config: "
            "`config = config.replace(name={**config.name, key: value})`"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # that of `dict` is None
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple:
        return type(self), (dict(self),)


def check_names(owner: str, given: dict[str, Any], known: Iterable[str]) -> None:
    """Refuses names that are not known.

    Args:
        owner: What has the known names.
        given: The values that were given, by name.
        known: The known names.

    Raises:
        TypeError: If there is another name. The message has the nearest known one.
    """
    known = list(known)
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    problems = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"Did you mean `{near[0]}`?" if near else f"It has {', '.join(known)}."
        problems.append(
            f"`{owner}` has no field `{name}`. {advice} Received: {name}={given[name]!r}"
        )
    raise TypeError("; ".join(problems))


@dataclass_transform(kw_only_default=True, frozen_default=True)
def frozen_record(cls: type[T]) -> type[T]:
    """Makes a frozen dataclass of a class, whose fields are given by name.

    It is one for editors and `inspect.signature`, too. Other than a plain one it says what to do
    instead of assigning, names the nearest field where one is misspelt, and hands all that was
    given to the class' `_settle`, which returns the fields as they are to be kept.
    """
    record: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    initialize = record.__init__
    names = [field.name for field in dataclasses.fields(record)]

    @functools.wraps(initialize)
    def __init__(self, *args, **fields):
        if args:
            raise TypeError(
                f"`{cls.__name__}` takes its fields by name, such as `{cls.__name__}"
                f"({names[0]}=…)`. Received: {args[0]!r}"
            )
        check_names(cls.__name__, fields, names)
        initialize(self, **record._settle(fields))

    def refuse(name: str, change: str) -> NoReturn:
        near = difflib.get_close_matches(name, names, n=1)
        raise dataclasses.FrozenInstanceError(
            f"A `{cls.__name__}` cannot be changed, since models are made of it. Make a new one: "
            f"`config = config.replace({near[0] if near else name}={change})`"
        )

    def __setattr__(self, name, value):
        refuse(name, repr(value))

    def __delattr__(self, name):
        refuse(name, "…")

    record.__init__, record.__setattr__, record.__delattr__ = __init__, __setattr__, __delattr__
    return record
