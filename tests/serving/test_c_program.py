"""The SavedModel runs without Python, from several threads, as in TensorFlow Serving."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text
from tensorflow.core.protobuf import saved_model_pb2

from tests.serving.conftest import TEXTS

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).with_name("serve_strings.c")
TEXT_OPS = Path(tensorflow_text.__file__).parent / "python/ops/_sentencepiece_tokenizer.so"
# A tab ends a column there.
LINES = [text.replace("\t", " ").replace("\n", " ") for text in TEXTS]


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    library = Path(tf.sysconfig.get_lib())
    binary = tmp_path_factory.mktemp("serve_strings") / "serve_strings"
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-D_GNU_SOURCE", SOURCE, "-o", binary]
    command += ["-isystem", tf.sysconfig.get_include(), "-pthread", f"-Wl,-rpath,{library}"]
    command += [library / "libtensorflow_cc.so.2", library / "libtensorflow_framework.so.2"]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    assert compiled.stderr == ""
    return binary


def tensor_names(folder: Path, outputs: list[str]) -> list[str]:
    """Returns the program's arguments for the tensors of `serving_default`, from the file."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    arguments = []
    for name in ("question", "context", "text"):
        if name in signature.inputs:
            arguments += ["-i", signature.inputs[name].name]
    for name in outputs:
        arguments += ["-o", signature.outputs[name].name]
    return arguments


def serve(program, folder, outputs, lines) -> list[list[str]]:
    command = [program, "-m", folder, "-t", "4", "-l", TEXT_OPS, *tensor_names(folder, outputs)]
    run = subprocess.run(
        command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return [line.split("\t") for line in run.stdout.splitlines()]


def test_answers_are_pythons(program, exported):
    qa = exported("BigBirdForQuestionAnswering")
    names = ["answer", "start", "end", "score"]
    questions = [f"who sings {i}?" for i in range(len(LINES))]
    lines = [f"{q}\t{c}" for q, c in zip(questions, LINES, strict=True)]
    expected = qa.run(question=questions, context=LINES)
    rows = serve(program, qa.folder, names, lines)
    assert len(rows) == len(LINES)
    assert any(row[0] for row in rows)
    for i, (answer, start, end, score) in enumerate(rows):
        assert answer == expected["answer"][i].decode()
        assert (int(start), int(end)) == (expected["start"][i], expected["end"][i])
        assert float(score) == pytest.approx(expected["score"][i], abs=1e-3)


def test_continuations_are_pythons(program, exported):
    lm = exported("BigBirdForCausalLM")
    lines = [line[:40] for line in LINES]
    expected = lm.run(text=lines)["continuation"]
    assert serve(program, lm.folder, ["continuation"], lines) == [[x.decode()] for x in expected]


def test_labels_and_probabilities_are_pythons(program, exported):
    classifier = exported("BigBirdForSequenceClassification")
    expected = classifier.run(text=LINES)
    rows = serve(program, classifier.folder, ["labels", "probabilities"], LINES)
    assert len(rows) == len(LINES)
    for (labels, probabilities), *right in zip(rows, *expected.values(), strict=True):
        by_name = dict(zip(expected, right, strict=True))
        assert labels.encode() == b" ".join(by_name["labels"])
        found = np.array(probabilities.split(), float)
        np.testing.assert_allclose(found, by_name["probabilities"], atol=1e-3)


def test_filled_masks_are_pythons(program, exported):
    lm = exported("BigBirdForMaskedLM")
    lines = [f"{line[:60]} [MASK] house" for line in LINES]
    expected = lm.run(text=lines)
    rows = serve(program, lm.folder, ["filled", "scores"], lines)
    assert len(rows) == len(lines)
    for (filled, scores), right, right_scores in zip(
        rows, expected["filled"], expected["scores"], strict=True
    ):
        assert filled.encode() == b" ".join(right.ravel())
        np.testing.assert_allclose(np.array(scores.split(), float), right_scores.ravel(), atol=1e-3)


def test_no_model(program, tmp_path):
    run = subprocess.run([program, "-m", tmp_path], capture_output=True, text=True)
    assert run.returncode == 2
    assert "load: " in run.stderr
