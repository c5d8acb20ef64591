import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.genomics import reverse_complement

PAIRS = {"": "", "ACGT": "ACGT", "AAC": "GTT", "aCu": "aGt", "RYSWKMBDHVN": "NBDHVKMWSRY"}


def test_by_hand():
    found = reverse_complement(list(PAIRS))
    assert [text.decode() for text in found.numpy()] == list(PAIRS.values())
    assert reverse_complement(b"AACn").numpy() == b"nGTT"
    assert reverse_complement(tf.zeros([0], tf.string)).shape == (0,)


def test_twice_is_the_same_in_a_map():
    rng = np.random.default_rng(3)
    texts = [bytes(rng.choice(list(b"ACGTNRYacgt"), n).tolist()) for n in range(37)]
    dataset = tf.data.Dataset.from_tensor_slices(texts)
    for turned in (dataset.map(reverse_complement), dataset.batch(5).map(reverse_complement)):
        again = [value for part in turned.map(reverse_complement) for value in np.ravel(part)]
        assert again == texts


def test_rate():
    texts = tf.constant(["AAC"] * 1000)
    for rate, low, high in ((0.0, 0, 0), (0.3, 230, 370), (1.0, 1000, 1000)):
        count = int(tf.reduce_sum(tf.cast(reverse_complement(texts, rate) == "GTT", tf.int32)))
        assert low <= count <= high
    draws = []
    for _ in range(2):
        tf.random.set_seed(3)
        draws.append(reverse_complement(texts, 0.5, seed=7).numpy().tolist())
    assert draws[0] == draws[1]
    for rate in (-0.1, 1.1, "1", True):
        with pytest.raises(ValueError, match="`rate` must be in"):
            reverse_complement(texts, rate)


def test_other_letters():
    with pytest.raises(tf.errors.InvalidArgumentError, match="X at base 1 of sequence 1"):
        reverse_complement(["A", "AX"])
    with pytest.raises(TypeError, match="`sequences`"):
        reverse_complement([1])
