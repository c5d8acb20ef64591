"""What `convert_google_checkpoint` refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.checkpoints import convert_google_checkpoint
from tests.checkpoints.google_data import (
    SETTINGS,
    committed_variables,
    write_checkpoint,
)


class TestMisfits:
    """Each is a clear error, and nothing is written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, tmp_path):
        yield
        assert {path.name for path in tmp_path.iterdir()} <= {"google", "settings.json"}

    def convert(self, variables, tmp_path, **settings):
        prefix = write_checkpoint(variables, tmp_path / "google")
        convert_google_checkpoint(prefix, {**SETTINGS, **settings}, tmp_path / "made")

    def test_missing_variable(self, tmp_path):
        variables = committed_variables("pooler")
        del variables["bert/encoder/layer_1/attention/self/value/kernel"]
        with pytest.raises(ValueError, match="missing: bert/encoder/layer_1/attention/self/value"):
            self.convert(variables, tmp_path)

    def test_each_variable_is_needed(self, tmp_path):
        variables = committed_variables("pooler")
        # Without the word embeddings it is no checkpoint of BigBird at all.
        for name in sorted(set(variables) - {"bert/embeddings/word_embeddings"}):
            others = {other: array for other, array in variables.items() if other != name}
            with pytest.raises(ValueError, match=rf"Variables missing: {name}$"):
                self.convert(others, tmp_path)

    def test_biases_where_the_config_has_none(self, tmp_path):
        with pytest.raises(ValueError, match=r"Variables unexpected: .*/attention/self/key/bias"):
            self.convert(committed_variables(), tmp_path, use_bias=False)

    def test_half_a_head(self, tmp_path):
        variables = committed_variables("masked_lm")
        del variables["transform/gamma"], variables["cls/predictions/output_bias"]
        expected = "missing: cls/predictions/output_bias, transform/gamma$"
        with pytest.raises(ValueError, match=expected):
            self.convert(variables, tmp_path)

    def test_classifier_without_pooler(self, tmp_path):
        expected = "missing: bert/pooler/dense/bias, bert/pooler/dense/kernel$"
        with pytest.raises(ValueError, match=expected):
            self.convert(committed_variables("classifier"), tmp_path)

    def test_unexpected_variables(self, tmp_path):
        # One layer fewer in the config than in the checkpoint.
        with pytest.raises(ValueError, match=r"unexpected: bert/encoder/layer_1/.* and \d+ more$"):
            self.convert(committed_variables(), tmp_path, num_hidden_layers=1)

    def test_misshapen_variable(self, tmp_path):
        expected = (
            r"of wrong shape: bert/embeddings/position_embeddings is \(1024, 32\), the config "
            r"makes it \(4096, 32\)"
        )
        with pytest.raises(ValueError, match=expected):
            self.convert(committed_variables(), tmp_path, max_position_embeddings=4096)

    def test_all_problems_at_once(self, tmp_path):
        with pytest.raises(ValueError, match=r"missing: .*; variables of wrong shape: "):
            self.convert(committed_variables(), tmp_path, num_hidden_layers=3, type_vocab_size=3)

    def test_other_number_of_labels(self, tmp_path):
        with pytest.raises(ValueError, match=r"bert/classifier/bias is \(2,\), .* \(5,\)"):
            self.convert(committed_variables("pooler", "classifier"), tmp_path, num_labels=5)

    def test_no_checkpoint(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no file .*nowhere/model\.ckpt\.index"):
            convert_google_checkpoint(tmp_path / "nowhere/model.ckpt", SETTINGS, tmp_path / "made")

    def test_directory_without_checkpoint(self, tmp_path):
        (tmp_path / "google").mkdir()
        with pytest.raises(FileNotFoundError, match="names no checkpoint"):
            convert_google_checkpoint(tmp_path / "google", SETTINGS, tmp_path / "made")

    @pytest.mark.parametrize("file", ["model.ckpt.index", "model.ckpt.data-00000-of-00001"])
    def test_truncated_file(self, tmp_path, file):
        prefix = write_checkpoint(committed_variables(), tmp_path / "google")
        damaged = prefix.parent / file
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
        with pytest.raises(ValueError, match="not a whole TensorFlow checkpoint"):
            convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")

    def test_object_based_checkpoint(self, tmp_path):
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
        prefix = tf.train.Checkpoint(model=model).write(str(tmp_path / "google/ckpt"))
        with pytest.raises(ValueError, match="object-based"):
            convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")

    def test_checkpoint_of_something_else(self, tmp_path):
        variables = {"resnet/conv/kernel": np.ones((3, 3), np.float32)}
        with pytest.raises(ValueError, match=r"has 0. It has: resnet/conv/kernel"):
            self.convert(variables, tmp_path)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"norm_type": "prenorm"}, "norm_type='prenorm'"),
            ({"hidden_act": "swish"}, "hidden_act='swish'"),
            ({"max_decoder_length": 5, "norm_type": "none"}, "norm_type='none', a decoder"),
            ({"block_size": 0}, "block_size=0"),
            ({"model_type": "big_bird"}, "a config of `transformers`"),
        ],
    )
    def test_settings_of_other_models(self, tmp_path, settings, message):
        with pytest.raises(ValueError, match=message):
            self.convert(committed_variables(), tmp_path, **settings)

    def test_settings_of_another_type(self, tmp_path):
        with pytest.raises(ValueError, match="Received: list"):
            convert_google_checkpoint("any", [SETTINGS], tmp_path / "made")

    def test_settings_without_sizes(self, tmp_path):
        prefix = write_checkpoint(committed_variables(), tmp_path / "google")
        with pytest.raises(ValueError, match="lacks: vocab_size, hidden_size"):
            convert_google_checkpoint(prefix, {"num_hidden_layers": 2}, tmp_path / "made")

    @pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("3", "JSON object")])
    def test_settings_file_that_is_none(self, tmp_path, text, message):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            convert_google_checkpoint("any", tmp_path / "settings.json", tmp_path / "made")
