"""Models go from TensorFlow to JAX and back, to a process that has no TensorFlow at all."""

import keras
import numpy as np
import pytest

import bigbird_tf as bb
from tests.backends import IS_TENSORFLOW
from tests.conftest import answer_of
from tests.contract import randomize, tiny_config
from tests.models.big_bird import (
    test_big_bird_for_causal_lm,
    test_big_bird_for_masked_lm,
    test_big_bird_for_multiple_choice,
    test_big_bird_for_pre_training,
    test_big_bird_for_question_answering,
    test_big_bird_for_sequence_classification,
    test_big_bird_for_token_classification,
)

CONTRACTS = [
    module.TestContract()
    for module in (
        test_big_bird_for_causal_lm,
        test_big_bird_for_masked_lm,
        test_big_bird_for_multiple_choice,
        test_big_bird_for_pre_training,
        test_big_bird_for_question_answering,
        test_big_bird_for_sequence_classification,
        test_big_bird_for_token_classification,
    )
]
# Each backend draws its own.
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
pytestmark = [
    pytest.mark.jax,
    pytest.mark.slow,
    pytest.mark.skipif(not IS_TENSORFLOW, reason="starts the process that runs on JAX itself"),
]


def losses_on_tensorflow(model, contract) -> list[float]:
    config = model.config.replace(gradient_checkpointing=True)
    trained = type(model)(config)
    trained.set_weights(model.get_weights())
    trained.compile(optimizer=keras.optimizers.SGD(0.05))
    return trained.fit(contract.inputs(), contract.labels(), epochs=2, verbose=0).history["loss"]


def run_on_jax(request: dict) -> dict:
    environment = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return answer_of("tests.jax_process", request, TF_CPP_MIN_LOG_LEVEL="3", **environment)


def test_all_heads_without_tensorflow(tmp_path):
    models, entries = [], []
    for contract in CONTRACTS:
        fields = {"num_hidden_layers": 1, **NO_DROPOUT}
        model = contract.model_class(tiny_config(**{**contract.config_fields, **fields}))
        randomize(model)
        folder = tmp_path / type(model).__name__
        folder.mkdir()
        model.save(folder / "given.keras")
        model.save_pretrained(folder / "given")
        np.savez(folder / "inputs.npz", **contract.inputs())
        labels = contract.labels()
        labels = labels if isinstance(labels, dict) else {"labels": labels}
        np.savez(folder / "labels.npz", **labels)
        entries.append(
            {
                "class": type(model).__name__,
                "saved": str(folder / "given.keras"),
                "pretrained": str(folder / "given"),
                "inputs": str(folder / "inputs.npz"),
                "labels": str(folder / "labels.npz"),
                "folder": str(folder),
            }
        )
        models.append(model)
    answer = run_on_jax({"models": entries})

    for contract, model in zip(CONTRACTS, models, strict=True):
        name = type(model).__name__
        folder, inputs = tmp_path / name, contract.inputs()
        expected = [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(model(inputs))]
        with np.load(folder / "outputs.npz") as outputs:
            for mine, theirs in zip(outputs.values(), expected, strict=True):
                atol = 1e-5 * max(1.0, np.abs(theirs).max())
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol, err_msg=name)
        saved = keras.saving.load_model(folder / "model.keras")
        pretrained = getattr(bb, name).from_pretrained(folder / "pretrained")
        for loaded in (saved, pretrained):
            for mine, theirs in zip(loaded.weights, model.weights, strict=True):
                np.testing.assert_array_equal(mine, theirs)
        on_tensorflow = losses_on_tensorflow(model, contract)
        np.testing.assert_allclose(answer["losses"][name], on_tensorflow, rtol=1e-4, err_msg=name)
        if hasattr(model, "generate"):
            with np.load(folder / "tokens.npz") as tokens:
                generated = model.generate(inputs["input_ids"], 5)
                np.testing.assert_array_equal(tokens["arr_0"], generated)
    assert set(answer["refused"]) == {
        "BigBirdTokenizer",
        "QuestionAnsweringPreprocessor",
        "export_saved_model",
        "convert_google_checkpoint",
    }
    for name, said in answer["refused"].items():
        assert "pip install tensorflow tensorflow-text" in said, name
