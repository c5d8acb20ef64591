"""`examples/train`: a few steps of it, from records to a model and a head."""

import csv
import json
import os
import subprocess
import sys

import keras
import pytest
import typer
from typer.testing import CliRunner

import bigbird_tf as bb
from bigbird_tf.preprocessing import prepare_records
from examples.train import train
from tests.backends import IS_TENSORFLOW
from tests.conftest import ROOT
from tests.preprocessing.conftest import WORDS, train_vocabulary

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_TENSORFLOW, reason="starts the process on JAX itself"),
]
SIZES = ("--width", "24", "--layers", "1", "--block-size", "16", "--max-length", "96")
STEPS = ("--steps", "4", "--steps-per-epoch", "2", "--batch-size", "4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With `records`, and what `pretrain` made of them."""
    folder = tmp_path_factory.mktemp("train")
    for number in range(12):
        (folder / f"{number}.txt").write_text(" ".join(WORDS[number:] * 6))
    tokenizer = bb.BigBirdTokenizer(train_vocabulary())
    prepare_records(f"{folder}/*.txt", folder / "records", tokenizer, length=96)
    run("pretrain", folder / "records", folder / "model", *SIZES, *STEPS, "--validation",
        folder / "records")  # fmt: skip
    return folder


def run(*arguments) -> None:
    outcome = CliRunner().invoke(train.app, [*map(str, arguments)])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output


def losses(folder, name) -> list[dict]:
    with (folder / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_pretrained(folder):
    epochs = losses(folder, "model")
    assert len(epochs) == 2
    assert all(0 < float(epoch["loss"]) < 10 for epoch in epochs)
    assert {"val_loss"} <= epochs[0].keys()
    model = bb.BigBirdForMaskedLM.from_pretrained(folder / "model")
    assert model.config.block_size == 16
    assert bb.Tokenizer.from_pretrained(folder / "model").vocab_size == model.config.vocab_size


def test_goes_on(folder):
    """The same command with more steps, as after an interruption: only those are trained."""
    arguments = ("pretrain", folder / "records", folder / "longer", *SIZES, *STEPS[2:])
    run(*arguments, "--steps", 2)
    run(*arguments, "--steps", 4)
    epochs = losses(folder, "longer")
    assert [epoch["epoch"] for epoch in epochs] == ["0", "1"]
    assert float(epochs[0]["tokens_per_second"]) > 0
    once = losses(folder, "model")
    # Data, masks and dropout go on, too; the schedule is that of more steps.
    assert float(epochs[1]["loss"]) == pytest.approx(float(once[1]["loss"]), rel=1e-2)


@pytest.mark.filterwarnings("ignore:.*start from fresh weights")
def test_fine_tuned(folder):
    lines = [{"text": " ".join(WORDS[n:]), "label": ("birds", "stones")[n % 2]} for n in range(10)]
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run("finetune", "classification", folder / "model", folder / "labels.jsonl", folder / "head",
        "--max-length", 96, *STEPS, "--validation", folder / "labels.jsonl")  # fmt: skip
    model = bb.BigBirdForSequenceClassification.from_pretrained(folder / "head")
    assert model.config.id2label == {0: "birds", 1: "stones"}
    assert len(losses(folder, "head")) == 2
    with pytest.raises(typer.BadParameter, match="'poetry' is none of classification"):
        train.finetune("poetry", "model", folder / "labels.jsonl", folder / "head")


def test_columns_of_all_tasks(folder):
    line = {
        "text": "a",
        "label": 1,
        "words": ["a", "b"],
        "choices": ["c", "d"],
        "question": "e",
        "context": "f",
        "answer_texts": ["f"],
        "answer_starts": [0],
        "document": "g",
        "summary": "h",
    }
    (folder / "all.jsonl").write_text(json.dumps(line) + "\n")
    for model_class, preprocessor_class, fields in train.TASKS.values():
        assert issubclass(model_class, keras.Model)
        assert issubclass(preprocessor_class, keras.layers.Layer)
        assert len(train.read_columns(folder / "all.jsonl", fields)) == len(fields)


@pytest.mark.parametrize(
    ("name", "options", "environment"),
    [
        ("replicas", ("--replicas", "2"), {}),
        pytest.param(
            "jax",
            ("--model-devices", "1"),
            {
                "KERAS_BACKEND": "jax",
                "JAX_PLATFORMS": "cpu",
                "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
                "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            },
            marks=pytest.mark.jax,
        ),
    ],
)
def test_on_two_devices(folder, name, options, environment):
    """From the same weights and on the same batches: the validation loss of one device."""
    command = ["pretrain", folder / "records", folder / name, "--model", folder / "model"]
    arguments = (*command[1:], "--max-length", 96, "--validation", folder / "records", *STEPS)
    process = [sys.executable, "-m", "examples.train.train", *map(str, (*command[:1], *arguments))]
    done = subprocess.run(
        [*process, *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [float(epoch["val_loss"]) for epoch in losses(folder, name)]
    if not (folder / "alone.csv").exists():
        run("pretrain", arguments[0], folder / "alone", *arguments[2:])
    expected = [float(epoch["val_loss"]) for epoch in losses(folder, "alone")]
    # Dropout differs.
    assert found == pytest.approx(expected, rel=2e-2)
