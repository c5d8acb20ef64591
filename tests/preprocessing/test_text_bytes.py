import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies

from bigbird_tf.preprocessing.characters import WHITE_SPACE
from bigbird_tf.preprocessing.text_bytes import TextBytes

INVISIBLE = WHITE_SPACE.copy()
INVISIBLE[[0x0, 0x1, 0x7F, 0x80, 0x7FF, 0x800, 0x200B, 0x200E, 0xFEFF, 0xFFFD]] = True
CHARACTERS = "ab \n\t\x01\x7f\x80\u00a0\u07ff\u0800\u200b\u200e\u3000\ufeff\ufffd猫👍é\0"
BROKEN = (b"\xe2\x80", b"\x8b", b"\xff", b"\xc2", b"\xa0", b"\xc0\xa0", b"\xe0\x80\xa0")
BYTES = strategies.lists(strategies.sampled_from([*(c.encode() for c in CHARACTERS), *BROKEN]))


def is_seen(character: str) -> bool:
    # What is no UTF-8 comes as lone surrogates.
    return not (character != "\0" and ord(character) < 0x10000 and INVISIBLE[ord(character)])


@hypothesis.given(strategies.lists(BYTES, min_size=1, max_size=4), strategies.data())
def test_trim(parts, data):
    texts = [b"".join(part) for part in parts]
    tables = TextBytes.of(tf.constant(texts), INVISIBLE)
    row = data.draw(strategies.integers(0, len(texts) - 1))
    # Spans begin and end between characters.
    characters = texts[row].decode("utf-8", "surrogateescape")
    sizes = [len(character.encode("utf-8", "surrogateescape")) for character in characters]
    places = [0, *np.cumsum(sizes).tolist()]
    first = data.draw(strategies.integers(0, len(characters)))
    last = data.draw(strategies.integers(first, len(characters)))
    seen = [i for i in range(first, last) if is_seen(characters[i])]
    start, end, visible = (
        int(value[0])
        for value in tables.trim(*(tf.constant([x]) for x in (row, places[first], places[last])))
    )
    assert visible == bool(seen)
    if seen:
        assert (start, end) == (places[seen[0]], places[seen[-1] + 1])


def test_the_bytes_of_two_texts_make_no_character():
    tables = TextBytes.of(tf.constant([b"a\xe2\x80", b"\x8bb"]), INVISIBLE)
    rows, starts, ends = tf.constant([0, 1]), tf.constant([0, 0]), tf.constant([3, 2])
    for mine, theirs in zip(tables.trim(rows, starts, ends)[:2], (starts, ends), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_characters_of_a_batch():
    texts = ["é", "", "a猫b"]
    tables = TextBytes.of(tf.constant(texts))
    rows = tf.constant([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    characters = tf.constant([0, 1, 9, 0, 1, 0, 1, 2, 3, 9])
    np.testing.assert_array_equal(
        tables.character_to_byte(rows, characters), [0, 2, 2, 0, 0, 0, 1, 4, 5, 5]
    )
