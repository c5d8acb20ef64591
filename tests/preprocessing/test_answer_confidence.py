import math

import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.preprocessing import AnswerCalibration
from bigbird_tf.preprocessing.answer_confidence import log_odds


def test_log_odds():
    probability = np.array([0.5, 0.9, 1e-30], np.float32)
    expected = np.log(probability) - np.log1p(-probability)
    np.testing.assert_allclose(log_odds(tf.math.log(probability)), expected, rtol=1e-5)
    certain, impossible = log_odds(tf.constant([0.0, -math.inf])).numpy()
    assert 13 < certain < math.inf
    assert impossible == -math.inf


def test_without_arguments_it_is_the_probability():
    odds = log_odds(tf.math.log([0.2, 0.7]))
    np.testing.assert_allclose(AnswerCalibration()(odds), [0.2, 0.7], rtol=1e-5)
    assert AnswerCalibration().least_log_odds(0.0) == -math.inf
    assert AnswerCalibration().least_log_odds(0.75) == pytest.approx(math.log(3))


def test_weight_and_bias():
    calibration = AnswerCalibration(weight=0.5, bias=-1.0)
    np.testing.assert_allclose(calibration(tf.constant(2.0)), 0.5)
    assert calibration.least_log_odds(0.5) == pytest.approx(2.0)


def test_of_config():
    fields = {"weight": 0.5, "bias": -1, "threshold": 0.3}
    config = bb.BigBirdConfig(extra={"answer_calibration": fields})
    assert AnswerCalibration.of_config(config) == AnswerCalibration(0.5, -1, 0.3)
    assert AnswerCalibration.of_config(bb.BigBirdConfig()) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": 0}, r"`weight` of `answer_calibration` must be positive.*weight=0"),
        ({"weight": True}, "`weight` .* finite number.*weight=True"),
        ({"bias": math.nan}, "`bias` .* finite number.*bias=nan"),
        ({"bias": "1"}, "`bias` .* finite number.*bias='1'"),
        ({"threshold": 1}, r"`threshold` must be a number in \[0, 1\).*threshold=1"),
        ({"wieght": 1}, "dictionary of weight, bias, threshold.*wieght"),
        ([1.0, 2.0], "dictionary of weight, bias, threshold"),
    ],
)
def test_impossible_values(fields, message):
    config = bb.BigBirdConfig(extra={"answer_calibration": fields})
    with pytest.raises(ValueError, match=message):
        AnswerCalibration.of_config(config)


@pytest.mark.parametrize("confidence", [-0.1, 1.0, math.nan, "0.5", True])
def test_impossible_thresholds(confidence):
    with pytest.raises(ValueError, match=r"`confidence_threshold` must be a number in \[0, 1\)"):
        AnswerCalibration().least_log_odds(confidence)
