import itertools

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.word_boundaries import are_word_boundaries


def cut(texts):
    """Cuts each text at its boundaries, asked for all texts in one batch."""
    texts = [text.encode() if isinstance(text, str) else text for text in texts]
    rows = np.repeat(np.arange(len(texts), dtype=np.int32), [len(t) + 1 for t in texts])
    positions = np.concatenate([np.arange(len(t) + 1, dtype=np.int32) for t in texts])
    (found,) = are_word_boundaries(tf.constant(texts), rows, positions)
    parts = []
    for row, text in enumerate(texts):
        places = positions[(rows == row) & found.numpy()]
        assert {0, len(text)} <= set(places)
        parts.append([text[a:b] for a, b in itertools.pairwise(places)])
    return parts


WORDS = {
    "don't": ["don", "'", "t"],
    "Jean-Pierre's": ["Jean", "-", "Pierre", "'", "s"],
    "snake_case os.path": ["snake_case", " ", "os", ".", "path"],
    "3.14, 1,000.": ["3.14", ",", " ", "1,000", "."],
    ".5 5.a": [".", "5", " ", "5", ".", "a"],
    "v2 10th": ["v2", " ", "10th"],
    "Zürich, привет Ωμέγα٣": ["Zürich", ",", " ", "привет", " ", "Ωμέγα٣"],
    "nai\u0308ve": ["nai\u0308ve"],
    "a\u00adb x\u200by": ["a\u00adb", " ", "x", "\u200b", "y"],
    # Spaces do not part their words, or particles stand at them.
    "猫が3.5": ["猫", "が", "3.5"],
    "ไทยที่": ["ไ", "ท", "ย", "ที่"],
    "서울에": ["서", "울", "에"],
    "\U00020000a": ["\U00020000", "a"],
    "😀😀": ["😀", "😀"],
    "": [],
}


def test_words_by_hand():
    expected = [[part.encode() for part in parts] for parts in WORDS.values()]
    assert cut(WORDS) == expected


def test_a_text_does_not_depend_on_its_neighbours():
    assert cut(["a", "b", "3", ".1", "e", "\u0301"]) == [
        *([[b"a"], [b"b"], [b"3"], [b".", b"1"]]),
        *([[b"e"], ["\u0301".encode()]]),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"\xe7\x8ca", [b"\xe7", b"\x8c", b"a"]),
        (b"a\x80 \xff\xc3", [b"a", b"\x80", b" ", b"\xff", b"\xc3"]),
        ("é".encode() + b"\xa9", ["é".encode(), b"\xa9"]),
        (b"a\x00b", [b"a", b"\x00", b"b"]),
    ],
)
def test_what_is_no_utf_8_is_no_word(text, parts):
    assert cut([text]) == [parts]


def test_no_text():
    (found,) = are_word_boundaries(
        tf.zeros([0], tf.string), tf.zeros([0], tf.int32), tf.zeros([0], tf.int32)
    )
    assert found.shape == (0,)
