"""What configs of all families share: names that fields may have, and checks of single fields."""

import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

from bigbird_tf.config_checks import check_integer, check_number

__all__ = [
    "ACTIVATIONS",
    "PROBLEM_TYPES",
    "Activation",
    "ProblemType",
    "as_given",
    "check_label_weights",
    "check_token_ids",
    "check_weights",
    "count",
    "or_none",
    "or_zero",
    "positive",
]

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
# Some are one function, under several names that configs use.
Activation = Literal[
    "gelu_new",
    "gelu",
    "gelu_10",
    "gelu_accurate",
    "gelu_fast",
    "gelu_python",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "hardswish",
    "laplace",
    "leaky_relu",
    "linear",
    "mish",
    "quick_gelu",
    "relu",
    "relu2",
    "relu6",
    "sigmoid",
    "silu",
    "sqrtsoftplus",
    "swish",
    "tanh",
]
PROBLEM_TYPES = get_args(ProblemType)
ACTIVATIONS = get_args(Activation)


def check_token_ids(name: str, value: Any) -> int | tuple[int, ...]:
    """Returns the id of a token, or several."""
    if isinstance(value, (list, tuple)):
        return tuple(check_integer(name, token, 0) for token in value)
    return check_integer(name, value, 0)


def check_weights(name: str, value: Any) -> float | tuple[float, ...]:
    """Returns a positive number, or one for each label."""
    if isinstance(value, (list, tuple)):
        return tuple(check_number(name, weight) for weight in value)
    return check_number(name, value)


def check_label_weights(config: Any) -> None:
    """Refuses a config's `pos_weight` where it would not act, or not fit the labels.

    Raises:
        ValueError: If it is such a one.
    """
    weights = config.pos_weight
    if weights is None:
        return
    if config.problem_type != "multi_label_classification":
        raise ValueError(
            "`pos_weight` is of labels that stand by themselves: pass "
            "problem_type='multi_label_classification', too. Received: "
            f"pos_weight={weights!r}, problem_type={config.problem_type!r}"
        )
    if isinstance(weights, tuple) and len(weights) != config.num_labels:
        raise ValueError(
            f"`pos_weight` must be one number, or one for each label. Received: {len(weights)} "
            f"numbers, num_labels={config.num_labels}"
        )


def or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Returns a check that takes `None` too."""
    return lambda name, value: None if value is None else check(name, value)


def as_given(name: str, value: Any) -> Any:
    """Returns what another check looks at."""
    return value


positive = functools.partial(check_integer, least=1)
count = functools.partial(check_integer, least=0)


def or_zero(name: str, value: Any) -> int:
    """Returns an id; without one, 0: there has to be one for padding."""
    return 0 if value is None else count(name, value)
