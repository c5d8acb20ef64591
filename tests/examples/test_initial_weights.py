"""The head that follows: what it begins with, as attention scores of single states."""

import numpy as np
import pytest

from examples.docs_qa.initial_weights import (
    COMPARE,
    FOLLOWER,
    LOOK_BEFORE,
    NOTE,
    note_readers,
    sinusoids,
)
from examples.docs_qa.train import build_model

WIDTH, LENGTH = 256, 2048
HALF = WIDTH // 2
PLACE = 1000


@pytest.fixture(scope="module")
def blocks():
    model = build_model(
        53, 3, num_hidden_layers=5, intermediate_size=16, max_position_embeddings=LENGTH
    )
    return model.backbone.encoder.blocks


def places(positions):
    """States that hold nothing but their place, as layer normalisation leaves it."""
    states = np.zeros((len(positions), WIDTH))
    states[:, :HALF] = sinusoids(LENGTH, HALF)[positions] * np.sqrt(2)
    return states


def kernels(dense):
    return np.asarray(dense.get_weights()[0]).reshape(WIDTH, -1, 64)[:, FOLLOWER]


def written(block, states):
    """What the head gives a state that attends to one of these alone."""
    output = np.asarray(block.attention.output_dense.get_weights()[0]).reshape(-1, 64, WIDTH)
    return states @ kernels(block.attention.value_dense) @ output[FOLLOWER]


def scores(block, queries, keys):
    queries = queries @ kernels(block.attention.query_dense)
    return queries @ (keys @ kernels(block.attention.key_dense)).T / 8


def test_looks_before_the_place_that_is_noted_and_near_rather_than_far(blocks):
    note = written(blocks[NOTE], places([PLACE]))
    assert not note[:, :HALF].any()
    (found,) = scores(blocks[LOOK_BEFORE], note, places(range(LENGTH)))
    assert PLACE - 30 < found.argmax() <= PLACE
    distances = [10, 30, 100, 300, 900]
    before, after = (found[[PLACE + sign * d for d in distances]] for sign in (-1, 1))
    # Twelve times the weight of what stands as far behind, at least.
    assert (before - after > np.log(12)).all()
    assert (np.diff(before) < -0.5).all()


def test_compares_with_the_place_that_was_found(blocks):
    found = written(blocks[LOOK_BEFORE], places([300, 1500]))
    same = scores(blocks[COMPARE], places([300, 900, 1500]), found)
    assert same[0].argmax() == 0
    assert same[2].argmax() == 1
    assert min(same[0, 0], same[2, 1]) > same[1].max() + 3


def test_notes_are_read(blocks):
    table = sinusoids(LENGTH, HALF)
    for layer, reader in zip((NOTE, LOOK_BEFORE), note_readers(WIDTH, 64), strict=True):
        found = written(blocks[layer], places([PLACE, 3])) @ reader @ table.T
        assert found.argmax(axis=1).tolist() == [PLACE, 3]
        # By a few nats from what is fifty pieces away, and the other note says nothing.
        assert found[0, PLACE] > found[0, [PLACE - 50, PLACE + 50]].max() + 2
        other = written(blocks[NOTE + LOOK_BEFORE - layer], places([PLACE]))
        assert not (other @ reader).any()


def test_notes_do_not_overwrite_each_other(blocks):
    first, second = (written(blocks[layer], places([7]))[0] for layer in (NOTE, LOOK_BEFORE))
    assert np.abs(first).max() > 1
    assert not (first * second).any()
    for block in blocks:
        for dense in (block.feed_forward.output_dense, block.attention.output_dense):
            assert not dense.get_weights()[0][..., :HALF].any()
