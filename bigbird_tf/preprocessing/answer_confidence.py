"""`AnswerCalibration`: how sure an answer is, from the probability that the model gives it."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

__all__ = ["AnswerCalibration", "check_confidence_threshold", "log_odds"]

# Nearer to 1, float32 cannot tell a probability from it.
LARGEST_LOG_PROBABILITY = -1e-6


@dataclasses.dataclass(frozen=True)
class AnswerCalibration:
    """Turns the log-odds of an answer into the probability that it is right: Platt's scaling.

    The confidence is `sigmoid(weight * log_odds + bias)`. Networks are surer than they should be;
    fitted to answers of pages that training has not seen, `weight` and `bias` mend that. A model's
    `config.json` may have them as `answer_calibration`, where exports find them.

    Args:
        weight: The slope, positive. With 1 and no bias, confidence is the model's own probability.
        bias: The offset.
        threshold: The confidence below which exports give no answer, unless told otherwise; in
            [0, 1).

    Raises:
        ValueError: If a value is impossible.
    """

    weight: float = 1.0
    bias: float = 0.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight", "bias", "threshold"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise ValueError(
                    f"`{name}` of `answer_calibration` must be a finite number. Received: "
                    f"{name}={value!r}"
                )
        if self.weight <= 0:
            raise ValueError(
                "`weight` of `answer_calibration` must be positive. Received: "
                f"weight={self.weight!r}"
            )
        check_confidence_threshold("threshold", self.threshold)

    @classmethod
    def of_config(cls, config: Any) -> "AnswerCalibration | None":
        """Reads the field `answer_calibration` of a model's config, `None` where there is none.

        Args:
            config: A `BigBirdConfig`.

        Raises:
            ValueError: If the field is no dictionary of our arguments.
        """
        fields = config.extra.get("answer_calibration")
        if fields is None:
            return None
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(fields, dict) or set(fields) - set(names):
            raise ValueError(
                f"`answer_calibration` of the config must be a dictionary of {', '.join(names)}. "
                f"Received: answer_calibration={fields!r}"
            )
        return cls(**fields)

    def __call__(self, odds: tf.Tensor) -> tf.Tensor:
        """Returns the confidence for log-odds of any shape."""
        return tf.sigmoid(self.weight * odds + self.bias)

    def least_log_odds(self, confidence: float) -> float:
        """Returns the log-odds from which on answers have such a confidence.

        Raises:
            ValueError: If `confidence` is not in [0, 1).
        """
        check_confidence_threshold("confidence_threshold", confidence)
        if confidence == 0:
            return float("-inf")
        return (math.log(confidence / (1 - confidence)) - self.bias) / self.weight


def check_confidence_threshold(name: str, value: float) -> None:
    """Raises a `ValueError` unless a threshold is a number in [0, 1)."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be a number in [0, 1). Received: {name}={value!r}")


def log_odds(log_probability: tf.Tensor) -> tf.Tensor:
    """Returns `log(p / (1 - p))` of a probability p given as its logarithm; float32."""
    log_probability = tf.minimum(log_probability, LARGEST_LOG_PROBABILITY)
    return log_probability - tf.math.log1p(-tf.exp(log_probability))
