import importlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing import (
    BigBirdTokenizer,
    MaskedLMPreprocessor,
    prepare_records,
    read_records,
)
from tests.preprocessing.token_records.conftest import rows

BATCH = 4


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return MaskedLMPreprocessor(tokenizer, max_length=32, seed=3)


def originals(batch) -> list[list[int]]:
    """Returns a batch's rows with what is behind the masks, without padding and filler."""
    x, y, weights = (tf.nest.map_structure(lambda t: t.numpy(), part) for part in batch)
    found = []
    for row in range(len(y)):
        ids = x["input_ids"][row].copy()
        is_used = weights[row] > 0
        ids[x["masked_positions"][row][is_used]] = y[row][is_used]
        if x["attention_mask"][row].any():
            found.append(ids[x["attention_mask"][row] > 0].tolist())
    return found


def test_without_training_all_once(records, preprocessor):
    dataset = read_records(records, preprocessor, BATCH, training=False)
    batches = list(dataset)
    # Keras warns of data that do not say how many they are.
    assert dataset.cardinality() == len(batches)
    assert [row for batch in batches for row in originals(batch)] == rows(records)
    # Filled up, with weights of 0.
    x, y, weights = batches[-1]
    missing = -len(rows(records)) % BATCH
    assert 0 < missing < BATCH
    assert x["input_ids"].shape == (BATCH, 32)
    assert y.shape == weights.shape == (BATCH, preprocessor.max_masked)
    assert not weights[BATCH - missing :].numpy().any()
    assert dataset.element_spec[0]["input_ids"].shape == (BATCH, 32)
    again = list(read_records(records, preprocessor, BATCH, training=False))
    tf.nest.map_structure(np.testing.assert_array_equal, batches, again)


def test_training_hides_other_words_each_epoch(records, preprocessor):
    count = len(rows(records))
    dataset = read_records(records, preprocessor, 1, shuffle_buffer=500)
    epochs = list(dataset.take(2 * count))
    first, second = epochs[:count], epochs[count:]
    orders = [[originals(batch)[0] for batch in epoch] for epoch in (first, second)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(rows(records))
    hidden = [
        {tuple(originals(b)[0]): b[0]["masked_positions"].numpy().tolist() for b in epoch}
        for epoch in (first, second)
    ]
    differ = sum(hidden[0][row] != hidden[1][row] for row in hidden[0])
    assert differ > 0.8 * len(hidden[0])
    # The same in each run, and another with another seed.
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        first[:5],
        list(read_records(records, preprocessor, 1, shuffle_buffer=500).take(5)),
    )
    other = read_records(records, preprocessor, 1, shuffle_buffer=500, seed=1).take(5)
    assert [originals(batch) for batch in other] != [originals(batch) for batch in first[:5]]


def test_bucketed_lengths(records, tokenizer):
    preprocessor = MaskedLMPreprocessor(
        tokenizer, max_length=64, padding="longest", pad_to_multiple_of=16
    )
    found = {
        batch[0]["input_ids"].shape[1]
        for batch in read_records(records, preprocessor, 1, training=False)
    }
    assert found == {32, -(-len(rows(records)[-1]) // 16) * 16}


@pytest.mark.parametrize("count", [2, 5])
def test_hosts_share_out_the_records(tmp_path, monkeypatch, tokenizer, preprocessor, count):
    """By files if there are enough, else by records."""
    for part in range(2):
        (tmp_path / f"{part}.txt").write_text("stone house river " * 300 * (part + 1))
    module = importlib.import_module("bigbird_tf.preprocessing.token_records.prepare_records")
    monkeypatch.setattr(module, "MEBI", 100)
    prepare_records(f"{tmp_path}/*.txt", tmp_path / "out", tokenizer, length=32, shard_mebibytes=1)
    whole = rows(tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.tfrecord"))) == 2
    found = [
        [
            row
            for batch in read_records(
                tmp_path / "out", preprocessor, BATCH, training=False, shard=(index, count)
            )
            for row in originals(batch)
        ]
        for index in range(count)
    ]
    assert all(found)
    assert sorted(row for part in found for row in part) == sorted(whole)


def test_records_that_do_not_fit(records, tmp_path, tokenizer, preprocessor, pegasus_vocabulary):
    with pytest.raises(ValueError, match=r"have up to 32 ids.*Received: max_length=31"):
        read_records(records, MaskedLMPreprocessor(tokenizer, max_length=31), 1)
    other = MaskedLMPreprocessor(
        BigBirdTokenizer(pegasus_vocabulary),
        max_length=32,
    )
    with pytest.raises(ValueError, match=r"of another vocabulary.*from_pretrained\('.*tokenizer'"):
        read_records(records, other, 1)
    with pytest.raises(FileNotFoundError, match="No records of `prepare_records`"):
        read_records(tmp_path, preprocessor, 1)
    shutil.copytree(records, tmp_path / "part")
    next((tmp_path / "part").glob("shard*.json")).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 1 files .* are not written yet"):
        read_records(tmp_path / "part", preprocessor, 1)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: batch_size=0"),
        ({"shuffle_buffer": 0}, "`shuffle_buffer` must be a positive integer"),
        ({"shard": (2, 2)}, r"Received: shard=\(2, 2\)"),
        ({"shard": (0, 0.5)}, r"`shard` must be a number and how many"),
    ],
)
def test_arguments(records, preprocessor, arguments, match):
    with pytest.raises(ValueError, match=match):
        read_records(records, preprocessor, **{"batch_size": 2, **arguments})
