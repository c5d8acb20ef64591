"""Google's checkpoints against all outputs of Google's code that the shared folder has."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.attention import BlockPattern
from bigbird_tf.checkpoints import convert_google_checkpoint, google, transformers_format
from bigbird_tf.models import (
    BigBirdForPreTraining,
    BigBirdModel,
)
from tests.checkpoints.google_data import (
    SETTINGS,
    model_inputs,
)
from tests.checkpoints.test_google import (
    TOLERANCE,
    assert_classifier_matches,
    assert_outputs_match,
    load_arrays,
    pretraining_losses,
)

SPARSE_FILES = (
    "length512_block16_rand3",
    "length592_block16_rand3",
    "length700_block16_rand3",
    "length768_block16_rand3",
    "length768_block64_rand3",
    "length1020_block16_rand3",
    "length1024_block16_rand1",
    "length1024_block16_rand3",
    "length1024_block64_rand3",
    "length2048_block16_rand3",
    "length4096_block16_rand3",
)


DENSE_FILES = (
    ("original_full", "length768_block16_rand3"),
    ("original_full", "length1024_block16_rand3"),
    ("simulated_sparse", "length768_block16_rand3"),
    ("simulated_sparse", "length1024_block16_rand3"),
    ("simulated_sparse", "length4096_block16_rand3"),
)


@pytest.fixture(scope="module")
def converted_fixture(google_fixtures, tmp_path_factory):
    """The whole checkpoint of the fixtures, with positions for 4096 tokens."""
    directory = tmp_path_factory.mktemp("fixture") / "google"
    folder = google_fixtures / "bert_block_sparse"
    convert_google_checkpoint(folder / "model.ckpt", folder / "config.json", directory)
    return directory


def build_pattern(key):
    """Builds the pattern for a key such as `length704_block16_rand3_heads2_seed1`."""
    sizes = {}
    for part in key.split("_"):
        name = part.rstrip("0123456789")
        sizes[name] = int(part.removeprefix(name))
    return BlockPattern.build(
        sizes["length"] // sizes["block"],
        sizes["heads"],
        block_size=sizes["block"],
        num_random_blocks=sizes["rand"],
        seed=sizes["seed"],
    )


class TestFixtures:
    """Parity with all that Google's code gave, at every length."""

    @pytest.mark.parametrize("name", SPARSE_FILES)
    def test_block_sparse(self, google_fixtures, converted_fixture, name):
        arrays = load_arrays(google_fixtures / f"bert_block_sparse/{name}.npz")
        assert_outputs_match(converted_fixture, arrays)

    @pytest.mark.parametrize(("attention_type", "name"), DENSE_FILES)
    def test_dense(self, google_fixtures, converted_fixture, attention_type, name):
        arrays = load_arrays(google_fixtures / f"bert_{attention_type}/{name}.npz")
        assert_outputs_match(converted_fixture, arrays, attention_type)

    def test_no_output_file_is_left_out(self, google_fixtures):
        tested = {f"bert_block_sparse/{name}.npz" for name in SPARSE_FILES}
        tested |= {f"bert_{kind}/{name}.npz" for kind, name in DENSE_FILES}
        found = google_fixtures.glob("bert_*/length*.npz")
        assert {str(file.relative_to(google_fixtures)) for file in found} == tested

    def test_classifier(self, google_fixtures, tmp_path):
        folder = google_fixtures / "classifier"
        convert_google_checkpoint(folder / "model.ckpt", folder / "config.json", tmp_path / "made")
        arrays = load_arrays(folder / "length1024_block16_rand3.npz")
        assert_classifier_matches(tmp_path / "made", arrays)
        pooled = BigBirdModel.from_pretrained(tmp_path / "made")(model_inputs(arrays))
        difference = np.abs(pooled["pooler_output"].numpy() - arrays["pooled_output"])
        assert difference.max() <= TOLERANCE

    @pytest.mark.parametrize("loss_name", ["mean_square", "pretraining"])
    def test_gradients(self, google_fixtures, converted_fixture, loss_name):
        folder = google_fixtures / "bert_block_sparse_gradients"
        arrays = load_arrays(folder / "inputs.npz")
        expected = load_arrays(folder / f"gradients_{loss_name}.npz")
        config = google.config_from_google(folder / "config.json")
        model = BigBirdForPreTraining.from_pretrained(converted_fixture)
        with tf.GradientTape() as tape:
            if loss_name == "mean_square":
                inputs = model._read_inputs(model_inputs(arrays))
                loss = tf.reduce_mean(model.backbone.encode(inputs)[0] ** 2)
                expected_loss = arrays["mean_square_loss"]
            else:
                _, masked_lm_loss, _, next_sentence_loss = pretraining_losses(model, arrays)
                loss = masked_lm_loss + next_sentence_loss
                expected_loss = arrays["pretraining_loss"]
        assert abs(loss - expected_loss) <= TOLERANCE

        heads = {
            "pooler": "bert/pooler/dense",
            "predictions": "cls/predictions",
            "transform": "transform",
            "seq_relationship": "cls/seq_relationship",
        }
        table = transformers_format.tensor_table(model)
        weights, names, is_transposed = [], [], []
        for variable in google.list_variables(config, "bert", heads):
            entry = table[variable.name]
            weights.append(getattr(entry.layer, entry.attribute).value)
            names.append(variable.variable)
            # Ours are [in, out] as Google's, except where Google's own are not.
            is_transposed.append(entry.is_transposed and not variable.is_transposed)
        gradients = tape.gradient(loss, weights)
        reached = set()
        for name, transpose, gradient in zip(names, is_transposed, gradients, strict=True):
            if gradient is None:
                continue
            reached.add(name)
            gradient = tf.convert_to_tensor(gradient).numpy()
            gradient = gradient.T if transpose else gradient
            # Gradients of key biases are rounding, hence the absolute part.
            allowed = 1e-4 * np.abs(expected[name]).max() + 1e-6
            assert np.abs(gradient - expected[name]).max() <= allowed, name
        assert reached == set(expected)

    def test_random_block_tables(self, google_fixtures):
        tables = load_arrays(google_fixtures / "pattern/rand_attn.npz")
        assert len(tables) > 200
        for key, expected in tables.items():
            np.testing.assert_array_equal(build_pattern(key).random_blocks, expected, key)

    def test_settings_that_google_cannot_build_raise(self, google_fixtures):
        raises = json.loads((google_fixtures / "pattern/raises.json").read_text())
        assert raises
        for key in raises:
            with pytest.raises(ValueError, match="too short for its random blocks"):
                build_pattern(key)

    @pytest.mark.parametrize("name", ["pegasus", "coupled_encoder_decoder"])
    def test_encoder_decoders_are_no_encoders(self, google_fixtures, tmp_path, name):
        folder = google_fixtures / name
        with pytest.raises(ValueError, match=r"encoder-decoder: it has .*encdec"):
            convert_google_checkpoint(folder / "model.ckpt", SETTINGS, tmp_path / "made")
        assert not list(tmp_path.iterdir())
