"""What decoding changes about logits, by hand and against loops in Python."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf.generation.logits_processors import (
    BANNED,
    ban_repeated_ngrams,
    ban_tokens,
    force_tokens,
    make_processor,
    penalize_repetition,
)

SCORES = np.array([[2.0, -2.0, 0.0, 3.0, -1.0], [1.0, 4.0, -3.0, 0.5, 2.0]], "float32")


def banned_in(scores) -> list[list[int]]:
    return [np.flatnonzero(row == np.float32(BANNED)).tolist() for row in np.asarray(scores)]


class TestPenalizeRepetition:
    def test_by_hand(self):
        tokens = np.array([[4, 0, 1, 0], [3, 3, 2, 2]], "int32")
        is_token = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
        found = penalize_repetition(SCORES, tokens, is_token, 2.0)
        # Tokens 0 and 1 of the first row, though 0 comes twice; 2 and 3 of the other.
        expected = [[1.0, -4.0, 0.0, 3.0, -1.0], [1.0, 4.0, -6.0, 0.25, 2.0]]
        np.testing.assert_array_equal(found, np.array(expected, "float32"))

    def test_what_is_no_token_does_not_count(self):
        # The same id is a token and an empty place, in either order.
        tokens = np.array([[3, 3, 1, 1], [4, 1, 1, 4]], "int32")
        is_token = np.array([[0, 1, 1, 0], [0, 1, 0, 1]], bool)
        found = penalize_repetition(SCORES, tokens, is_token, 0.5)
        expected = [[2.0, -1.0, 0.0, 6.0, -1.0], [1.0, 8.0, -3.0, 0.5, 4.0]]
        np.testing.assert_array_equal(found, np.array(expected, "float32"))


def repeated(tokens: list[int], n: int) -> list[int]:
    """The tokens that would end an n-gram for the second time."""
    last = tokens[len(tokens) - n + 1 :]
    if len(last) < n - 1:
        return []
    ends = range(n - 1, len(tokens))
    return sorted({tokens[i] for i in ends if tokens[i - n + 1 : i] == last})


class TestBanRepeatedNgrams:
    @pytest.mark.parametrize(
        ("n", "expected"),
        [(1, [[0, 1, 2, 3], [3, 4]]), (2, [[2, 3], [4]]), (3, [[2, 3], []]), (4, [[], []])],
    )
    def test_by_hand(self, n, expected):
        # 0 1 was followed by 2 and by 3, but 3 0 1 by nothing yet; 3 by 4. Nines are no tokens.
        tokens = np.array([[9, 0, 1, 2, 0, 1, 3, 0, 1, 9, 9], [9, 9, 9, 9, 9, 9, 3, 4, 3, 9, 9]])
        scores = np.zeros((2, 10), "float32") + 1
        found = ban_repeated_ngrams(scores, tokens.astype("int32"), tokens != 9, 9, n)
        assert banned_in(found) == expected
        assert (np.asarray(found)[np.asarray(found) != np.float32(BANNED)] == 1).all()

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_against_a_loop(self, n):
        rng = np.random.default_rng(n)
        rows, places, vocab_size = 60, 23, 4
        tokens = rng.integers(0, vocab_size, (rows, places), dtype="int32")
        scores = rng.normal(size=(rows, vocab_size)).astype("float32")
        sizes = set()
        for length in (1, 2, 3, 9, places):
            # Padding in front of at least one token; what is behind the place is empty.
            padding = rng.integers(0, length, rows)
            is_token = np.arange(places) >= padding[:, None]
            is_token &= np.arange(places) < length
            found = ban_repeated_ngrams(scores, tokens, is_token, length, n)
            expected = [
                repeated(tokens[row, padding[row] : length].tolist(), n) for row in range(rows)
            ]
            assert banned_in(found) == expected
            is_kept = np.asarray(found) != np.float32(BANNED)
            np.testing.assert_array_equal(np.asarray(found)[is_kept], scores[is_kept])
            sizes |= {len(banned) for banned in expected}
        assert len(sizes) > 1

    def test_more_than_there_are(self):
        tokens = np.array([[1, 1, 1]], "int32")
        found = ban_repeated_ngrams(SCORES[:1], tokens, tokens == 1, 3, 7)
        np.testing.assert_array_equal(found, SCORES[:1])


def test_ban_tokens():
    found = np.asarray(ban_tokens(SCORES, (1, 4)))
    assert banned_in(found) == [[1, 4], [1, 4]]
    np.testing.assert_array_equal(found[:, [0, 2, 3]], SCORES[:, [0, 2, 3]])
    np.testing.assert_array_equal(ban_tokens(SCORES, (1, 4), is_on=False), SCORES)


class TestMakeProcessor:
    prompts = np.array([[4, 3, 2, 3], [0, 1, 0, 2]], "int32")
    is_prompt = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], "int32")

    def make(self, **arguments):
        return make_processor(self.prompts, self.is_prompt, max_new_tokens=3, **arguments)

    def test_nothing_to_do(self):
        assert self.make() is None
        assert self.make(min_new_tokens=2) is None
        assert self.make(stop_token_ids=(1,)) is None

    def test_min_new_tokens(self):
        process = self.make(min_new_tokens=2, stop_token_ids=(1, 3))
        new_tokens = np.zeros((2, 3), "int32")
        for t, expected in ((0, [1, 3]), (1, [1, 3]), (2, [])):
            assert banned_in(process(SCORES, new_tokens, t)) == [expected] * 2

    def test_prompt_and_new_tokens(self):
        process = self.make(no_repeat_ngram_size=2)
        # 3 2 3, then 2 would come again; of what is written behind t nothing counts.
        new_tokens = np.array([[2, 4, 2], [0, 4, 4]], "int32")
        assert banned_in(process(SCORES, new_tokens, 0)) == [[2], []]
        assert banned_in(process(SCORES, new_tokens, 1)) == [[3], [1, 2]]
        assert banned_in(process(SCORES, new_tokens, 2)) == [[], []]
        assert banned_in(process(SCORES, new_tokens, 3)) == [[3, 4], [4]]

    def test_all_together(self):
        process = self.make(
            repetition_penalty=2.0, no_repeat_ngram_size=3, min_new_tokens=2, stop_token_ids=(4,)
        )
        found = process(SCORES, np.array([[2, 0, 0], [1, 0, 0]], "int32"), 1)
        # 3 2 3 2: a third 3 is banned. 0 1 0 2 1. Token 4 stops; what is there already is halved.
        expected = [[2.0, -2.0, 0.0, BANNED, BANNED], [0.5, 2.0, -6.0, 0.5, BANNED]]
        np.testing.assert_array_equal(found, np.array(expected, "float32"))

    def test_all_banned_is_still_a_distribution(self):
        process = self.make(no_repeat_ngram_size=1)
        new_tokens = np.array([[0, 1, 4], [3, 4, 4]], "int32")
        found = process(SCORES, new_tokens, 3)
        assert banned_in(found)[0] == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(ops.softmax(found)[0], np.full(5, 0.2), rtol=1e-6)

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_in_a_graph(self, jit_compile):
        import tensorflow as tf

        arguments = {
            "repetition_penalty": 1.5,
            "no_repeat_ngram_size": 2,
            "min_new_tokens": 2,
            "stop_token_ids": (4,),
        }
        ids, logits = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, 5), tf.float32)

        @tf.function(
            input_signature=[ids, ids, logits, ids, tf.TensorSpec((), tf.int32)],
            jit_compile=jit_compile,
            autograph=False,
        )
        def process(prompts, is_prompt, scores, new_tokens, t):
            processor = make_processor(prompts, is_prompt, max_new_tokens=3, **arguments)
            return processor(scores, new_tokens, t)

        new_tokens = np.array([[2, 4, 2], [0, 4, 4]], "int32")
        for t in range(4):
            found = process(self.prompts, self.is_prompt, SCORES, new_tokens, t)
            np.testing.assert_allclose(found, self.make(**arguments)(SCORES, new_tokens, t))


class TestForcedTokens:
    def test_by_hand(self):
        found = np.asarray(force_tokens(SCORES, (1, 3)))
        assert banned_in(found) == [[0, 2, 4]] * 2
        assert found[:, [1, 3]].tolist() == [[0.0, 0.0]] * 2
        np.testing.assert_array_equal(force_tokens(SCORES, (1, 3), False), SCORES)

    def test_at_the_begin_and_at_the_end(self):
        """Whatever the other rules say, as in `transformers`."""
        process = make_processor(
            np.array([[2], [2]], "int32"),
            np.ones((2, 1), "int32"),
            max_new_tokens=3,
            min_new_tokens=3,
            stop_token_ids=(4,),
            forced_bos_token_id=(1,),
            forced_eos_token_id=(4,),
        )
        tokens = np.zeros((2, 3), "int32")
        banned = [banned_in(process(SCORES, tokens, t)) for t in range(3)]
        assert banned == [[[0, 2, 3, 4]] * 2, [[4]] * 2, [[0, 1, 2, 3]] * 2]
