"""Google's encoder-decoder (Pegasus): outputs of its code, and what its checkpoints hold."""

import json
import warnings

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdPegasusConfig, BigBirdPegasusForConditionalGeneration
from bigbird_tf.checkpoints import convert_google_checkpoint
from bigbird_tf.checkpoints.google_pegasus_variables import list_pegasus_variables
from bigbird_tf.models.losses import weighted_crossentropy
from tests.checkpoints.google_data import PEGASUS_FILES, write_checkpoint
from tests.contract import tiny_pegasus_config

TOLERANCE = 1e-4
SETTINGS = {
    "vocab_size": 53,
    "hidden_size": 21,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 13,
    "max_position_embeddings": 61,
    "max_decoder_length": 9,
    "norm_type": "prenorm",
    "hidden_act": "relu",
    "use_bias": False,
    "rescale_embedding": True,
}


def test_no_file_is_left_out(google_fixtures):
    folders = [google_fixtures / folder for folder in dict(PEGASUS_FILES)]
    assert {(f.parent.name, f.stem) for d in folders for f in d.glob("*.npz")} == set(PEGASUS_FILES)


@pytest.mark.parametrize(("folder", "name"), PEGASUS_FILES)
def test_outputs_and_losses(google_fixtures, google_pegasus, folder, name):
    model = google_pegasus[folder]
    with np.load(google_fixtures / folder / f"{name}.npz") as stored:
        arrays = dict(stored)
    ids, targets = arrays["input_ids"], arrays["target_ids"]
    padding = int(arrays["padded_encoder_length"]) - ids.shape[1]
    ids = np.pad(ids, ((0, 0), (0, padding)))
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).astype("int32")}
    states = model.encode(inputs)
    difference = states.numpy()[:, arrays["output_positions"]] - arrays["encoder_output"]
    assert np.abs(difference).max() <= TOLERANCE
    logits = model({**inputs, "decoder_input_ids": arrays["decoder_input_ids"]})
    assert np.abs(logits.numpy() - arrays["logits"]).max() <= TOLERANCE
    assert np.abs(arrays["logits"]).max() > 1
    assert (logits.numpy().argmax(-1) == arrays["argmax_ids"]).all()

    counts = targets > 0
    plain = weighted_crossentropy()
    plain.reduction = None
    log_probs = -np.asarray(plain(targets, logits)) * counts
    assert np.abs(log_probs - arrays["log_probs"]).max() <= TOLERANCE
    # Google shares a label out among the other pieces, Keras among all; and it takes off the
    # lowest possible loss, and counts padding.
    vocabulary = logits.shape[-1]
    smoothing = float(arrays["label_smoothing"])
    off = smoothing / (vocabulary - 1)
    smoothed = weighted_crossentropy(label_smoothing=off * vocabulary)
    smoothed.reduction = "sum"
    lowest = -(1 - smoothing) * np.log(1 - smoothing) - (vocabulary - 1) * off * np.log(off + 1e-20)
    loss = (float(smoothed(targets, logits)) - targets.size * lowest) / counts.sum()
    assert abs(loss - arrays["loss"]) <= TOLERANCE


class TestConversion:
    config = tiny_pegasus_config(
        use_bias=False, decoder_ffn_dim=13, decoder_attention_heads=3, encoder_ffn_dim=13
    )

    def variables(self):
        rng = np.random.default_rng(5)
        listed = list_pegasus_variables(self.config, "pegasus")
        return {
            v.variable: rng.normal(size=v.shape).astype("float32")
            for v in listed
            if v.name is not None
        }

    def convert(self, variables, folder, **settings):
        prefix = write_checkpoint(variables, folder / "google")
        convert_google_checkpoint(prefix, {**SETTINGS, **settings}, folder / "made")
        return BigBirdPegasusForConditionalGeneration.from_pretrained(folder / "made")

    def test_settings(self, tmp_path):
        config = self.convert(self.variables(), tmp_path).config
        assert isinstance(config, BigBirdPegasusConfig)
        assert (config.encoder_layers, config.decoder_layers) == (1, 1)
        assert (config.layer_norm_eps, config.full_attention_up_to) == (1e-12, 512)
        assert (config.activation_function, config.scale_embedding) == ("relu", True)
        stored = json.loads((tmp_path / "made/config.json").read_text())
        assert stored["architectures"] == ["BigBirdPegasusForConditionalGeneration"]
        assert stored["model_type"] == "bigbird_pegasus"

    @pytest.mark.parametrize("is_tied", [True, False])
    def test_stacks_of_post_norm(self, is_tied, tmp_path):
        """With weights in common, and without; both are Google's."""
        fields = {"normalize_before": False, "tie_encoder_decoder": is_tied}
        config = self.config.replace(**fields, activation_dropout=0.0)
        rng = np.random.default_rng(5)
        variables = {
            v.variable: rng.normal(size=v.shape).astype("float32")
            for v in list_pegasus_variables(config, "bert")
            if v.name is not None
        }
        norm = "bert/encoder/layer_0/attention/output/LayerNorm/gamma"
        own = "bert/decoder/layer_0/attention/output/LayerNorm/gamma"
        assert (norm in variables, own in variables) == (True, not is_tied)
        settings = {"norm_type": "postnorm", "couple_encoder_decoder": is_tied}
        model = self.convert(variables, tmp_path, **settings)
        assert (model.config.normalize_before, model.config.tie_encoder_decoder) == (False, is_tied)
        encoder, decoder = model.backbone.encoder.blocks[0], model.backbone.decoder.blocks[0]
        assert (encoder.feed_forward is decoder.feed_forward) == is_tied
        for block, name in ((encoder, norm), (decoder, norm if is_tied else own)):
            gamma = keras.ops.convert_to_numpy(block.layer_norm.gamma)
            assert (gamma == variables[name]).all()

    def test_one_table_of_positions_becomes_two(self, tmp_path):
        variables = self.variables()
        backbone = self.convert(variables, tmp_path).backbone
        for embeddings in (backbone.encoder_embeddings, backbone.decoder_embeddings):
            table = keras.ops.convert_to_numpy(embeddings.position_embeddings.embeddings)
            assert (table == variables["pegasus/embeddings/position_embeddings"]).all()

    def test_biases_that_are_not_read(self, tmp_path):
        """Google's checkpoints have them whatever `use_bias` says: zeros say nothing."""
        name = "pegasus/decoder/layer_0/attention/encdec/query/bias"
        variables = {**self.variables(), name: np.zeros(21, "float32")}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.convert(variables, tmp_path / "zeros")
        variables[name] = variables[name] + 0.1
        expected = rf"^{name} of .* not zero, and left out"
        with pytest.warns(UserWarning, match=expected) as caught:
            self.convert(variables, tmp_path / "others")
        assert [warning.filename for warning in caught] == [__file__]

    def test_misfits(self, tmp_path):
        variables = self.variables()
        del variables["pegasus/decoder/LayerNorm/beta"]
        with pytest.raises(ValueError, match=r"missing: pegasus/decoder/LayerNorm/beta$"):
            self.convert(variables, tmp_path)
