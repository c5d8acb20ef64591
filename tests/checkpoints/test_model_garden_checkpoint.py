import json

import numpy as np
import pytest

from bigbird_tf.checkpoints.model_garden_checkpoint import load_model_garden_encoder

SETTINGS = {
    "vocab_size": 37,
    "hidden_size": 12,
    "num_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 17,
    "block_size": 16,
    "max_position_embeddings": 1024,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    import tensorflow as tf
    from official.nlp.configs import encoders

    config = encoders.EncoderConfig(type="bigbird")
    config.bigbird.override(SETTINGS)
    encoder = encoders.build_encoder(config)
    folder = tmp_path_factory.mktemp("model_garden")
    path = tf.train.Checkpoint(model=encoder).write(str(folder / "ckpt"))
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    return encoder, path, folder / "config.json"


@pytest.mark.parity
class TestModelGardenCheckpoint:
    def test_restores_all_weights(self, saved):
        encoder, path, config = saved
        loaded = load_model_garden_encoder(path, config)
        for theirs, ours in zip(encoder.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(theirs, ours)

    def test_command(self, saved, tmp_path, monkeypatch):
        import sys

        import bigbird_tf.cli as cli
        from bigbird_tf.config import BigBirdConfig

        _, path, config = saved
        arguments = ["convert", "model-garden", path, str(config), str(tmp_path / "made")]
        monkeypatch.setattr(sys, "argv", ["bigbird-tf", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        assert exit_.value.code == 0
        assert BigBirdConfig.from_pretrained(tmp_path / "made").hidden_size == 12

    def test_other_settings(self, saved):
        _, path, _ = saved
        with pytest.raises(ValueError, match=r"does not have all of the encoder|not compatible"):
            load_model_garden_encoder(path, {**SETTINGS, "num_layers": 2})
        with pytest.raises(ValueError, match="fields of BigBirdEncoderConfig only"):
            load_model_garden_encoder(path, {"hidden": 12})

    def test_no_such_file(self, saved, tmp_path):
        _, path, config = saved
        with pytest.raises(FileNotFoundError, match="`checkpoint` must be"):
            load_model_garden_encoder(tmp_path / "nothing", config)
        with pytest.raises(FileNotFoundError, match="nothing"):
            load_model_garden_encoder(path, tmp_path / "nothing.json")


def test_without_the_model_garden(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "official", None)
    monkeypatch.setitem(sys.modules, "official.nlp.configs", None)
    with pytest.raises(ImportError, match=r"bigbird-tf\[model-garden\]"):
        load_model_garden_encoder(tmp_path / "x", SETTINGS)
