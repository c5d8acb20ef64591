import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.serving.text_windows import TextWindows

MAX_LENGTH = 23
LENGTHS = (0, 1, 20, 21, 22, 53, 101)


def ragged(lengths, first):
    """Every piece of the batch is another number."""
    return tf.RaggedTensor.from_row_lengths(
        tf.range(first, first + sum(lengths), dtype=tf.int32), tf.constant(lengths, tf.int64)
    )


@pytest.fixture
def texts():
    return ragged(LENGTHS, 1000)


def check_ownership(windows, texts):
    """Each piece is in one window that it belongs to, and where it says it is."""
    x, piece, is_own = windows.fill(tf.range(tf.shape(windows.lengths)[0]))
    owned = np.sort(piece.numpy()[is_own.numpy()])
    np.testing.assert_array_equal(owned, range(sum(LENGTHS)))
    taken = tf.gather(texts.flat_values, piece).numpy()[is_own.numpy()]
    np.testing.assert_array_equal(x["input_ids"].numpy()[is_own.numpy()], taken)
    return {name: value.numpy() for name, value in x.items()}, is_own.numpy()


def test_single_texts(tokenizer, texts):
    windows = TextWindows(texts, None, tokenizer, MAX_LENGTH, 4)
    x, is_own = check_ownership(windows, texts)
    example = windows.plan.example.numpy()
    assert np.bincount(example).tolist()[:4] == [1, 1, 1, 1]
    assert (np.bincount(example)[4:] > 1).all()
    for i, length in enumerate(windows.lengths.numpy()):
        row = x["input_ids"][i]
        assert row[0] == tokenizer.cls_token_id
        assert row[length - 1] == tokenizer.sep_token_id
        assert (row[1 : length - 1] >= 1000).all()
        assert (row[length:] == tokenizer.pad_token_id).all()
        np.testing.assert_array_equal(x["attention_mask"][i], np.arange(len(row)) < length)
        # A piece in the middle of a text has at least a quarter of a window on its scarcer side.
        inner = np.flatnonzero(is_own[i])
        if len(inner) and i and example[i] == example[i - 1]:
            assert inner[0] >= 5
    assert not x["token_type_ids"].any()
    assert x["input_ids"].shape[1] == MAX_LENGTH


@pytest.mark.parametrize("pair_length", [None, 0, 5, 40])
def test_windows_overlap_by_half(tokenizer, texts, pair_length):
    """So each piece is computed twice, not more often, whatever stands behind the windows."""
    pairs = None if pair_length is None else ragged([pair_length] * len(LENGTHS), 5000)
    plan = TextWindows(texts, pairs, tokenizer, MAX_LENGTH, 4).plan
    behind = 1 if pairs is None else 2 + min(pair_length, MAX_LENGTH // 2)
    capacity = MAX_LENGTH - 1 - behind
    example, first, end = plan.example.numpy(), plan.first.numpy(), plan.end.numpy()
    for i, length in enumerate(LENGTHS):
        starts = first[example == i]
        assert (np.diff(starts) == capacity // 2).all()
        assert len(starts) == 1 + max(0, -(-(length - capacity) // (capacity // 2)))
        assert end[example == i][-1] == length


def test_pairs(tokenizer, texts):
    pair_lengths = (3, 0, 1, 11, 12, 40, 7)
    pairs = ragged(pair_lengths, 5000)
    windows = TextWindows(texts, pairs, tokenizer, MAX_LENGTH, 4)
    x, _ = check_ownership(windows, texts)
    for i, example in enumerate(windows.plan.example.numpy()):
        row, length = x["input_ids"][i], windows.lengths.numpy()[i]
        kept = pairs[example].numpy()[: MAX_LENGTH // 2]
        behind = row[length - len(kept) - 2 : length]
        assert behind[0] == behind[-1] == tokenizer.sep_token_id
        np.testing.assert_array_equal(behind[1:-1], kept)
        assert x["token_type_ids"][i].sum() == len(kept) + 1
        assert x["token_type_ids"][i][length - len(kept) - 1 : length].all()


def test_padded_to_the_longest_chosen(tokenizer, texts):
    windows = TextWindows(texts, None, tokenizer, MAX_LENGTH, 4)
    assert windows.fill(tf.constant([1, 0]))[0]["input_ids"].shape == (2, 4)
    assert windows.fill(tf.constant([2]))[0]["input_ids"].shape == (1, MAX_LENGTH)


def test_equals_the_tokenizers_layout(tokenizer):
    texts = ["the river house", "", "eleven birds walks"]
    pairs = ["", "stone", "window 3.14"]
    windows = TextWindows(
        tokenizer.tokenize(texts), tokenizer.tokenize(pairs), tokenizer, MAX_LENGTH * 3, 1
    )
    x, *_ = windows.fill(tf.range(3))
    for name, value in tokenizer(texts, pairs).items():
        np.testing.assert_array_equal(x[name], value, err_msg=name)


def test_mean_over_windows(tokenizer, texts):
    windows = TextWindows(texts, None, tokenizer, MAX_LENGTH, 4)
    example = windows.plan.example.numpy()
    values = np.random.default_rng(3).normal(size=(len(example), 2)).astype(np.float32)
    expected = [values[example == i].mean(axis=0) for i in range(len(LENGTHS))]
    np.testing.assert_allclose(windows.mean_over_windows(values), expected, rtol=1e-6)
