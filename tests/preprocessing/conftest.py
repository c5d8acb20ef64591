"""A small SentencePiece vocabulary that the tests train themselves, and the tokenizer on it."""

import io
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer, PegasusTokenizer

SHARED_VOCABULARY = Path(__file__).parents[3] / "shared/fixtures/vocab/gpt2.model"

SENTENCE = """
    the of and a to in is was for on with river stone house green walks sings eleven bird birds
    bigger window windows sparse attention block blocks random global token tokens Zürich naïve
    café Ωμέγα привет мир 日本語 猫 1987 42 3.14 don't well-known U.S.
"""
WORDS = SENTENCE.split()


def train_vocabulary(vocab_size: int = 211, **options) -> bytes:
    """Trains a unigram model on sentences made of `WORDS`; the same bytes every time."""
    rng = random.Random(17)
    sentences = [
        " ".join(rng.choice(WORDS) + rng.choice(["", "", "", ",", ".", "?"]) for _ in range(13))
        for _ in range(701)
    ]
    model = io.BytesIO()
    arguments = {
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 6,
        "user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"],
        "hard_vocab_limit": False,
        "num_threads": 1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=vocab_size,
        **{**arguments, **options},
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def vocabulary() -> bytes:
    return train_vocabulary()


@pytest.fixture(scope="session")
def tokenizer(vocabulary) -> BigBirdTokenizer:
    return BigBirdTokenizer(vocabulary)


@pytest.fixture(scope="session")
def pegasus_vocabulary() -> bytes:
    """Laid out as BigBird-Pegasus': `<unk>` behind the special pieces, then `<n>`."""
    return train_vocabulary(user_defined_symbols=["[CLS]", "[SEP]", "[MASK]", "<n>"])


@pytest.fixture(scope="session")
def pegasus_tokenizer(pegasus_vocabulary) -> PegasusTokenizer:
    return PegasusTokenizer(pegasus_vocabulary)


@pytest.fixture(scope="session")
def published_vocabulary() -> bytes:
    if not SHARED_VOCABULARY.is_file():
        pytest.skip(f"needs the published vocabulary at {SHARED_VOCABULARY}")
    return SHARED_VOCABULARY.read_bytes()


class SavedModelProcess:
    """A process with plain TensorFlow, in which SavedModels are run; one for all tests."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("saved_model_process.py")],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, module: tf.Module, function: str, *arguments: tf.Tensor) -> list[np.ndarray]:
        """Saves a module, runs one of its functions in the process, gives its flat outputs."""
        self.count += 1
        folder = self.folder / str(self.count)
        tf.saved_model.save(module, folder / "model")
        inputs = []
        for index, argument in enumerate(arguments):
            path = folder / f"{index}.tensor"
            path.write_bytes(tf.io.serialize_tensor(argument).numpy())
            inputs.append((str(path), argument.dtype.name))
        request = {
            "path": str(folder / "model"),
            "function": function,
            "inputs": inputs,
            "outputs": str(folder / "outputs.npz"),
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait()}"
        answer = json.loads(line)
        assert not answer, answer.get("error")
        with np.load(request["outputs"], allow_pickle=True) as outputs:
            return [outputs[f"arr_{index}"] for index in range(len(outputs))]


@pytest.fixture(scope="session")
def saved_model_process(tmp_path_factory):
    process = SavedModelProcess(tmp_path_factory.mktemp("saved_models"))
    yield process
    process.process.stdin.close()
    process.process.wait(timeout=60)
    process.process.stdout.close()


def sentencepiece_ids(model: bytes, text: str) -> list[int]:
    """Returns the pieces of a text as SentencePiece itself finds them."""
    return sentencepiece.SentencePieceProcessor(model_proto=model).encode(text)
