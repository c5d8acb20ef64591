"""Training side by side with live `transformers`: same weights, batches and optimizer."""

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.checkpoints import transformers_format
from tests.models import peer
from tests.models.test_heads_parity import SEPARATOR, VOCABULARY, config_of, inputs_of

pytestmark = pytest.mark.parity

STEPS, LENGTH, LEARNING_RATE, EPSILON = 20, 1024, 1e-3, 1e-6
NOT_ASKED = -100


def masked_lm_batch(step):
    inputs = inputs_of("BigBirdForMaskedLM", LENGTH, seed=step)
    rng = np.random.default_rng(1000 + step)
    is_masked = (rng.random(inputs["input_ids"].shape) < 0.15) & (inputs["attention_mask"] == 1)
    # Half of what is asked can be learned: it is the piece before, plus one.
    rolled = (np.roll(inputs["input_ids"], 1, axis=1) + 1) % VOCABULARY
    answers = np.where(rng.random(is_masked.shape) < 0.5, rolled, inputs["input_ids"])
    inputs["input_ids"] = np.where(is_masked, 3, inputs["input_ids"])
    labels = np.where(is_masked, answers, NOT_ASKED)
    ours = {"y": np.maximum(labels, 0), "sample_weight": is_masked.astype("float32")}
    return inputs, ours, {"labels": labels}


def question_answering_batch(step):
    inputs = inputs_of("BigBirdForQuestionAnswering", LENGTH, seed=step)
    rng = np.random.default_rng(1000 + step)
    starts = rng.integers(SEPARATOR, LENGTH - 40, 2)
    ends = starts + rng.integers(0, 9, 2)
    # The answer shows: it begins with a piece that is nowhere else.
    inputs["input_ids"][np.arange(2), starts] = 5
    ours = {"y": {"start_logits": starts, "end_logits": ends}}
    return inputs, ours, {"start_positions": starts, "end_positions": ends}


class AdamW(keras.optimizers.AdamW):
    """Keras' optimizer with the epsilon of torch's.

    Torch adds epsilon to the root of the second moment after its bias is corrected, Keras before
    that. At the first step the same number weighs 32 times as much here, and these are small
    models with small gradients.
    """

    @property
    def epsilon(self):
        step = ops.cast(self.iterations + 1, "float32")
        return EPSILON * ops.sqrt(1 - self.beta_2**step)

    @epsilon.setter
    def epsilon(self, value):
        assert value == EPSILON


def losses_of_ours(ours, batches) -> list[float]:
    optimizer = AdamW(LEARNING_RATE, weight_decay=0.01, epsilon=EPSILON)
    ours.compile(optimizer, metrics=None, weighted_metrics=None)
    losses = []
    for inputs, arguments, _ in batches:
        ours.reset_metrics()
        losses.append(float(ours.train_on_batch(inputs, return_dict=True, **arguments)["loss"]))
    return losses


def losses_of_theirs(theirs, batches) -> list[float]:
    import torch

    # Training only, since in evaluation they have no random blocks; there is no dropout.
    theirs.train()
    optimizer = torch.optim.AdamW(
        theirs.parameters(), LEARNING_RATE, weight_decay=0.01, eps=EPSILON, foreach=False
    )
    losses = []
    for inputs, _, labels in batches:
        tensors = {name: torch.tensor(value) for name, value in {**inputs, **labels}.items()}
        loss = theirs(**tensors).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    backbone = theirs.bert if hasattr(theirs, "bert") else theirs.model.encoder
    assert backbone.attention_type == "block_sparse"
    return losses


@pytest.mark.parametrize(
    ("name", "make_batch"),
    [
        ("BigBirdForMaskedLM", masked_lm_batch),
        ("BigBirdForQuestionAnswering", question_answering_batch),
    ],
)
def test_losses_and_weights(name, make_batch, tmp_path):
    theirs = peer.make(name, config_of(name, hidden_size=22, num_attention_heads=2), scale=2.0)
    ours = peer.ours_of(theirs, tmp_path)
    batches = [make_batch(step) for step in range(STEPS)]
    mine, other = losses_of_ours(ours, batches), losses_of_theirs(theirs, batches)
    np.testing.assert_allclose(mine, other, rtol=1e-3)
    assert mine[-1] < mine[0] - 0.05

    state = theirs.state_dict()
    for tensor, entry in transformers_format.tensor_table(ours).items():
        value = entry.read()
        np.testing.assert_allclose(value, state[tensor].numpy(), rtol=0, atol=1e-3, err_msg=tensor)
