"""Which beams go on and which ends count: worked out by hand, and by loops over beams in Python."""

import itertools
from typing import ClassVar

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.generation.decoding import beam_search

STOP, PAD = 3, 0


class Tree:
    """Probabilities of the next token by all tokens so far; without an entry, all are alike."""

    vocab_size = 4

    def __init__(self, probabilities, max_new_tokens):
        self.probabilities = probabilities
        self.max_new_tokens = max_new_tokens

    def logits(self, tokens):
        even = [1 / self.vocab_size] * self.vocab_size
        return np.log(np.array(self.probabilities.get(tuple(tokens), even), "float32"))

    def table(self):
        """Logits by how many tokens were read, and which: `(M, V ** M, V)`."""
        size = self.vocab_size**self.max_new_tokens
        table = np.zeros((self.max_new_tokens, size, self.vocab_size), "float32")
        for last in range(self.max_new_tokens):
            for tokens in itertools.product(range(self.vocab_size), repeat=last + 1):
                number = sum(token * self.vocab_size**i for i, token in enumerate(tokens))
                table[last, number] = self.logits(tokens)
        return table

    def step(self, tokens, t, cache):
        """The cache is what each row has read so far; so rows must move with their beams."""
        # No NumPy, as the loop is traced.
        places = ops.arange(self.max_new_tokens, dtype="int32")
        cache = ops.where(places == t, tokens[:, None], cache)
        powers = self.vocab_size ** np.arange(self.max_new_tokens, dtype="int32")
        number = ops.sum(ops.where(places <= t, cache, 0) * powers, axis=1)
        table = ops.convert_to_tensor(self.table())
        return ops.take(ops.take(table, t, axis=0), number, axis=0), cache

    def search(self, **arguments):
        return self.search_with_scores(**arguments)[0]

    def search_with_scores(self, **arguments):
        return search(
            [self], self.step, np.full((1, self.max_new_tokens), -1, "int32"), **arguments
        )


class Forest:
    """Several trees, each with a prompt of its own: the cache says which one a row climbs."""

    def __init__(self, trees):
        self.trees = trees

    def step(self, tokens, t, cache):
        read, which = cache
        found = [tree.step(tokens, t, read) for tree in self.trees]
        logits = ops.stack([logits for logits, _ in found], axis=1)
        place = ops.repeat(which[:, :, None], logits.shape[-1], axis=2)
        return ops.take_along_axis(logits, place, axis=1)[:, 0], (found[0][1], which)

    def search(self, **arguments):
        count, longest = len(self.trees), self.trees[0].max_new_tokens
        cache = (
            np.full((count, longest), -1, "int32"),
            np.arange(count, dtype="int32")[:, None],
        )
        tokens, _ = search(self.trees, self.step, cache, **arguments)
        return np.reshape(tokens, (count, -1, longest)).tolist()


def search(trees, step, cache, **arguments):
    """Returns tokens and scores of a beam search with a prompt for each tree."""
    options = {"stop_token_ids": (STOP,), "pad_token_id": PAD, "num_beams": 2}
    tokens, scores = beam_search(
        step,
        ops.convert_to_tensor(np.stack([tree.logits([]) for tree in trees])),
        keras.tree.map_structure(ops.convert_to_tensor, cache),
        max_new_tokens=trees[0].max_new_tokens,
        **{**options, **arguments},
    )
    return np.asarray(tokens).tolist(), np.asarray(scores)


def test_an_end_counts_among_the_best_only():
    """The third best candidate of two beams ends: two that go on were better, and it is dropped.

    Without a length penalty it would beat all that follows: log 0.2 against log 0.4 + log 0.25.
    """
    tree = Tree({(): [0.1, 0.4, 0.3, 0.2]}, max_new_tokens=2)
    assert tree.search(length_penalty=0.0)[0][0] == 1
    # With three beams it is among the best.
    assert tree.search(num_beams=3, length_penalty=0.0) == [[STOP, PAD]]


def test_beams_go_on_though_the_best_candidates_end():
    """The best token of both beams ends them; the next best goes on, and wins by its length.

    The ends weigh 0.5 * 0.6 and 0.44 * 0.5. The first beam goes on with 0.5 * 0.398, and what
    follows is certain: log 0.198 / 4 is more than log 0.3 / 2. Of three places for what has ended
    one is free until then.
    """
    certain = [0.001, 0.001, 0.997, 0.001]
    tree = Tree(
        {
            (): [0.05, 0.5, 0.44, 0.01],
            (1,): [0.001, 0.001, 0.398, 0.6],
            (2,): [0.3, 0.18, 0.02, 0.5],
            (1, 2): certain,
            (1, 2, 2): certain,
        },
        max_new_tokens=4,
    )
    found = tree.search(num_beams=3, num_return_sequences=3)
    assert found == [[1, 2, 2, 2], [1, STOP, PAD, PAD], [2, STOP, PAD, PAD]]


def test_both_beams_of_one_parent():
    """The second beam dies out: 0.45 * 0.25 is less than 0.5 * 0.45, twice."""
    tree = Tree(
        {
            (): [0.04, 0.5, 0.45, 0.01],
            (1,): [0.45, 0.05, 0.45, 0.05],
            (1, 0): [0.1, 0.1, 0.7, 0.1],
            (1, 2): [0.9, 0.04, 0.03, 0.03],
        },
        max_new_tokens=3,
    )
    assert tree.search(num_return_sequences=2) == [[1, 2, 0], [1, 0, 2]]


def test_the_search_ends_where_open_beams_are_behind():
    """0.9 ends at once; 0.1 goes on, which at its present length is behind it.

    Had it gone on, it would have won by length: log 0.1 / 3 ** 5 against log 0.9 / 1.
    """
    certain = [0.001, 0.997, 0.001, 0.001]
    tree = Tree({(): [0.04, 0.06, 0.03, 0.87], (1,): certain, (1, 1): certain}, max_new_tokens=3)
    found = tree.search(num_beams=1, length_penalty=5.0)
    assert found == [[STOP, PAD, PAD]]
    # With two beams a place is free for another end, so that the search goes on.
    found = tree.search(num_beams=2, length_penalty=5.0)
    assert found == [[1, 1, 1]]


def test_a_prompt_that_is_done_takes_no_more_ends():
    """The first prompt has ended; the loop goes on for the second, which has not.

    At the last token all beams end. That of the first would win by its length, and is too late.
    """
    certain = [0.001, 0.997, 0.001, 0.001]
    tree = Tree({(1,): certain, (1, 1): certain, (2,): certain, (2, 1): certain}, max_new_tokens=3)
    first = np.log(np.array([[0.04, 0.06, 0.03, 0.87], [0.01, 0.01, 0.97, 0.01]], "float32"))
    found, scores = beam_search(
        tree.step,
        ops.convert_to_tensor(first),
        ops.full((2, 3), -1, "int32"),
        num_beams=1,
        max_new_tokens=3,
        stop_token_ids=(STOP,),
        pad_token_id=PAD,
        length_penalty=5.0,
    )
    assert np.asarray(found).tolist() == [[STOP, PAD, PAD], [2, 1, 1]]
    np.testing.assert_allclose(scores, np.log([0.87, 0.97 * 0.997**2]) / [1, 3**5], rtol=1e-5)


def test_early_stopping():
    """Two ends, worth log 0.4 and log 0.5989 / 2 ** 3, and a beam that only its length makes good.

    By `True` the search is over with the second end. By `False` too, at two tokens: log 0.0006
    / 2 ** 3 is behind log 0.4. By `"never"` the open beam is judged at four: log 0.0006 / 4 ** 3.
    """
    certain = [0.001, 0.001, 0.997, 0.001]
    tree = Tree(
        {
            (): [0.0003, 0.5991, 0.0006, 0.4],
            (1,): [0.0001, 0.0001, 0.0001, 0.9997],
            (2,): certain,
            (2, 2): certain,
            (2, 2, 2): certain,
        },
        max_new_tokens=4,
    )
    ends = [[1, STOP, PAD, PAD], [STOP, PAD, PAD, PAD]]
    best = {"length_penalty": 3.0, "num_return_sequences": 2}
    assert tree.search(early_stopping=True, **best) == ends
    assert tree.search(early_stopping=False, **best) == ends
    assert tree.search(early_stopping="never", **best) == [ends[0], [2, 2, 2, 2]]
    # Below 0 no length suits an open beam better than its present one.
    worst = {**best, "length_penalty": -1.0}
    assert tree.search(early_stopping="never", **worst) == tree.search(**worst)


def test_early_stopping_takes_no_more_ends():
    """The first prompt has two ends after two tokens; the loop goes on for the second, without.

    Its open beam would be worth more as well: log 0.27 / 3 ** 2 against log 0.3 / 2 ** 2.
    """
    certain = [0.001, 0.001, 0.997, 0.001]
    tree = Tree(
        {
            (1,): [0.025, 0.45, 0.025, 0.5],
            (1, 1): [0.001, 0.001, 0.001, 0.997],
            (2,): certain,
            (2, 2): certain,
        },
        max_new_tokens=3,
    )
    first = np.log(np.array([[0.05, 0.6, 0.05, 0.3], [0.01, 0.01, 0.97, 0.01]], "float32"))
    found = {}
    for early_stopping in (True, False):
        found[early_stopping], _ = beam_search(
            tree.step,
            ops.convert_to_tensor(first),
            ops.full((2, 3), -1, "int32"),
            num_beams=2,
            max_new_tokens=3,
            stop_token_ids=(STOP,),
            pad_token_id=PAD,
            length_penalty=2.0,
            early_stopping=early_stopping,
        )
    assert np.asarray(found[True]).tolist() == [[1, STOP, PAD], [2, 2, 2]]
    assert np.asarray(found[False]).tolist() == [[1, 1, STOP], [2, 2, 2]]


class TestGooglesRule:
    rule: ClassVar[dict] = {"length_rule": "google", "num_return_sequences": 2}

    def test_an_end_counts_wherever_it_ranks(self):
        """The third best of two beams' four candidates ends: `transformers` drops it."""
        tree = Tree({(): [0.1, 0.4, 0.3, 0.2]}, max_new_tokens=2)
        tokens, scores = tree.search_with_scores(**self.rule, length_penalty=0.0)
        # Of the ends in the second step, log 0.4 + log 0.25 is the best.
        assert tokens == [[STOP, PAD], [1, STOP]]
        np.testing.assert_allclose(scores, np.log([0.2, 0.1]), rtol=1e-5)

    def test_ends_come_before_better_open_beams(self):
        """One beam ends, at log 0.04 after two steps; the others go on, at log 0.5 and more."""
        sure = [0.01, 0.96, 0.029, 0.001]
        tree = Tree({(): [0.01, 0.5, 0.45, 0.04], (1,): sure, (2,): sure}, max_new_tokens=2)
        tokens, scores = tree.search_with_scores(**self.rule, length_penalty=2.0, num_beams=3)
        # The second place is that of the second best open beam, not of the best.
        assert tokens == [[STOP, PAD], [2, 1]]
        np.testing.assert_allclose(scores, np.log([0.04, 0.45 * 0.96]), rtol=1e-4)

    def test_length_of_ends(self):
        """Two ends, divided by ((5 + 1) / 6) ** 2 and ((5 + 2) / 6) ** 2."""
        tree = Tree({(): [0.001, 0.549, 0.0, 0.45], (1,): [0.0, 0.0, 0.0, 1.0]}, 3)
        tree.probabilities = {key: np.array(row) + 1e-9 for key, row in tree.probabilities.items()}
        tokens, scores = tree.search_with_scores(**self.rule, length_penalty=2.0)
        assert tokens == [[1, STOP, PAD], [STOP, PAD, PAD]]
        np.testing.assert_allclose(scores, np.log([0.549, 0.45]) / [(7 / 6) ** 2, 1], rtol=1e-4)


def reference(tree, num_beams, stops, length_penalty, early_stopping=False):
    """Beam search over lists, in the words of `transformers`; returns all that ended."""
    running, finished, is_done = [(0.0, [])], [], False
    for length in range(1, tree.max_new_tokens + 1):
        candidates = []
        for score, tokens in running:
            logits = tree.logits(tokens).astype(float)
            logs = logits - np.log(np.exp(logits).sum())
            candidates += [(score + logs[v], [*tokens, v]) for v in range(tree.vocab_size)]
        candidates.sort(key=lambda candidate: -candidate[0])
        running = []
        for rank, (score, tokens) in enumerate(candidates):
            if tokens[-1] in stops or length == tree.max_new_tokens:
                if rank < num_beams and not is_done:
                    finished.append((score / length**length_penalty, tokens))
            elif len(running) < num_beams:
                running.append((score, tokens))
        finished = sorted(finished, key=lambda end: -end[0])[:num_beams]
        if not running:
            break
        ahead = early_stopping == "never" and length_penalty > 0
        best_open = running[0][0] / (tree.max_new_tokens if ahead else length) ** length_penalty
        is_full = len(finished) == num_beams
        if is_full and (early_stopping is True or best_open <= finished[-1][0]):
            is_done = True
            break
    return [tokens for _, tokens in finished]


def google_reference(tree, num_beams, stops, length_penalty):
    """Beam search over lists as the README of Google's fixtures has it; returns all places."""
    alive, finished = [(0.0, [])], []
    for length in range(1, tree.max_new_tokens + 1):
        candidates = []
        for score, tokens in alive:
            logits = tree.logits(tokens).astype(float)
            logs = logits - np.log(np.exp(logits).sum())
            candidates += [(score + logs[v], [*tokens, v]) for v in range(tree.vocab_size)]
        candidates = sorted(candidates, key=lambda candidate: -candidate[0])
        candidates = candidates[: (1 + len(stops)) * num_beams]
        factor = ((5 + length) / 6) ** length_penalty
        finished += [(s / factor, tokens) for s, tokens in candidates if tokens[-1] in stops]
        finished = sorted(finished, key=lambda end: -end[0])[:num_beams]
        alive = [c for c in candidates if c[1][-1] not in stops][:num_beams]
    return [tokens for _, tokens in [*finished, *alive[len(finished) :]]]


@pytest.mark.parametrize(("num_beams", "stops"), [(2, (STOP,)), (3, (1, STOP))])
def test_narrow_beams_are_those_of_a_loop(num_beams, stops):
    rng = np.random.default_rng(5)
    trees = [Tree({}, max_new_tokens=4) for _ in range(4)]
    for tree in trees:
        tree.probabilities = {
            tokens: rng.dirichlet([0.7] * 4) + 1e-4
            for count in range(4)
            for tokens in itertools.product(range(4), repeat=count)
        }
    lengths = set()
    # Every search is compiled on JAX, so only the usual rule meets all penalties.
    usual = [(False, length_penalty) for length_penalty in (-0.5, 0.0, 1.0, 2.0)]
    for rule, length_penalty in [*usual, (True, 1.0), ("never", 2.0), ("google", 0.8)]:
        options = {"early_stopping": rule} if rule != "google" else {"length_rule": rule}
        found = Forest(trees).search(
            num_beams=num_beams,
            stop_token_ids=stops,
            length_penalty=length_penalty,
            num_return_sequences=num_beams,
            **options,
        )
        for tree, of_tree in zip(trees, found, strict=True):
            arguments = (tree, num_beams, stops, length_penalty)
            if rule == "google":
                expected = google_reference(*arguments)
            else:
                expected = reference(*arguments, rule)
            padded = [[*tokens, *[PAD] * (4 - len(tokens))] for tokens in expected]
            assert of_tree[: len(padded)] == padded, (rule, length_penalty)
            lengths.update(map(len, expected))
    assert len(lengths) > 2
