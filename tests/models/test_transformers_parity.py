"""The same numbers as the live `transformers` models, with weights that were saved there."""

import numpy as np
import pytest

from tests.backends import compiled
from tests.models.transformers_peer import (
    TransformersPeer,
    draw_inputs,
    gradients_of_mean_square,
)

pytestmark = pytest.mark.parity

CLASSES = ("BigBirdModel", "BigBirdForSequenceClassification", "BigBirdForQuestionAnswering")
# Short of full attention's limit, at it and beyond; padded inside or not; all plans.
LENGTHS = (97, 704, 705, 1024, 1500, 2048, 4096)


@pytest.fixture(scope="module", params=CLASSES)
def peer(request, tmp_path_factory):
    return TransformersPeer(request.param, tmp_path_factory.mktemp("peer"))


@pytest.mark.parametrize("random_blocks", ["first_block", "seeded"])
def test_outputs(peer, random_blocks):
    ours = peer.load_ours(inference_random_blocks=random_blocks)
    call = compiled(ours, jit_compile=False)
    for length in LENGTHS:
        inputs = draw_inputs(length)
        theirs = peer.outputs(inputs, training=random_blocks == "seeded")
        outputs = call(inputs)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        assert set(theirs) == set(outputs)
        for name, expected in theirs.items():
            assert np.abs(expected).max() > 0.3, "outputs so small prove nothing"
            actual = np.asarray(outputs[name])
            # Padding, where the two differ by design, is not compared.
            real = inputs["attention_mask"].astype(bool)
            if expected.shape[:2] == real.shape:
                actual, expected = actual[real], expected[real]
            np.testing.assert_allclose(
                actual, expected, rtol=0, atol=1e-4, err_msg=f"{name} at length {length}"
            )


@pytest.mark.parametrize("length", [705, 1024, 2048])
def test_gradients(peer, length):
    ours = peer.load_ours(inference_random_blocks="seeded")
    inputs = draw_inputs(length)
    expected = peer.gradients(inputs)
    actual = gradients_of_mean_square(ours, inputs)
    # What the loss does not reach has no gradient there and none here: a pooler that is not read.
    # JAX has zeros for that.
    actual = {
        name: gradient
        for name, gradient in actual.items()
        if gradient is not None and (name in expected or gradient.any())
    }
    assert set(actual) == set(expected)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        # Key biases change nothing, so theirs are rounding, and have no size of their own.
        scale = largest if name.endswith("key.bias") else np.abs(gradient).max()
        assert scale > 0, name
        np.testing.assert_allclose(actual[name], gradient, rtol=0, atol=1e-3 * scale, err_msg=name)
