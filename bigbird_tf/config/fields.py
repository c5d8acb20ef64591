"""What configs of all families share: names that fields may have, and checks of single fields."""

import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

from bigbird_tf.config_checks import check_integer

__all__ = [
    "ACTIVATIONS",
    "PROBLEM_TYPES",
    "Activation",
    "ProblemType",
    "as_given",
    "check_token_ids",
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
