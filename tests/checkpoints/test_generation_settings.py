"""`generation_config.json`: read, obeyed and written again."""

import json
import re

import pytest

from bigbird_tf import BigBirdPegasusForConditionalGeneration, BigBirdPegasusModel
from bigbird_tf.models.big_bird_pegasus.summary_generation import DEFAULTS, complete_arguments
from tests.contract import tiny_pegasus_config

SETTINGS = {
    "num_beams": 3,
    "length_penalty": 0.8,
    "early_stopping": True,
    "no_repeat_ngram_size": 2,
    "max_length": 9,
    "forced_eos_token_id": [7, 1],
    "eos_token_id": [7, 1],
    "pad_token_id": 0,
    "decoder_start_token_id": 2,
    "transformers_version": "5.24.0",
}
FILE = "generation_config.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose config says other things."""
    path = tmp_path_factory.mktemp("model")
    config = tiny_pegasus_config(extra={"num_beams": 5, "repetition_penalty": 2.0})
    BigBirdPegasusForConditionalGeneration(config).save_pretrained(path)
    assert not (path / FILE).exists()
    return path


@pytest.fixture
def load(folder):
    """Returns a function that loads the model beside some settings."""

    def load(settings, model_class=BigBirdPegasusForConditionalGeneration, **overrides):
        text = settings if isinstance(settings, str) else json.dumps(settings)
        (folder / FILE).write_text(text)
        return model_class.from_pretrained(folder, **overrides)

    yield load
    (folder / FILE).unlink(missing_ok=True)


def arguments_of(model):
    return complete_arguments(dict.fromkeys(DEFAULTS), model.config, do_sample=False)


def test_the_file_decides_alone(load):
    model = load(SETTINGS)
    names = ("num_beams", "length_penalty", "early_stopping", "no_repeat_ngram_size")
    expected = {**DEFAULTS, **{name: SETTINGS[name] for name in names}}
    expected |= {"max_new_tokens": 8, "forced_eos_token_id": [7, 1]}
    assert arguments_of(model) == expected
    assert model.config.eos_token_id == (7, 1)


def test_without_it_the_config_does(folder):
    model = BigBirdPegasusForConditionalGeneration.from_pretrained(folder)
    expected = {**DEFAULTS, "num_beams": 5, "repetition_penalty": 2.0}
    assert arguments_of(model) == expected


def test_written_again(load, tmp_path):
    model = load(SETTINGS)
    # What has changed since is written.
    model.config = model.config.replace(eos_token_id=5)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == {**SETTINGS, "eos_token_id": 5}
    assert "generation_config" not in json.loads((tmp_path / "config.json").read_text())
    again = BigBirdPegasusForConditionalGeneration.from_pretrained(tmp_path)
    assert arguments_of(again) == arguments_of(model)


def test_not_left_behind_by_a_model_saved_before(load, folder, tmp_path):
    load(SETTINGS).save_pretrained(tmp_path)
    (folder / FILE).unlink()
    BigBirdPegasusForConditionalGeneration.from_pretrained(folder).save_pretrained(tmp_path)
    again = BigBirdPegasusForConditionalGeneration.from_pretrained(tmp_path)
    assert arguments_of(again)["num_beams"] == 5


def test_kept_by_keras(load):
    model = load(SETTINGS)
    again = type(model).from_config(model.get_config())
    assert arguments_of(again) == arguments_of(model)


def test_other_special_ids_count_with_a_warning(load):
    with pytest.warns(UserWarning, match=re.escape("decoder_start_token_id=4 (config.json: 2)")):
        model = load({**SETTINGS, "decoder_start_token_id": 4})
    assert model.config.decoder_start_token_id == 4
    given = load({**SETTINGS, "decoder_start_token_id": 4}, decoder_start_token_id=2)
    assert given.config.decoder_start_token_id == 2


def test_what_is_not_obeyed_is_named(load):
    neutral = {"num_beam_groups": 1, "bad_words_ids": None, "diversity_penalty": 0.0}
    load({**SETTINGS, **neutral})
    message = r"no defaults for these settings.*: bad_words_ids=\[\[3\]\], do_sample=True\. "
    with pytest.warns(UserWarning, match=message):
        load({**SETTINGS, "do_sample": True, "bad_words_ids": [[3]]})


def test_a_config_alone_is_no_place_for_them(load, tmp_path):
    """Under our own name they would say nothing to `transformers`, or to us."""
    config = load(SETTINGS).config
    config.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    assert "generation_config" not in fields
    assert fields["num_beams"] == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]
    # Objects keep them: `.keras` files hold all of a config.
    assert config.replace(dropout=0.2).extra["generation_config"] == SETTINGS


def test_other_classes_do_not_read_it(load):
    model = load("no JSON", BigBirdPegasusModel)
    assert "generation_config" not in model.config.extra


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must be a JSON object. Received: a list"),
        ({"decoder_start_token_id": 999}, "does not fit the model's config.*`decoder_start"),
    ],
)
def test_bad_files(load, settings, message):
    with pytest.raises(ValueError, match=message):
        load(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": "256"}, "`max_length` must be a positive integer. Received: max_.*'256'"),
        ({"max_length": 0}, "`max_length` must be a positive integer"),
        ({"min_length": 2.5}, "`min_length` must be an integer, 0 or more"),
        ({"max_new_tokens": "5"}, "`max_new_tokens` must be a positive integer"),
    ],
    ids=str,
)
def test_lengths_that_are_none(settings, message):
    config = tiny_pegasus_config(extra=settings)
    with pytest.raises(ValueError, match=message):
        complete_arguments(dict.fromkeys(DEFAULTS), config, do_sample=False)
