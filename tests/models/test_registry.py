"""The registry of heads, and subclasses of heads."""

import json

import keras
import pytest

import bigbird_tf as bb
from bigbird_tf import models
from bigbird_tf.checkpoints import transformers_format
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.registry import MODEL_CLASSES
from tests.backends import IS_TENSORFLOW
from tests.contract import (
    assert_close,
    random_ids,
    randomize,
    tiny_config,
    tiny_pegasus_config,
)


class WithLabelSmoothing(bb.BigBirdForTokenClassification):
    """A user's own head."""


def test_all_public_models_are_in_it():
    assert {*MODEL_CLASSES} == {*models.__all__}
    assert all(name == cls.__name__ == cls.public_name for name, cls in MODEL_CLASSES.items())


@pytest.mark.parametrize("name", sorted(MODEL_CLASSES))
def test_each_has_names_for_all_its_tensors(name):
    model_class = MODEL_CLASSES[name]
    is_pegasus = model_class.config_class is bb.BigBirdPegasusConfig
    model = model_class(tiny_pegasus_config() if is_pegasus else tiny_config(num_hidden_layers=1))
    table = transformers_format.tensor_table(model)
    held = [getattr(entry.layer, entry.attribute).path for entry in table.values()]
    assert sorted(held) == sorted(weight.path for weight in model.weights)


def test_a_subclass_is_saved_and_loaded(tmp_path):
    model = WithLabelSmoothing(tiny_config(num_hidden_layers=1, num_labels=3))
    randomize(model)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    # What `transformers` and the command line know.
    assert config["architectures"] == ["BigBirdForTokenClassification"]
    for cls in (WithLabelSmoothing, bb.BigBirdForTokenClassification):
        loaded = cls.from_pretrained(tmp_path)
        assert type(loaded) is cls
        assert_close(loaded(random_ids()), model(random_ids()), 1e-6)


@pytest.mark.skipif(not IS_TENSORFLOW, reason="SavedModels are TensorFlow's")
def test_a_subclass_has_the_servable_of_its_base():
    from bigbird_tf.serving import TokenClassificationServable, make_servable

    servable = make_servable(WithLabelSmoothing(tiny_config(num_hidden_layers=1)))
    assert type(servable) is TokenClassificationServable


def test_a_head_of_another_form():
    class OwnHead(BigBirdWithHead):
        def _make_head(self):
            return keras.layers.Dense(2)

    with pytest.raises(TypeError, match=r"must derive from one of .*Received: OwnHead.*`\.keras`"):
        transformers_format.tensor_table(OwnHead(tiny_config(num_hidden_layers=1)))
