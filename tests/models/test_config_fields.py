"""Fields of the config that act in models, each with a value of its own, found where it acts."""

import keras
import pytest

from bigbird_tf import models
from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from bigbird_tf.serving.question_answering import AnswerCalibration
from tests.contract import tiny_config

HEADS = [name for name in models.__all__ if name.startswith("BigBirdFor")]


def config(**fields):
    own = {
        "num_hidden_layers": 0, "hidden_dropout_prob": 0.11, "classifier_dropout": 0.17,
        "num_labels": 6, "pad_token_id": 7, "eos_token_id": [9, 8], "sep_token_id": 4,
    }  # fmt: skip
    return tiny_config(**{**own, **fields})


@pytest.mark.parametrize("name", HEADS)
def test_all_parts_have_the_models_config_and_dtype(name):
    model = getattr(models, name)(config(num_hidden_layers=1), dtype="mixed_bfloat16")
    parts = [part for part in model._flatten_layers() if hasattr(part, "config")]
    assert len(parts) > 4
    assert all(part.config == model.config for part in parts)
    assert {part.dtype_policy.name for part in model._flatten_layers()} == {"mixed_bfloat16"}


def test_rates_of_the_two_linear_heads():
    """Token classifiers have the classifier's, choices the encoder's, as in `transformers`."""
    tokens = models.BigBirdForTokenClassification(config()).head
    assert (tokens.units, tokens.dropout.rate) == (6, 0.17)
    choices = models.BigBirdForMultipleChoice(config()).head
    assert (choices.units, choices.dropout.rate) == (1, 0.11)
    without = config(classifier_dropout=None)
    assert models.BigBirdForTokenClassification(without).head.dropout.rate == 0.11
    never = config(classifier_dropout=0.0)
    assert models.BigBirdForTokenClassification(never).head.dropout.rate == 0.0


def test_which_models_have_a_pooler_and_read_it():
    found = {}
    for name in HEADS:
        model = getattr(models, name)(config())
        pooler = getattr(model, "backbone", model).pooler
        found[name] = None if pooler is None else pooler.trainable
    assert found == {
        "BigBirdForCausalLM": False,
        "BigBirdForMaskedLM": False,
        "BigBirdForMultipleChoice": True,
        "BigBirdForPreTraining": True,
        "BigBirdForQuestionAnswering": None,
        "BigBirdForSentenceEmbedding": False,
        "BigBirdForSequenceClassification": False,
        "BigBirdForTokenClassification": False,
    }


def test_stop_tokens():
    model = models.BigBirdForCausalLM(config())
    assert model.stop_tokens(None) == (9, 8)
    assert model.stop_tokens(3) == (3,)
    assert model.stop_tokens(0) == (0,)
    assert model.stop_tokens([]) == ()
    for ids, stops in ((5, (5,)), (None, ())):
        assert models.BigBirdForCausalLM(config(eos_token_id=ids)).stop_tokens(None) == stops


@pytest.mark.parametrize(
    ("fields", "kind", "loss", "metric"),
    [
        ({}, "single_label_classification", SparseCrossentropy, SparseAccuracy),
        (
            {"problem_type": "multi_label_classification"}, "multi_label_classification",
            keras.losses.BinaryCrossentropy, keras.metrics.BinaryAccuracy,
        ),
        (
            {"problem_type": "regression"}, "regression", keras.losses.MeanSquaredError,
            keras.metrics.MeanAbsoluteError,
        ),
        (
            {"num_labels": 1}, "regression", keras.losses.MeanSquaredError,
            keras.metrics.MeanAbsoluteError,
        ),
        (
            {"num_labels": 1, "problem_type": "multi_label_classification"},
            "multi_label_classification", keras.losses.BinaryCrossentropy,
            keras.metrics.BinaryAccuracy,
        ),
        (
            {"num_labels": 2}, "single_label_classification", SparseCrossentropy, SparseAccuracy
        ),
    ],
)  # fmt: skip
def test_kinds_of_labels(fields, kind, loss, metric):
    model = models.BigBirdForSequenceClassification(config(**fields))
    assert model.problem_type == kind
    assert type(model._default_loss()) is loss
    assert [type(made) for made in model._default_metrics()] == [metric]
    if loss is not keras.losses.MeanSquaredError:
        assert model._default_loss().get_config()["from_logits"] is True


def test_answer_calibration():
    fields = {"weight": 0.7, "bias": -0.3, "threshold": 0.2}
    found = AnswerCalibration.of_config(config(extra={"answer_calibration": fields}))
    assert found == AnswerCalibration(0.7, -0.3, 0.2)
    assert AnswerCalibration.of_config(config()) is None
