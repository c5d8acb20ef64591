"""A small model, and what it is saved as."""

import pytest

from bigbird_tf.checkpoints import convert_google_checkpoint
from bigbird_tf.models import (
    BigBirdForSequenceClassification,
    BigBirdPegasusForConditionalGeneration,
)
from tests.checkpoints.google_data import PEGASUS_FILES
from tests.contract import randomize, tiny_config


@pytest.fixture
def model():
    model = BigBirdForSequenceClassification(tiny_config(num_labels=3))
    randomize(model)
    return model


@pytest.fixture
def saved(model, tmp_path):
    """A saved model's directory."""
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture(scope="session")
def google_pegasus(google_fixtures, tmp_path_factory):
    """Models of Google's encoder-decoders, by the folder of the fixture."""
    made = {}
    for name in dict(PEGASUS_FILES):
        folder, converted = google_fixtures / name, tmp_path_factory.mktemp("google") / name
        convert_google_checkpoint(folder / "model.ckpt", folder / "config.json", converted)
        made[name] = BigBirdPegasusForConditionalGeneration.from_pretrained(converted)
    return made
