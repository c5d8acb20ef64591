"""Initial weights with which a small model learns in minutes to find and to follow.

Random weights attend evenly to everything; until some head happens to favour what matters, nothing
gets better, and most of the time of a short training passes so. Here heads begin with habits that
answers in text need: to look for the same piece elsewhere, and to look at what stood just before.
All of it trains on from there.
"""

import contextlib
import math
from typing import NamedTuple

import numpy as np

from bigbird_tf import BigBirdForQuestionAnswering

__all__ = ["LOOK_BEFORE", "NOTE", "note_readers", "set_initial_weights", "sinusoids"]

# Large beside the learning rate, so that pieces and places keep what tells them apart; the layer
# normalisation behind them makes the scale itself meaningless.
EMBEDDING_SCALE = 0.2
# Habits of the heads that begin by looking back: by how many pieces, and the index of the highest
# of the frequencies they see. High ones tell neighbours apart, low ones do not.
LOOK_BACK = ((1, 0), (6, 16))
SHARPNESS = 1.6
# The head that follows, and what it begins with in three layers one after the other: to note where
# that stands which it attends to; to look before the noted place, near rather than far, and note
# that; to look at whoever has noted one's own place.
FOLLOWER = 2
NOTE, LOOK_BEFORE, COMPARE = 2, 3, 4
# A note that is a single place stands out by a few nats then.
READ_SCALE = 0.5
# A turn by the same angle in all frequencies prefers, at every scale, what stands before.
BEFORE = math.pi / 4


def sinusoids(num_positions: int, width: int) -> np.ndarray:
    """Returns sines and cosines of each position (Vaswani et al., 2017, section 3.5).

    Args:
        num_positions: Number of positions.
        width: Width of the result, even: first the sines of all frequencies, then the cosines.

    Returns:
        Array of shape (num_positions, width), float64.
    """
    angles = np.arange(num_positions)[:, None] * _frequencies(width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _frequencies(width: int) -> np.ndarray:
    return np.exp(-math.log(10_000) * np.arange(0, width, 2) / width)


def set_initial_weights(model: BigBirdForQuestionAnswering) -> None:
    """Sets embeddings, queries and keys of a new model.

    Positions are sinusoids in the first half of the width, words are random where the notes leave
    room in the other. In
    every layer the first two heads look back: a turned sinusoid is a shifted one, so keys turned by
    a few positions match queries that stand so much later. The other heads of the first layer have
    equal queries and keys, of words alone: they look for the same piece. One head of three later
    layers follows: it notes the place of what it attends to, where the words leave room, and looks
    before places noted so. No layer writes over positions and notes at first.

    Args:
        model: The model; its other weights stay.
    """
    width, head_size = model.config.hidden_size, model.config.head_size
    half = width // 2
    places, *noted = _places_and_notes(width, head_size)
    pairs = len(places.indices)
    kept = half + 4 * pairs  # Positions and notes.

    embeddings = model.backbone.embeddings
    words = embeddings.word_embeddings.get_weights()[0]
    words *= EMBEDDING_SCALE / words.std()
    words[:, :kept] = 0.0
    embeddings.word_embeddings.set_weights([words])
    table = np.zeros((model.config.max_position_embeddings, width))
    table[:, :half] = sinusoids(len(table), half) * EMBEDDING_SCALE * math.sqrt(2)
    embeddings.position_embeddings.set_weights([table])
    for layer, block in enumerate(model.backbone.encoder.blocks):
        for dense in (block.attention.output_dense, block.feed_forward.output_dense):
            with _weights_of(dense) as (kernel, *_):
                kernel[..., :kept] = 0.0
        with (
            _weights_of(block.attention.query_dense) as (query, *_),
            _weights_of(block.attention.key_dense) as (key, *_),
            _weights_of(block.attention.value_dense) as (value, *_),
            _weights_of(block.attention.output_dense) as (output, *_),
        ):
            query, key, value = (x.reshape(width, -1, head_size) for x in (query, key, value))
            output = output.reshape(-1, head_size, width)
            if layer == 0:
                query[:kept] = 0.0
                key[:] = query
            for head, (shift, highest) in enumerate(LOOK_BACK[: query.shape[1]]):
                neighbours = _Register.neighbours(half, head_size, highest)
                turn = shift * _frequencies(half)[neighbours.indices]
                _match(query[:, head], key[:, head], neighbours, neighbours, turn)
            if query.shape[1] <= FOLLOWER:
                continue
            into = query[:, FOLLOWER], key[:, FOLLOWER]
            if layer == NOTE:
                _copy(value[:, FOLLOWER], output[FOLLOWER], places, noted[0])
            elif layer == LOOK_BEFORE:
                _match(*into, noted[0], places, np.full(pairs, BEFORE))
                _copy(value[:, FOLLOWER], output[FOLLOWER], places, noted[1])
            elif layer == COMPARE:
                _match(*into, places, noted[1], np.zeros(pairs))


def note_readers(width: int, head_size: int) -> list[np.ndarray]:
    """Returns kernels that read the two notes: from a state `(width,)` to sinusoids of the place.

    What is not noted of the place is zero. The result's product with the sinusoids of all places is
    largest at the noted one.
    """
    half = width // 2
    places, *notes = _places_and_notes(width, head_size)
    kernels = []
    for note in notes:
        kernel = np.zeros((width, half // 2 * 2))
        kernel[note.sines, places.sines] = kernel[note.cosines, places.cosines] = READ_SCALE
        kernels.append(kernel)
    return kernels


def _places_and_notes(width: int, head_size: int) -> list["_Register"]:
    half = width // 2
    pairs = min(half // 8, head_size // 2)
    notes = [_Register.at(half + 2 * pairs * number, pairs) for number in range(2)]
    return [_Register.spread(half, pairs), *notes]


@contextlib.contextmanager
def _weights_of(layer):
    """Returns a layer's weights as arrays to change in place, and sets them afterwards."""
    arrays = [array.copy() for array in layer.get_weights()]
    yield arrays
    layer.set_weights(arrays)


class _Register(NamedTuple):
    """Where among a state's dimensions the sines and cosines of some frequencies are."""

    indices: np.ndarray  # of the frequencies, among those of the positions
    sines: np.ndarray
    cosines: np.ndarray

    @classmethod
    def neighbours(cls, width: int, head_size: int, highest: int) -> "_Register":
        """Returns as many of the positions' frequencies as a head has room for, one by one."""
        pairs = min(head_size, width) // 2
        highest = min(highest, width // 2 - pairs)  # As many as a narrow model has.
        indices = np.arange(highest, highest + pairs)
        return cls(indices, indices, indices + width // 2)

    @classmethod
    def spread(cls, width: int, pairs: int) -> "_Register":
        """Returns frequencies of all scales but those within a few pieces."""
        indices = np.linspace(3 * width // 32, width // 2 - 1, pairs).round().astype(int)
        return cls(indices, indices, indices + width // 2)

    @classmethod
    def at(cls, start: int, pairs: int) -> "_Register":
        """Returns a place to note frequencies at."""
        indices = np.arange(pairs)
        return cls(indices, start + indices, start + pairs + indices)


def _match(query, key, asked: _Register, offered: _Register, turn: np.ndarray) -> None:
    """Lets queries match keys whose angles are smaller by `turn`; kernels (width, head size)."""
    query[:], key[:] = 0.0, 0.0
    pairs = len(turn)
    first, second = np.arange(pairs), np.arange(pairs) + pairs
    # As sharp with few pairs as with many.
    scale = SHARPNESS * (query.shape[1] / (2 * pairs)) ** 0.5
    query[asked.sines, first] = query[asked.cosines, second] = scale
    # sin(a + turn) and cos(a + turn) of a key's angle a.
    key[offered.sines, first] = key[offered.cosines, second] = scale * np.cos(turn)
    key[offered.cosines, first] = scale * np.sin(turn)
    key[offered.sines, second] = -scale * np.sin(turn)


def _copy(value, output, read: _Register, written: _Register) -> None:
    """Lets a head copy; kernels (width, head size) and (head size, width)."""
    value[:], output[:] = 0.0, 0.0
    pairs = len(read.sines)
    first, second = np.arange(pairs), np.arange(pairs) + pairs
    value[read.sines, first] = value[read.cosines, second] = 1.0
    output[first, written.sines] = output[second, written.cosines] = 1.0
