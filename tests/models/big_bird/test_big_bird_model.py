import numpy as np
import pytest

from bigbird_tf import BigBirdModel
from tests.contract import BATCH, HEADS, LENGTH, WIDTH, assert_close, random_ids, tiny_config
from tests.model_contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdModel
    # 5 of the embeddings (three tables, two of the norm), 16 of each layer, 2 of the pooler.
    trainable_weights = 5 + 2 * 16 + 2
    # The embeddings' dropout, and three in each layer.
    states = 1 + 2 * 3
    # Embeddings: (53 + 61 + 2) * 21 + 2 * 21 = 2478. A layer: 4 * (21 * 21 + 21) + 2 * 21 for
    # attention, 21 * 13 + 13 + 13 * 21 + 21 + 2 * 21 for the rest: 2512. The pooler: 462.
    parameters = 2478 + 2 * 2512 + 462
    # Of the pooler's output: 0.036 where products of bfloat16 are cut off, not rounded, as on
    # processors without instructions for it.
    half_tolerance = 4e-2

    def labels(self):
        rng = np.random.default_rng(5)
        return {
            "last_hidden_state": rng.normal(size=(BATCH, LENGTH, WIDTH)),
            "pooler_output": rng.normal(size=(BATCH, WIDTH)),
        }

    def compile_arguments(self):
        return {"loss": {"last_hidden_state": "mse", "pooler_output": "mse"}}


def test_pooler_is_tanh_of_a_dense_layer_on_the_first_token():
    model = TestContract.make({"num_hidden_layers": 1})
    outputs = model(random_ids())
    kernel, bias = model.pooler.dense.get_weights()
    expected = np.tanh(outputs["last_hidden_state"][:, 0] @ kernel + bias)
    np.testing.assert_allclose(outputs["pooler_output"], expected, atol=1e-6)


def test_without_pooler():
    model = TestContract.make({"num_hidden_layers": 1}, add_pooling_layer=False)
    assert model.pooler is None
    assert set(model(random_ids())) == {"last_hidden_state"}
    assert len(model.weights) == 5 + 16


def test_hidden_states_and_attentions_on_request():
    model, ids = TestContract.make(), random_ids()
    plain = model(ids)
    outputs = model(ids, output_hidden_states=True, output_attentions=True)
    assert [tuple(x.shape) for x in outputs["hidden_states"]] == [(BATCH, LENGTH, WIDTH)] * 3
    assert [tuple(x.shape) for x in outputs["attentions"]] == [(BATCH, HEADS, LENGTH, LENGTH)] * 2
    assert_close({name: outputs[name] for name in plain}, plain)
    assert_close(outputs["hidden_states"][0], model.embeddings(ids), 1e-6)


def test_no_task_of_its_own():
    with pytest.raises(ValueError, match=r"no task of its own: pass `loss`.*BigBirdForSequence"):
        BigBirdModel(tiny_config(num_hidden_layers=0)).compile()


def test_hidden_size_that_does_not_fit_the_heads():
    with pytest.raises(ValueError, match="`hidden_size` must be a multiple of"):
        BigBirdModel({"hidden_size": 20, "num_attention_heads": 3})
