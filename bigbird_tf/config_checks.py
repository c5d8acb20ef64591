"""What values may be, of configs and other arguments: returned as they are kept, or refused."""

import json
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bigbird_tf.config_record import FrozenDict

__all__ = [
    "check_choice",
    "check_extra",
    "check_flag",
    "check_global_blocks",
    "check_integer",
    "check_number",
    "check_obeyed",
    "check_rate",
    "check_window",
    "merge_labels",
    "settle_labels",
]

# What `transformers` calls labels that nobody has named.
_PLACEHOLDER = re.compile(r"LABEL_\d+")
_LABEL_FIELDS = ("num_labels", "id2label", "label2id")


def check_integer(name: str, value: Any, least: int) -> int:
    """Returns an integer, which may be one of NumPy's, as Python's.

    Raises:
        ValueError: If it is none, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        kind = "a positive integer" if least == 1 else f"an integer, {least} or more"
        raise ValueError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    return int(value)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)


def check_number(name: str, value: Any) -> float:
    """Returns a positive number.

    Raises:
        ValueError: If it is none.
    """
    if not _is_number(value) or value <= 0:
        raise ValueError(f"`{name}` must be a positive number. Received: {name}={value!r}")
    return float(value)


def check_rate(name: str, value: Any) -> float:
    """Returns a dropout rate.

    Raises:
        ValueError: If it is none.
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value!r}")
    return float(value)


def check_window(name: str, value: Any) -> int | tuple[int, int]:
    """Returns the width of a sliding window in blocks, or the blocks before and after the query's.

    A pair of equal numbers becomes a width.

    Raises:
        ValueError: If it is no positive odd integer, and no pair of integers, 0 or more.
    """
    if isinstance(value, (list, tuple)):
        before, after = _check_pair(name, value, "before and after a query's block")
        return 2 * before + 1 if before == after else (before, after)
    value = check_integer(name, value, 1)
    if value % 2 == 0:
        raise ValueError(
            f"`{name}` must be odd: a block, and as many to its left as to its right; for other "
            f"windows pass a pair (before, after). Received: {name}={value}"
        )
    return value


def check_global_blocks(name: str, value: Any) -> int | tuple[int, int]:
    """Returns the number of global blocks, or how many are at the start and at the end.

    A pair that halves their number, rounded up at the start, becomes the number.

    Raises:
        ValueError: If it is no integer, 0 or more, and no pair of such.
    """
    if isinstance(value, (list, tuple)):
        start, end = _check_pair(name, value, "at the start and at the end")
        return start + end if 0 <= start - end <= 1 else (start, end)
    return check_integer(name, value, 0)


def _check_pair(name: str, value: Any, meaning: str) -> tuple[int, ...]:
    if len(value) != 2:
        raise ValueError(
            f"`{name}` must be a number or two, for blocks {meaning}. Received: {name}={value!r}"
        )
    return tuple(check_integer(name, number, 0) for number in value)


def check_flag(name: str, value: Any) -> bool:
    """Returns `True` or `False`.

    Raises:
        ValueError: If it is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return value


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """Returns one of some values.

    Raises:
        ValueError: If it is none of them.
    """
    if value not in choices:
        listing = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listing}. Received: {name}={value!r}")
    return value


def check_extra(name: str, value: Any, known: Sequence[str]) -> FrozenDict:
    """Returns fields of other libraries, as they are after a `config.json` was written and read.

    Raises:
        ValueError: If JSON cannot hold them, or one of them is among the config's `known` ones.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a dictionary. Received: {name}={value!r}")
    for field in value:
        if field in known:
            raise ValueError(
                f"`{name}` holds fields that the config does not have itself. Received: {field!r} "
                f"in {name}. Pass `{field}` beside it."
            )
    try:
        return FrozenDict(json.loads(json.dumps(dict(value))))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be what JSON can hold: {error}") from error


def check_obeyed(extra: Mapping[str, Any]) -> None:
    """Refuses fields of `transformers` whose values would change what a model computes.

    Args:
        extra: The fields that a config keeps and does not read.

    Raises:
        ValueError: If there is such a value.
    """
    if extra.get("add_cross_attention"):
        raise ValueError(
            "`add_cross_attention` must be False: no model here attends to another encoder's "
            f"output. Received: add_cross_attention={extra['add_cross_attention']!r}"
        )


def settle_labels(fields: Mapping[str, Any], default: int) -> dict[str, Any]:
    """Brings the number of labels and their names in line.

    Args:
        fields: `num_labels`, `id2label` and `label2id`, as far as they were given. One dictionary
            is enough. Names such as `"LABEL_0"` in one of them, which `transformers` writes where
            there are none, count less than names in the other.
        default: The number of labels where nothing was given.

    Returns:
        All three. Without names the dictionaries are `None`.

    Raises:
        ValueError: If they contradict each other.
    """
    id2label, label2id = _read_id2label(fields), _read_label2id(fields)
    if id2label is not None and label2id is not None and id2label != label2id:
        if _are_placeholders(label2id):
            label2id = None
        elif _are_placeholders(id2label):
            id2label = None
        else:
            raise ValueError(
                "`label2id` must be the reverse of `id2label`. Received: "
                f"id2label={fields['id2label']!r}, label2id={fields['label2id']!r}. One of them is "
                "enough."
            )
    source, names = ("label2id", label2id) if id2label is None else ("id2label", id2label)
    if names is None:
        return {"num_labels": fields.get("num_labels", default), "id2label": None, "label2id": None}
    if sorted(names) != list(range(len(names))) or not names:
        raise ValueError(
            "The labels' ids must be 0, 1, 2, … without gaps, one for each output. Received: "
            f"{sorted(names)}"
        )
    if len(set(names.values())) < len(names):
        raise ValueError(f"Labels must have different names. Received: {list(names.values())}")
    if fields.get("num_labels", len(names)) != len(names):
        raise ValueError(
            f"`num_labels` must be the number of labels in `{source}`. Received: num_labels="
            f"{fields['num_labels']}, {len(names)} labels in {source}. The names are enough."
        )
    names = {index: names[index] for index in range(len(names))}
    return {
        "num_labels": len(names),
        "id2label": FrozenDict(names),
        "label2id": FrozenDict({label: index for index, label in names.items()}),
    }


def _read_id2label(fields: Mapping[str, Any]) -> dict[int, str] | None:
    names = _read_mapping("id2label", fields)
    if names is None:
        return None
    labels = {_read_id("id2label", index, names): str(label) for index, label in names.items()}
    if len(labels) < len(names):
        raise ValueError(f"`id2label` must have a label for each id. Received: id2label={names!r}")
    return labels


def _read_label2id(fields: Mapping[str, Any]) -> dict[int, str] | None:
    """Reads `label2id` the way round that `id2label` is."""
    ids = _read_mapping("label2id", fields)
    if ids is None:
        return None
    names = {_read_id("label2id", index, ids): str(label) for label, index in ids.items()}
    if len(names) < len(ids):
        raise ValueError(f"`label2id` must have an id for each label. Received: label2id={ids!r}")
    return names


def _read_mapping(name: str, fields: Mapping[str, Any]) -> Mapping | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a dictionary or None. Received: {name}={value!r}")
    return value


def _read_id(name: str, index: Any, names: Mapping) -> int:
    # Keys of JSON are strings.
    is_integer = isinstance(index, numbers.Integral) and not isinstance(index, bool)
    if not is_integer and not (isinstance(index, str) and index.isdecimal()):
        raise ValueError(
            f"The ids in `{name}` must be integers, 0 or more. Received: {name}={dict(names)!r}"
        )
    return int(index)


def _are_placeholders(names: Mapping[int, str]) -> bool:
    return all(_PLACEHOLDER.fullmatch(label) for label in names.values())


def merge_labels(fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Puts fields and those that replace them together, so that nothing stale is left of labels.

    Names take the place of all that the fields say of labels, their number included. A number alone
    leaves the names, if there are as many.
    """
    given = [name for name in _LABEL_FIELDS if name in overrides]
    if not given:
        return {**fields, **overrides}
    others = {name: value for name, value in fields.items() if name not in _LABEL_FIELDS}
    if any(overrides.get(name) is not None for name in _LABEL_FIELDS[1:]):
        return {**others, **overrides}
    names = [fields[name] for name in _LABEL_FIELDS[1:] if isinstance(fields.get(name), Mapping)]
    count = len(names[0]) if names else fields.get("num_labels")
    number = overrides.get("num_labels", count)
    if given == ["num_labels"] and names and number == count:
        return {**fields, **overrides}
    return {**others, **overrides, **({} if number is None else {"num_labels": number})}
