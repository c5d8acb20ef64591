"""Decoding by itself, around steps that are written down here."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.generation.decoding import beam_search, filter_logits, sample

OUT = -1e9


def logits_of(probabilities):
    return np.log(np.array(probabilities, "float32"))


class TestFilterLogits:
    # 0.4, 0.3, 0.2 and 0.1, not in order; and a row where one token has nearly all.
    logits = logits_of([[0.2, 0.4, 0.1, 0.3], [0.01, 0.02, 0.96, 0.01]])

    def kept(self, **arguments):
        filtered = np.asarray(filter_logits(self.logits, **arguments))
        kept = filtered > OUT / 2
        np.testing.assert_allclose(filtered[kept], self.logits[kept])
        assert (filtered[~kept] == OUT).all()
        return kept.astype(int).tolist()

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
            ({"top_k": 1}, [[0, 1, 0, 0], [0, 0, 1, 0]]),
            ({"top_k": 2}, [[0, 1, 0, 1], [0, 1, 1, 0]]),
            ({"top_k": 4}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
            ({"top_k": 99}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
            # 0.4 is less than half, so that 0.3 must come to it.
            ({"top_p": 0.5}, [[0, 1, 0, 1], [0, 0, 1, 0]]),
            ({"top_p": 0.75}, [[1, 1, 0, 1], [0, 0, 1, 0]]),
            ({"top_p": 0.01}, [[0, 1, 0, 0], [0, 0, 1, 0]]),
            ({"top_p": 1.0}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
            # Of the best two, the first one has 0.4 / 0.7 = 0.57.
            ({"top_k": 2, "top_p": 0.55}, [[0, 1, 0, 0], [0, 0, 1, 0]]),
            ({"top_k": 2, "top_p": 0.6}, [[0, 1, 0, 1], [0, 0, 1, 0]]),
        ],
        ids=str,
    )
    def test_by_hand(self, arguments, expected):
        assert self.kept(**arguments) == expected

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_the_fewest_that_add_up_to_top_p(self, count):
        """What is just reached takes no further token."""
        ordered = logits_of([[0.5, 0.25, 0.15, 0.1]])
        probabilities = ops.softmax(ordered)
        before = np.asarray(ops.cumsum(probabilities, axis=-1) - probabilities)[0]
        for top_p, expected in (
            (before[count], count),
            (np.nextafter(before[count], np.float32(1)), count + 1),
        ):
            filtered = np.asarray(filter_logits(ordered, top_p=float(top_p)))
            assert (filtered > OUT / 2).sum() == expected

    def test_temperature_comes_first(self):
        np.testing.assert_allclose(filter_logits(self.logits, temperature=0.5), self.logits * 2)
        # At half the temperature 0.4 is 16 of 30 parts: enough alone.
        filtered = np.asarray(filter_logits(self.logits, temperature=0.5, top_p=0.5))
        assert (filtered[0] > OUT / 2).tolist() == [False, True, False, False]


class Chain:
    """Next-token logits that depend on the last token; the cache has the row's number."""

    def __init__(self, vocab_size=5, seed=3, batch=2):
        rng = np.random.default_rng(seed)
        self.table = rng.normal(size=(batch, vocab_size, vocab_size)).astype("float32") * 2
        self.first = rng.normal(size=(batch, vocab_size)).astype("float32")
        self.vocab_size = vocab_size
        self.cache = ops.arange(batch, dtype="int32")

    def __call__(self, tokens, t, cache):
        table = ops.reshape(ops.convert_to_tensor(self.table), (-1, self.vocab_size))
        return ops.take(table, cache * self.vocab_size + tokens, axis=0), cache

    def score(self, row, tokens):
        """The sum of log probabilities of a continuation."""
        total, logits = 0.0, self.first[row]
        for token in tokens:
            total += logits[token] - np.log(np.exp(logits).sum())
            logits = self.table[row, token]
        return total


class TestSample:
    def decode(self, chain, **arguments):
        defaults = {"max_new_tokens": 7, "stop_token_ids": (), "pad_token_id": 0}
        tokens = sample(chain, chain.first, chain.cache, **{**defaults, **arguments})
        assert keras.backend.standardize_dtype(tokens.dtype) == "int32"
        return np.asarray(tokens)

    def test_greedy_by_hand(self):
        chain = Chain()
        tokens = self.decode(chain)
        for row in range(2):
            logits = chain.first[row]
            for token in tokens[row]:
                assert token == logits.argmax()
                logits = chain.table[row, token]

    def test_stops(self):
        chain = Chain(vocab_size=4)
        # 0 goes to 1, 1 to 2, 2 to 3, 3 to 0; rows begin at 1 and at 3.
        chain.table[:] = 9.0 * np.roll(np.eye(4), 1, axis=1)
        chain.first[:] = 9.0 * np.eye(4)[[1, 3]]
        assert self.decode(chain).tolist() == [[1, 2, 3, 0, 1, 2, 3], [3, 0, 1, 2, 3, 0, 1]]
        stopped = self.decode(chain, stop_token_ids=(3,), pad_token_id=2)
        assert stopped.tolist() == [[1, 2, 3, 2, 2, 2, 2], [3, 2, 2, 2, 2, 2, 2]]
        two_stops = self.decode(chain, stop_token_ids=(0, 2))
        assert two_stops.tolist() == [[1, 2, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0]]
        assert self.decode(chain, max_new_tokens=1).tolist() == [[1], [3]]

    def test_frequencies(self):
        # The same row 3001 times: the first token by `first`, the second by the table.
        chain = Chain(vocab_size=3, batch=1)
        count = 3001
        first, cache = np.repeat(chain.first, count, axis=0), np.zeros(count, "int32")
        tokens = np.asarray(
            sample(
                chain,
                first,
                ops.convert_to_tensor(cache),
                max_new_tokens=2,
                stop_token_ids=(),
                pad_token_id=0,
                seed=11,
            )
        )
        for token, other in itertools.product(range(3), range(3)):
            expected = np.exp(chain.score(0, (token, other)))
            found = (tokens == [token, other]).all(axis=1).mean()
            deviation = np.sqrt(expected * (1 - expected) / count)
            assert abs(found - expected) < 4 * deviation

    def test_seeds(self):
        chain = Chain(vocab_size=31)
        first = self.decode(chain, seed=1)
        assert (self.decode(chain, seed=1) == first).all()
        assert (self.decode(chain, seed=2) != first).any()
        # Each step draws anew: equal logits give different tokens.
        chain.table[:], chain.first[:] = 0.0, 0.0
        tokens = self.decode(chain, seed=1)
        assert len(set(tokens[0].tolist())) > 1
        assert (tokens[0] != tokens[1]).any()

    def test_the_best_of_one_is_greedy(self):
        chain = Chain()
        assert (self.decode(chain, seed=5, top_k=1) == self.decode(chain)).all()
        assert (self.decode(chain, seed=5, top_p=1e-6) == self.decode(chain)).all()
        assert (self.decode(chain, seed=5, temperature=1e-4) == self.decode(chain)).all()


class TestBeamSearch:
    def decode(self, chain, **arguments):
        defaults = {"num_beams": 3, "max_new_tokens": 4, "stop_token_ids": (), "pad_token_id": 0}
        tokens, _ = beam_search(chain, chain.first, chain.cache, **{**defaults, **arguments})
        assert keras.backend.standardize_dtype(tokens.dtype) == "int32"
        return np.asarray(tokens)

    @pytest.mark.parametrize("seed", range(5))
    def test_wide_enough_it_finds_the_best(self, seed):
        # 16 beams hold all beginnings of two tokens, so that three tokens are searched fully.
        chain = Chain(vocab_size=4, seed=seed)
        found = self.decode(chain, num_beams=16, max_new_tokens=3)
        for row in range(2):
            best = max(itertools.product(range(4), repeat=3), key=lambda t: chain.score(row, t))
            assert found[row].tolist() == list(best)

    @pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 3.0])
    def test_ends_and_length_penalty(self, length_penalty):
        # All continuations: those that end with token 1, and those of three tokens without it.
        def continuations():
            for tokens in itertools.product(range(4), repeat=3):
                length = tokens.index(1) + 1 if 1 in tokens else 3
                yield tokens[:length]

        lengths = set()
        for seed in range(5):
            chain = Chain(vocab_size=4, seed=seed)
            found = self.decode(
                chain,
                num_beams=16,
                max_new_tokens=3,
                stop_token_ids=(1,),
                length_penalty=length_penalty,
            )
            for row in range(2):
                scores = {
                    tokens: chain.score(row, tokens) / len(tokens) ** length_penalty
                    for tokens in continuations()
                }
                best = max(scores, key=scores.get)
                assert found[row].tolist() == [*best, *[0] * (3 - len(best))]
                lengths.add(len(best))
        assert max(lengths) > 1

    def test_beats_greedy(self):
        # The first token is a little likelier to be 0, but what follows 1 is certain.
        chain = Chain(vocab_size=3, batch=1)
        chain.first = logits_of([[0.5, 0.4, 0.1]])
        chain.table[0] = logits_of([[0.4, 0.3, 0.3], [0.01, 0.01, 0.98], [0.3, 0.4, 0.3]])
        assert self.decode(chain, num_beams=1, max_new_tokens=2).tolist() == [[0, 0]]
        assert self.decode(chain, num_beams=2, max_new_tokens=2).tolist() == [[1, 2]]

    @pytest.mark.parametrize("stops", [(), (1,)])
    def test_the_best_come_first(self, stops):
        # Wide enough to be a full search: the best five of all continuations.
        chain = Chain(vocab_size=4, seed=1)
        found = self.decode(
            chain, num_beams=16, max_new_tokens=3, stop_token_ids=stops, num_return_sequences=5
        ).reshape(2, 5, 3)
        for row in range(2):
            scores = {}
            for tokens in itertools.product(range(4), repeat=3):
                length = next((i for i, token in enumerate(tokens, 1) if token in stops), 3)
                padded = (*tokens[:length], *[0] * (3 - length))
                scores[padded] = chain.score(row, tokens[:length]) / length
            best = sorted(scores, key=scores.get, reverse=True)[:5]
            assert found[row].tolist() == [list(tokens) for tokens in best]

    def test_one_token(self):
        chain = Chain()
        assert self.decode(chain, max_new_tokens=1)[:, 0].tolist() == chain.first.argmax(1).tolist()


class TestProcess:
    """`process` sees what each row has so far, and its scores are those that decide."""

    @staticmethod
    def ban_what_was(scores, tokens, t):
        is_new = ops.cast(ops.arange(ops.shape(tokens)[1]) < t, "float32")[:, None]
        has = ops.one_hot(tokens, scores.shape[-1]) * is_new
        return ops.where(ops.any(has > 0, axis=1), -1e30, scores)

    @pytest.mark.parametrize("num_beams", [1, 4])
    def test_no_token_twice(self, num_beams):
        chain = Chain(vocab_size=5)
        arguments = {"max_new_tokens": 4, "stop_token_ids": (), "pad_token_id": 0}
        decode = sample
        if num_beams > 1:
            arguments["num_beams"] = num_beams

            def decode(*args, **kwargs):
                return beam_search(*args, **kwargs)[0]

        free, found = (
            np.asarray(decode(chain, chain.first, chain.cache, process=process, **arguments))
            for process in (None, self.ban_what_was)
        )
        assert all(len(set(row)) == 4 for row in found.tolist())
        assert any(len(set(row)) < 4 for row in free.tolist())

    def test_beams_add_up_what_it_gives(self):
        # Wide enough to be a full search, with log probabilities that are doubled for token 2.
        def process(scores, tokens, t):
            return scores * np.array([1.0, 1.0, 2.0, 1.0], "float32")

        chain = Chain(vocab_size=4, seed=2)
        found, _ = beam_search(
            chain,
            chain.first,
            chain.cache,
            num_beams=16,
            max_new_tokens=3,
            stop_token_ids=(),
            pad_token_id=0,
            process=process,
        )

        def score(row, tokens):
            parts = np.diff([0.0, *[chain.score(row, tokens[:i]) for i in (1, 2, 3)]])
            return sum(p * (2 if token == 2 else 1) for p, token in zip(parts, tokens, strict=True))

        for row in range(2):
            best = max(itertools.product(range(4), repeat=3), key=lambda t: score(row, t))
            assert np.asarray(found)[row].tolist() == list(best)
