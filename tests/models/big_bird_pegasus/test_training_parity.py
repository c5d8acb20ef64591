"""Training side by side with live `transformers`: same weights, batches and optimizer."""

import numpy as np
import pytest

from bigbird_tf.checkpoints import transformers_format
from tests.models import peer
from tests.models.big_bird_pegasus.test_parity import GENERATION, VOCABULARY, config_of
from tests.models.test_training_parity import losses_of_ours, losses_of_theirs

pytestmark = pytest.mark.parity

# Block-sparse attention with padding inside: full attention is up to 11 blocks of 16.
STEPS, LENGTH, WRITTEN = 20, 251, 9


def batch(step):
    """Documents, and what to write: the pieces behind a mark, which can be learned, and an end."""
    rng = np.random.default_rng(step)
    ids = rng.integers(4, VOCABULARY, (2, LENGTH))
    mask = np.arange(LENGTH) < np.array([[LENGTH], [LENGTH - 29]])
    labels = np.full((2, WRITTEN), -100)
    for row, length in enumerate((WRITTEN, WRITTEN - 4)):
        ids[row, 7] = 3
        labels[row, :length] = [*ids[row, 8 : 7 + length], 1]
    inputs = {"input_ids": np.where(mask, ids, 0), "attention_mask": mask.astype(int)}
    return inputs, {"y": labels}, {"labels": labels}


def test_losses_and_weights(tmp_path):
    theirs = peer.make(GENERATION, config_of(block_size=16), scale=2.0)
    ours = peer.ours_of(theirs, tmp_path)
    batches = [batch(step) for step in range(STEPS)]
    mine, other = losses_of_ours(ours, batches), losses_of_theirs(theirs, batches)
    np.testing.assert_allclose(mine, other, rtol=1e-3)
    assert mine[-1] < mine[0] - 0.05

    state = theirs.state_dict()
    for tensor, entry in transformers_format.tensor_table(ours).items():
        value = entry.read()
        np.testing.assert_allclose(value, state[tensor].numpy(), rtol=0, atol=1e-3, err_msg=tensor)
