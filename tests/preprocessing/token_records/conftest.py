"""Records of a few texts, made once."""

import pytest
import tensorflow as tf

from bigbird_tf.preprocessing import prepare_records
from tests.preprocessing.conftest import WORDS


def documents(count: int = 23) -> list[str]:
    """Texts of very different lengths, without two that are alike."""
    return [
        ". ".join(" ".join(WORDS[(7 * i + j) % len(WORDS) :][:6]) for j in range(3 * i)) + f" {i}"
        for i in range(count)
    ]


def rows(directory) -> list[list[int]]:
    """Returns all records of a directory, in the order of its files."""
    found = []
    for path in sorted(directory.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            found.append(list(example.features.feature["input_ids"].int64_list.value))
    return found


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for number, text in enumerate(documents()):
        (folder / f"{number:02}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def records(tmp_path_factory, texts, tokenizer):
    directory = tmp_path_factory.mktemp("records") / "joined"
    prepare_records(f"{texts}/*.txt", directory, tokenizer, length=32)
    return directory
