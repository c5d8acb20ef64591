import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies

from bigbird_tf.preprocessing.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Jean-Pierre, O'Neil\n and D\u2019Arcy.", "Jean-Pierre|,|O'Neil|and|D\u2019Arcy|."),
        ("the U.S. team, the U.S.A., e.g. a Ph.D.", "the|U.S.|team|,|the|U.S.A.|,|e.g.|a|Ph.D."),
        ("in the U.S.", "in|the|U.S."),
        ("J. R. R. Tolkien and A. He", "J.|R.|R.|Tolkien|and|A.|He"),
        ("vitamin c. Then plan B.", "vitamin|c|.|Then|plan|B|."),
        ("(AT&T) and/or x_y, a@b.com;", "(|AT&T|)|and/or|x_y|,|a@b.com|;"),
        ("it's 'n' \"a\"", "it's|'|n|'|\"|a|\""),
        ("3.14, 1,000 at 12:30: 5% of $7. 1.2.", "3.14|,|1,000|at|12:30|:|5|%|of|$|7|.|1.2|."),
        ("one--two one,two x - y -z", "one|-|-|two|one|,|two|x|-|y|-|z"),
        ("东京に 東京。 สวัสดี 한국어", "东|京|に|東|京|。|ส|วั|ส|ดี|한국어"),
        ("Zu\u0308rich\u200bnaïve\ufeff ❤\ufe0f", "Zu\u0308rich|naïve|❤\ufe0f"),
        ("人々々\u3007と ㄅㄆ Ⅳ", "人|々|々|\u3007|と|ㄅ|ㄆ|Ⅳ"),
        ("...?! ", ".|.|.|?|!"),
        (" \n\t\u00a0\u3000\0", ""),
        ("", ""),
    ],
)
def test_by_hand(text, words):
    found, starts, ends = split_words(tf.constant([text]))
    assert [word.decode() for word in found.flat_values.numpy()] == [
        w for w in words.split("|") if w
    ]
    spans = zip(starts.flat_values.numpy(), ends.flat_values.numpy(), strict=True)
    assert [text.encode()[start:end] for start, end in spans] == list(found.flat_values.numpy())


def test_no_texts():
    words, starts, _ = split_words(tf.zeros([0], tf.string))
    assert words.shape[0] == starts.shape[0] == 0


def test_bytes_that_are_no_text():
    words, starts, ends = split_words(tf.constant([b"caf\xe9 x\xff", b"\xa0y \xe2\x80"]))
    assert words.to_list() == [
        [b"caf", "\ufdd0".encode(), b"x", "\ufdd0".encode()],
        ["\ufdd0".encode(), b"y", "\ufdd0".encode()],
    ]
    assert starts.to_list() == [[0, 3, 5, 6], [0, 1, 3]]
    assert ends.to_list() == [[3, 4, 6, 7], [1, 2, 5]]


# A graph, since eagerly so many small operations take their time.
compiled = tf.function(split_words, input_signature=[tf.TensorSpec([None], tf.string)])
CHARACTERS = strategies.sampled_from(" .-'&,aB1é\u0308\u200b東\u00a0") | strategies.characters(
    exclude_categories=["Cs"]
)


@pytest.mark.slow
@hypothesis.given(strategies.lists(strategies.text(CHARACTERS), max_size=5))
def test_words_lose_nothing_but_space(texts):
    """In order and apart, each alone as in a batch; and between them nothing is seen."""
    tensor = tf.constant(texts, tf.string, shape=[len(texts)])
    rows = [values.to_list() for values in compiled(tensor)]
    for text, words, starts, ends in zip(texts, *rows, strict=True):
        data, position = text.encode(), 0
        for word, start, end in zip(words, starts, ends, strict=True):
            assert data[start:end] == word
            assert position <= start < end
            gap = data[position:start].decode()
            assert all(c.isspace() or not c.isprintable() or c in "\u0308" for c in gap), text
            position = end
        alone = compiled(tf.constant([text]))
        assert [value.to_list()[0] for value in alone] == [words, starts, ends]
