"""Functional models on strings: saved, and loaded in a process that knows nothing of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from tests.loader_process import save_arguments

TEXTS = ["the [MASK] bird sings", "", "naïve 猫, a stone"]
OTHERS = ["of the river", "a house", "green"]
WORDS = [["the", "zebra", "sings"], ["a", "", ""], ["naïve", "猫", "U.S."]]
LENGTH = {"max_length": 17}

# For each case what makes the layer of a tokenizer, and the arguments that it is called with.
CASES = {
    "tokenizer": (lambda t: lambda x: t(x, padding="max_length", **LENGTH), [TEXTS]),
    "tokenizer, longest": (lambda t: t, [TEXTS]),
    "tokenizer, pairs": (lambda t: t, [TEXTS, OTHERS]),
    "sequence classification": (
        lambda t: bb.SequenceClassificationPreprocessor(t, **LENGTH, labels=["a", "b"]),
        [TEXTS, ["a", "b", "a"]],
    ),
    "multiple choice": (
        lambda t: bb.MultipleChoicePreprocessor(t, **LENGTH),
        [TEXTS, WORDS, [0, 2, 1]],
    ),
    "token classification": (
        lambda t: bb.TokenClassificationPreprocessor(t, **LENGTH, padding="longest"),
        [WORDS, [[1, 0, 2], [1, 1, -100], [3, 1, 0]]],
    ),
    "masked LM": (lambda t: bb.MaskedLMPreprocessor(t, **LENGTH, seed=3), [TEXTS, [1, 2, 3]]),
    "pre-training": (lambda t: bb.PreTrainingPreprocessor(t, **LENGTH), [TEXTS, OTHERS]),
    "question answering": (
        lambda t: bb.QuestionAnsweringPreprocessor(t, **LENGTH, max_question_length=5),
        [TEXTS, OTHERS, ["river", "", ""], [7, -1, -1]],
    ),
}


def functional_model(layer, arguments):
    inputs = [keras.Input(a.shape[1:], dtype=a.dtype.name) for a in map(tf.constant, arguments)]
    return keras.Model(inputs, layer(*inputs))


def flat_outputs(model, arguments):
    arguments = [tf.constant(argument) for argument in arguments]
    outputs = keras.tree.flatten(model(arguments[0] if len(arguments) == 1 else arguments))
    return [output.numpy() for output in outputs]


def check_in_a_fresh_process(model, arguments, loader_process, tmp_path):
    expected = flat_outputs(model, arguments)
    model.save(tmp_path / "model.keras")
    save_arguments(tmp_path / "inputs.npz", map(np.array, arguments))
    names = {"path": "model.keras", "inputs": "inputs.npz", "outputs": "outputs.npz"}
    loader_process.run(**{name: tmp_path / file for name, file in names.items()})
    with np.load(tmp_path / "outputs.npz") as outputs:
        for index, value in enumerate(expected):
            np.testing.assert_allclose(outputs[f"arr_{index}"], value, atol=1e-6)
        assert len(outputs) == len(expected)


@pytest.mark.parametrize("case", CASES)
def test_saved_and_loaded(tokenizer, loader_process, tmp_path, case):
    make, arguments = CASES[case]
    model = functional_model(make(tokenizer), arguments)
    check_in_a_fresh_process(model, arguments, loader_process, tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_shapes_need_no_vocabulary(tokenizer, case):
    """What Keras is told of outputs is the same before there is a vocabulary."""
    make, arguments = CASES[case]
    inputs = [keras.KerasTensor(a.shape, a.dtype.name) for a in map(tf.constant, arguments)]

    def spec(tokenizer):
        outputs = make(tokenizer)(*inputs)
        return keras.tree.map_structure(lambda x: (x.shape, x.dtype), outputs)

    empty = bb.BigBirdTokenizer.from_config(tokenizer.get_config())
    assert spec(empty) == spec(tokenizer)
    assert not empty.has_vocabulary
    with pytest.raises(ValueError, match="has no vocabulary"):
        make(empty)(*map(tf.constant, arguments))


def test_strings_to_logits(tokenizer, loader_process, tmp_path):
    config = bb.BigBirdConfig(
        **tokenizer.config_fields,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        block_size=4,
        num_random_blocks=1,
        max_position_embeddings=64,
    )
    text = keras.Input((), dtype="string")
    ids = tokenizer(text, padding="max_length", **LENGTH)
    model = keras.Model(text, bb.BigBirdForSequenceClassification(config)(ids))
    assert model.output_shape == (None, 2)
    check_in_a_fresh_process(model, [TEXTS], loader_process, tmp_path)


def test_one_tokenizer_in_several_layers(tokenizer, tmp_path):
    """Its vocabulary is saved once, and all of them have it again."""
    text = keras.Input((), dtype="string")
    layers = [
        tokenizer,
        bb.SequenceClassificationPreprocessor(tokenizer, **LENGTH),
        bb.MaskedLMPreprocessor(tokenizer, **LENGTH),
    ]
    model = keras.Model(text, [layer(text) for layer in layers])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for mine, theirs in zip(
        flat_outputs(loaded, [TEXTS]), flat_outputs(model, [TEXTS]), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
