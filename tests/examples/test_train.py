import keras
import numpy as np
import pytest

from examples.docs_qa import train as training
from examples.docs_qa.dataset import encode_split, training_windows
from examples.docs_qa.initial_weights import LOOK_BACK, sinusoids
from examples.docs_qa.questions import Split, ask
from examples.docs_qa.train import (
    Recipe,
    Stage,
    TimeBudget,
    build_model,
    faster_dtype_policy,
    train,
)
from examples.docs_qa.train_from_scratch import RECIPE
from examples.docs_qa.training_model import POINTERS, TrainingModel
from tests.examples.help_pages import library

TINY = {
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "block_size": 4,
    "num_random_blocks": 1,
    "max_position_embeddings": 67,
}


@pytest.fixture(scope="module")
def encoded(tokenizer):
    pages = library()
    questions = [question for p in pages for question in ask(p, set())]
    return encode_split(Split([], {p.module: p for p in pages}, questions), tokenizer)


@pytest.fixture
def model(tokenizer):
    return build_model(tokenizer.vocab_size, tokenizer.sep_token_id, **TINY)


class Clock:
    """Time that passes by a second whenever somebody looks."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        self.now += 1.0
        return self.now


def test_heads_begin_by_looking_back_and_by_looking_for_the_same_piece(tokenizer):
    fields = {**TINY, "hidden_size": 192, "num_hidden_layers": 1, "attention_type": "original_full"}
    model = build_model(tokenizer.vocab_size, tokenizer.sep_token_id, **fields)
    ids = np.random.default_rng(0).permutation(tokenizer.vocab_size)[None, :61].astype(np.int32)
    ids[0, 53] = ids[0, 7]
    outputs = model.backbone({"input_ids": ids}, output_attentions=True)
    previous, past, same = np.array(outputs["attentions"][0])[0]

    def looks(attention, steps_back):
        return np.mean(np.diagonal(attention, -steps_back))

    assert max(range(-20, 20), key=lambda steps: looks(previous, steps)) == LOOK_BACK[0][0]
    shift = LOOK_BACK[1][0]
    assert looks(past, shift) > looks(past, -shift)
    assert looks(past, shift) > 5 * looks(past, 30)
    assert same[53, 7] > 0.9 * same[53, 53] > 3 * np.median(same[53])


def test_sinusoids():
    table = sinusoids(5, 4)
    np.testing.assert_allclose(table[3], np.sin([3, 0.03, 3 + np.pi / 2, 0.03 + np.pi / 2]))


def test_initial_weights_are_deterministic_by_seed(tokenizer):
    def weights(seed):
        made = build_model(tokenizer.vocab_size, tokenizer.sep_token_id, seed=seed, **TINY)
        return np.concatenate([np.ravel(w) for w in made.get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_training_model_has_the_models_own_logits(model, encoded):
    trainer = TrainingModel(model)
    trainer.build()
    windows = training_windows(encoded, length=61, batch_size=3, max_position=67)
    inputs, _ = next(iter(windows))
    outputs = trainer(inputs)
    expected = model(inputs)
    is_page = (inputs["token_type_ids"] * inputs["attention_mask"]).numpy() == 1
    for name in ("start_logits", "end_logits"):
        np.testing.assert_allclose(
            outputs[name].numpy()[is_page], expected[name].numpy()[is_page], atol=1e-6
        )
    for name in POINTERS:
        assert outputs[name].shape == (3, 61)
        assert outputs[name].numpy()[~is_page].max() < -1e5
        assert outputs[name].numpy()[is_page].min() > -1e3
    for name in ("occurs_logits", "inside_logits"):
        assert outputs[name].shape == (3, 61)
        assert np.abs(outputs[name]).max() < 1e3


@pytest.mark.parametrize("layers", [{"occurs": 0}, {"name": 4}])
def test_training_model_refuses_layers_that_are_not_there(model, layers):
    ((name, layer),) = layers.items()
    with pytest.raises(ValueError, match=f"among the model's 3, .*Received: {name}={layer}"):
        TrainingModel(model, layers)


@pytest.mark.slow
def test_training_follows_the_clock_and_learns(model, encoded):
    # The second stage's time has passed when it begins: it does one step.
    recipe = Recipe(
        stages=(Stage("short", 61, 7, 1.0), Stage("long", 67, 5, 0.0)),
        learning_rate=1e-2,
        final_learning_rate=5e-3,
        warmup_steps=4,
    )
    before = [w.copy() for w in model.get_weights()]
    rates = []
    logged = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: rates.append(
            float(logged.model.optimizer.learning_rate)
        )
    )
    report = train(
        model,
        {"short": encoded, "long": encoded},
        recipe,
        seconds=60,
        clock=Clock().monotonic,
        callbacks=lambda stage: [logged],
    )
    assert [stage["length"] for stage in report] == [61, 67]
    # Two looks at the clock a step: one for the learning rate, one for the deadline.
    assert 27 <= report[0]["steps"] <= 30
    assert report[1]["steps"] == 1
    assert len(rates) == report[0]["steps"] + 1
    np.testing.assert_allclose(np.divide(rates[:3], rates[3]), [0.25, 0.5, 0.75], atol=0.05)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(5e-3, rel=0.1)
    assert report[1]["occurs_logits_loss"] < report[0]["occurs_logits_loss"]
    for name in recipe.loss_weights:
        assert np.isfinite(report[0][f"{name}_loss"])
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)


def test_time_budget_stops_at_its_deadline(model):
    clock = Clock()
    budget = TimeBudget(
        RECIPE, begin=clock.now, seconds=50, deadline=clock.now + 3, clock=clock.monotonic
    )
    budget.set_model(model)
    stopped = []
    for batch in range(4):
        model.stop_training = False
        budget.on_train_batch_end(batch)
        stopped.append(model.stop_training)
    assert stopped == [False, False, True, True]


def test_the_standard_recipe_uses_all_of_its_time():
    recipe = RECIPE
    assert sum(stage.share for stage in recipe.stages) == pytest.approx(1)
    assert [stage.length for stage in recipe.stages] == sorted(s.length for s in recipe.stages)
    assert recipe.stages[-1].length == training.MAX_LENGTH


def test_faster_dtype_policy_is_a_policy():
    assert faster_dtype_policy() in ("float32", "mixed_bfloat16")
