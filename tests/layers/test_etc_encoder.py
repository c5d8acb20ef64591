"""The stack of encoder blocks with global tokens beside the sequence. Models: its contract."""

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.layers import Encoder, EtcEncoder
from bigbird_tf.layers.etc_encoder import membership_bias
from tests.contract import (
    BATCH,
    HEADS,
    LENGTH,
    WIDTH,
    assert_close,
    mask_of,
    randomize,
    tiny_config,
)

# Blocks of four: two of them for five global tokens, three places for nobody.
CONFIG = tiny_config(construction="etc", num_global_tokens=5, num_hidden_layers=1)
ROOM = 8


@pytest.fixture(scope="module")
def encoder():
    layer = EtcEncoder(CONFIG)
    layer.build((BATCH, LENGTH, WIDTH))
    randomize(layer)
    return layer


def tokens(length, seed=7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, length, WIDTH)).astype("float32")


def test_is_the_encoder_of_the_joined_sequence(encoder):
    of_global, sequence = tokens(5, seed=3), tokens(LENGTH)
    mask, global_mask = mask_of(), mask_of((5, 3), 5)
    last, states, weights, global_last = encoder(
        *(sequence, mask),
        output_hidden_states=True,
        output_attentions=True,
        global_inputs=of_global,
        global_mask=global_mask,
    )
    joined = Encoder(CONFIG)
    joined.build((BATCH, ROOM + LENGTH, WIDTH))
    joined.set_weights(encoder.get_weights())
    nobody = ((0, 0), (0, ROOM - 5))
    inputs = np.concatenate([np.pad(of_global, (*nobody, (0, 0))), sequence], axis=1)
    both = np.concatenate([np.pad(global_mask, nobody), mask], axis=1)
    expected, _, all_weights = joined(inputs, both, output_attentions=True)
    assert_close(last, expected[:, ROOM:])
    assert_close(global_last, expected[:, :5])
    assert_close(states[0], ops.convert_to_tensor(sequence))
    kept = [*range(5), *range(ROOM, ROOM + LENGTH)]
    all_weights = ops.convert_to_numpy(all_weights[0])[:, :, kept][:, :, :, kept]
    assert weights[0].shape == (BATCH, HEADS, 5 + LENGTH, 5 + LENGTH)
    np.testing.assert_allclose(weights[0], all_weights, rtol=0, atol=1e-5)


def test_fewer_tokens_than_places(encoder):
    """Three global tokens are five of which two are masked."""
    of_global, sequence = tokens(5, seed=3), tokens(LENGTH)
    mask = np.array([[1, 1, 1, 0, 0]] * BATCH)
    last, _, _, global_last = encoder(sequence, global_inputs=of_global[:, :3])
    same, _, _, of_all = encoder(sequence, global_inputs=of_global, global_mask=mask)
    assert_close(last, same)
    assert_close(global_last, of_all[:, :3])


def test_members_that_are_padding_do_not_count(encoder):
    of_global, sequence, mask = tokens(5, seed=3), tokens(LENGTH), mask_of()
    membership = np.full((BATCH, LENGTH), -1, np.int32)
    # In the second row, all that belongs to the first token is padding: it reads everything.
    membership[:, -2:] = 0
    given = {"global_inputs": of_global, "global_membership": membership}
    global_last = ops.convert_to_numpy(encoder(sequence, mask, **given)[3])
    plain = ops.convert_to_numpy(encoder(sequence, mask, global_inputs=of_global)[3])
    is_padded = mask[:, -1] == 0
    assert is_padded.any()
    assert not is_padded.all()
    np.testing.assert_allclose(global_last[is_padded], plain[is_padded], rtol=0, atol=1e-5)
    assert np.abs(global_last[~is_padded, 0] - plain[~is_padded, 0]).max() > 1e-3


def test_no_global_tokens(encoder):
    with pytest.raises(ValueError, match="`global_inputs` must be given"):
        encoder(tokens(LENGTH))
    with pytest.raises(ValueError, match="`global_inputs` must be given"):
        encoder.compute_output_spec(keras.KerasTensor((BATCH, LENGTH, WIDTH)))


def test_membership_worked_out_on_paper():
    # Two global tokens in three places. In the second row, token 1 has no members.
    members = np.array([[0, 1, 1, -1], [0, 0, -1, -1]], np.int32)
    bias = ops.convert_to_numpy(membership_bias(ops.convert_to_tensor(members), 3))
    assert keras.backend.standardize_dtype(bias.dtype) == "float32"
    expected = [
        [[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 1, 1, 0], [1] * 7],
        [[1, 1, 1, 1, 1, 0, 0], [1] * 7, [1] * 7],
    ]
    np.testing.assert_array_equal(bias == 0, np.array(expected, bool))
    assert bias.min() <= -1e9
