"""Where the weights of the Model Garden's encoder go, by hand: without the library."""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from bigbird_tf.checkpoints import convert_model_garden_encoder
from bigbird_tf.checkpoints.model_garden_checkpoint import load_model_garden_encoder
from tests.checkpoints.test_model_garden_config import HEAD_SIZE, HEADS, INNER, Weight, encoder

WIDTH = HEADS * HEAD_SIZE
OUTSIDE = {
    "word_embeddings/embeddings": "embeddings.word_embeddings.weight",
    "position_embedding/embeddings": "embeddings.position_embeddings.weight",
    "type_embeddings/embeddings": "embeddings.token_type_embeddings.weight",
    "layer_norm/gamma": "embeddings.LayerNorm.weight",
    "layer_norm/beta": "embeddings.LayerNorm.bias",
    "cls_transform/kernel": "pooler.weight",
    "cls_transform/bias": "pooler.bias",
}
INSIDE = {
    "query/kernel": "attention.self.query.weight",
    "query/bias": "attention.self.query.bias",
    "key/kernel": "attention.self.key.weight",
    "key/bias": "attention.self.key.bias",
    "value/kernel": "attention.self.value.weight",
    "value/bias": "attention.self.value.bias",
    "attention_output/kernel": "attention.output.dense.weight",
    "attention_output/bias": "attention.output.dense.bias",
    "self_attention_layer_norm/gamma": "attention.output.LayerNorm.weight",
    "self_attention_layer_norm/beta": "attention.output.LayerNorm.bias",
    "intermediate/kernel": "intermediate.dense.weight",
    "intermediate/bias": "intermediate.dense.bias",
    "output/kernel": "output.dense.weight",
    "output/bias": "output.dense.bias",
    "output_layer_norm/gamma": "output.LayerNorm.weight",
    "output_layer_norm/beta": "output.LayerNorm.bias",
}


def as_matrix(name, array):
    """Heads side by side; kernels [out, in]."""
    layer, kind = name.split("/")
    if kind == "kernel":
        shape = {"attention_output": (WIDTH, WIDTH), "output": (INNER, WIDTH)}.get(
            layer, (WIDTH, -1)
        )
        return array.reshape(shape).T
    return array if kind == "embeddings" else array.reshape(-1)


@pytest.mark.parametrize("has_pooler", [True, False])
def test_each_weight_has_its_place(tmp_path, has_pooler):
    made = encoder(positions=1024)
    if has_pooler:
        made.weights += [
            Weight("cls_transform/kernel", WIDTH, WIDTH),
            Weight("cls_transform/bias", WIDTH),
        ]
    # No two numbers are alike.
    for number, weight in enumerate(made.weights):
        weight.values += 10_000 * number
    convert_model_garden_encoder(made, tmp_path / "out")
    found = load_file(tmp_path / "out/model.safetensors")
    expected = {}
    for weight in made.weights:
        *_, scope, layer, kind = weight.name.removesuffix(":0").split("/")
        name = f"{layer}/{kind}"
        theirs = OUTSIDE[name] if scope == "scope" else f"encoder.layer.{scope}.{INSIDE[name]}"
        expected[f"bert.{theirs}"] = as_matrix(name, weight.values)
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == np.float32


class Encoder(tf.Module):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable([0.0, 0.0])


@pytest.fixture
def garden(monkeypatch):
    """A Model Garden that makes such encoders, and writes down of what settings."""
    calls = []

    def override(settings, is_strict):
        if "hidden" in settings:
            raise KeyError("hidden")
        calls.append((settings, is_strict))

    def make_config(**options):
        calls.append(options)
        return SimpleNamespace(bigbird=SimpleNamespace(override=override))

    module = ModuleType("official.nlp.configs")
    module.encoders = SimpleNamespace(
        EncoderConfig=make_config, build_encoder=lambda config: Encoder()
    )
    for name in ("official", "official.nlp"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "official.nlp.configs", module)
    return calls


@pytest.mark.parametrize("root", ["encoder", "model"])
def test_checkpoint(garden, tmp_path, root):
    saved = Encoder()
    saved.kernel.assign([3.0, 4.0])
    # What a task has beside its encoder is passed over.
    more = {"step": tf.Variable(7), "head": tf.Variable(1.0)}
    path = tf.train.Checkpoint(**{root: saved}, **more).write(str(tmp_path / "ckpt"))
    (tmp_path / "settings.json").write_text(json.dumps({"num_layers": 3}))
    for settings in ({"num_layers": 3}, tmp_path / "settings.json"):
        loaded = load_model_garden_encoder(path, settings)
        assert loaded.kernel.numpy().tolist() == [3.0, 4.0]
        assert garden == [{"type": "bigbird"}, ({"num_layers": 3}, True)]
        garden.clear()


def test_an_encoder_counts_before_a_model(garden, tmp_path):
    first, second = Encoder(), Encoder()
    first.kernel.assign([3.0, 4.0])
    path = tf.train.Checkpoint(model=second, encoder=first).write(str(tmp_path / "ckpt"))
    assert load_model_garden_encoder(path, {}).kernel.numpy().tolist() == [3.0, 4.0]


def test_checkpoints_that_do_not_fit(garden, tmp_path):
    path = tf.train.Checkpoint(decoder=Encoder()).write(str(tmp_path / "ckpt"))
    with pytest.raises(ValueError, match=r"as 'encoder' or 'model'. Received one with .*decoder"):
        load_model_garden_encoder(path, {})
    path = tf.train.Checkpoint(encoder=tf.Module()).write(str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"'encoder' or 'model'|not have all of the encoder"):
        load_model_garden_encoder(path, {})
    with pytest.raises(ValueError, match="fields of BigBirdEncoderConfig only: 'hidden'"):
        load_model_garden_encoder(path, {"hidden": 12})
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"must be a JSON file. .*settings\.json"):
        load_model_garden_encoder(path, tmp_path / "settings.json")
    with pytest.raises(FileNotFoundError, match="`checkpoint` must be a checkpoint's path"):
        load_model_garden_encoder(tmp_path / "nothing", {})
