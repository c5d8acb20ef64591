"""Initial weights with which a small model learns in minutes to find and to follow.

Random weights attend evenly to everything; until some head happens to favour what matters, nothing
gets better, and most of the time of a short training passes so. Here heads begin with habits that
answers in text need: to look for the same piece elsewhere, and to look at what stood just before.
All of it trains on from there.
"""

import math

import numpy as np

from bigbird_tf import BigBirdForQuestionAnswering

__all__ = ["set_initial_weights", "sinusoids"]

# Large beside the learning rate, so that pieces and places keep what tells them apart; the layer
# normalisation behind them makes the scale itself meaningless.
EMBEDDING_SCALE = 0.2
# Habits of the heads that begin by looking back: by how many pieces, and the index of the highest
# of the frequencies they see. High ones tell neighbours apart, low ones do not.
LOOK_BACK = ((1, 0), (6, 16))
SHARPNESS = 1.6


def sinusoids(num_positions: int, width: int) -> np.ndarray:
    """Gives sines and cosines of each position (Vaswani et al., 2017, section 3.5).

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

    Positions are sinusoids in the first half of the width, words are random in the other half. In
    every layer the first two heads look back: a turned sinusoid is a shifted one, so keys turned by
    a few positions match queries that stand so much later. The other heads of the first layer have
    equal queries and keys, of words alone: they look for the same piece. No layer writes over the
    positions at first.

    Args:
        model: The model; its other weights stay.
    """
    width, head_size = model.config.hidden_size, model.config.head_size
    half = width // 2
    embeddings = model.backbone.embeddings
    words = embeddings.word_embeddings.get_weights()[0]
    words *= EMBEDDING_SCALE / words.std()
    words[:, :half] = 0.0
    embeddings.word_embeddings.set_weights([words])
    places = np.zeros((model.config.max_position_embeddings, width))
    places[:, :half] = sinusoids(len(places), half) * EMBEDDING_SCALE * math.sqrt(2)
    embeddings.position_embeddings.set_weights([places])
    for layer, block in enumerate(model.backbone.encoder.blocks):
        dense = (block.attention.query_dense, block.attention.key_dense)
        kernels, *biases = zip(*(d.get_weights() for d in dense), strict=True)
        query, key = (kernel.reshape(width, -1, head_size).copy() for kernel in kernels)
        if layer == 0:
            query[:half] = 0.0
            key[:] = query
        for head, (shift, highest) in enumerate(LOOK_BACK[: query.shape[1]]):
            query[:, head] = key[:, head] = 0.0
            query[:half, head], key[:half, head] = _look_back(half, head_size, shift, highest)
        for index, kernel in enumerate((query, key)):
            bias = [both[index] for both in biases]
            dense[index].set_weights([kernel.reshape(kernels[index].shape), *bias])
        for output in (block.attention.output_dense, block.feed_forward.output_dense):
            kernel, *bias = output.get_weights()
            kernel[:, :half] = 0.0
            output.set_weights([kernel, *bias])


def _look_back(
    width: int, head_size: int, shift: int, highest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gives query and key kernels (width, head_size) of a head that looks `shift` pieces back.

    The first dimension is the sinusoids'.
    """
    num_pairs = min(head_size, width) // 2
    highest = min(highest, width // 2 - num_pairs)  # As many as a narrow model has.
    chosen = np.arange(highest, highest + num_pairs)
    sines, cosines = chosen, chosen + width // 2
    first, second = np.arange(num_pairs), np.arange(num_pairs) + num_pairs
    query, key = np.zeros((2, width, head_size))
    query[sines, first] = query[cosines, second] = SHARPNESS
    turn = _frequencies(width)[chosen] * shift
    # sin(a + turn) and cos(a + turn) of a key's angle a.
    key[sines, first], key[cosines, first] = SHARPNESS * np.cos(turn), SHARPNESS * np.sin(turn)
    key[cosines, second], key[sines, second] = SHARPNESS * np.cos(turn), -SHARPNESS * np.sin(turn)
    return query, key
