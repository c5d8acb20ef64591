"""What a server must survive: texts of a kind that nobody wrote, and signals while exporting."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.preprocessing import BigBirdTokenizer
from tests.preprocessing.conftest import train_vocabulary
from tests.serving.conftest import Exported, small_config

ROOT = Path(__file__).parents[2]
MEGABYTE = 10**6
# One character of the vocabulary, one that it does not have, and what is no text at all.
CHARACTERS = {"known": b"a", "space": b" ", "unknown": "🐦".encode(), "nul": b"\0", "bad": b"\xff"}


@pytest.fixture(scope="module")
def exported_4096(tokenizer, tmp_path_factory):
    """Returns exports of models as long as published ones, by the class's name."""
    made = {}

    def of(name: str) -> Exported:
        if name not in made:
            config = small_config(
                max_position_embeddings=4096, block_size=64, hidden_size=16, num_attention_heads=2
            )
            model = getattr(models, name)(config)
            made[name] = Exported(model, tokenizer, tmp_path_factory.mktemp(name), {})
        return made[name]

    return of


@pytest.mark.slow
class TestAMegabyteOfOneCharacter:
    def text(self, kind) -> bytes:
        character = CHARACTERS[kind]
        # Each of these bytes is a piece: a whole megabyte of them is read for two minutes.
        size = MEGABYTE // 5 if kind in ("nul", "bad") else MEGABYTE
        return character * (size // len(character))

    @pytest.mark.parametrize("kind", CHARACTERS)
    def test_question_answering(self, exported_4096, kind):
        qa = exported_4096("BigBirdForQuestionAnswering")
        text = self.text(kind)
        found = qa.run(question=["who?", "who?"], context=[text, "A bird sings."])
        start, end = found["start"][0], found["end"][0]
        assert found["answer"][0] == text[start:end]
        assert np.isfinite(found["score"]).all()
        # The other row is what it is without it.
        alone = qa.run(question=["who?"], context=["A bird sings."])
        assert found["answer"][1] == alone["answer"][0]
        np.testing.assert_allclose(found["score"][1], alone["score"][0], rtol=1e-4)

    @pytest.mark.parametrize("kind", ["known", "space", "unknown"])
    def test_classification(self, exported_4096, kind):
        classifier = exported_4096("BigBirdForSequenceClassification")
        found = classifier.run(text=[self.text(kind), "A bird sings."])["probabilities"]
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        alone = classifier.run(text=["A bird sings."])["probabilities"]
        np.testing.assert_allclose(found[1], alone[0], rtol=1e-4)
        if kind == "space":
            # There is nothing to see: as the empty text.
            empty = classifier.run(text=[""])["probabilities"]
            np.testing.assert_allclose(found[0], empty[0], rtol=1e-4)

    @pytest.mark.parametrize("kind", ["known", "space"])
    def test_as_a_question(self, exported_4096, kind):
        """It is cut; the answer is one of the context."""
        context = "A bird sings."
        qa = exported_4096("BigBirdForQuestionAnswering")
        found = qa.run(question=[self.text(kind)], context=[context])
        start, end = found["start"][0], found["end"][0]
        assert found["answer"][0] == context[start:end].encode()


@pytest.mark.slow
def test_ten_thousand_documents(exported):
    """Each has what it has alone, and all are in their order."""
    documents = [f"bird {i} " * (1 + i % 5) for i in range(10_007)]
    classifier = exported("BigBirdForSequenceClassification")
    found = classifier.run(text=documents)["probabilities"]
    assert len(found) == len(documents)
    for i in range(0, len(documents), 1009):
        alone = classifier.run(text=documents[i : i + 1])["probabilities"][0]
        np.testing.assert_allclose(found[i], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["BigBirdForSequenceClassification", "BigBirdForQuestionAnswering"]
)
def test_one_string_alone(exported, name):
    """A scalar in place of a batch: TensorFlow's own error is of a slice somewhere within."""
    model = exported(name)
    names = ["question", "context"] if "Question" in name else ["text"]
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"tensor (text|question|context)\S* \[\] is not compatible",
    ):
        model.run(**dict.fromkeys(names, tf.constant("A bird sings.")))


@pytest.mark.slow
def test_a_server_goes_on_after_a_request_that_failed(exported):
    classifier = exported("BigBirdForSequenceClassification")
    before = classifier.run(text=["A bird sings."])["probabilities"]
    ids = np.full((1, 5), -1, np.int32)
    inputs = {"input_ids": ids, "attention_mask": ids + 2, "token_type_ids": ids + 1}
    for _ in range(3):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be in"):
            classifier.run("from_ids", **inputs)
        with pytest.raises(tf.errors.InvalidArgumentError, match="of one batch size"):
            classifier.run("pair", text=["a"], text_pair=["b", "c"])
    np.testing.assert_array_equal(classifier.run(text=["A bird sings."])["probabilities"], before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_export_interrupted_by_a_signal(tmp_path, number):
    """Of the version before nothing is lost, and of the new one nothing is left."""
    config = small_config()
    models.BigBirdForQuestionAnswering(config).save_pretrained(tmp_path / "model")
    BigBirdTokenizer(train_vocabulary()).save_pretrained(tmp_path / "model")
    versions = tmp_path / "versions"
    (versions / "1").mkdir(parents=True)
    command = [sys.executable, "-m", "bigbird_tf.cli", "export", tmp_path / "model", versions]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Shells have it ignored in what they run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # It traces for a second or more from here on.
    while process.poll() is None and not list(versions.glob(".export-*")):
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert b"Traceback" not in err
    assert out == b""
    assert [entry.name for entry in versions.iterdir()] == ["1"]
    # Nor is anything of it where temporary files go.
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model", "versions"]
