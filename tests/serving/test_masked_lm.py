"""What masked LM's signatures compute, against the model and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import make_servable
from tests.serving.conftest import encode, small_config


def test_filled(tokenizer):
    """A new word gets a space where there is none; else the mask takes the space before it."""
    model = models.BigBirdForMaskedLM(small_config(num_hidden_layers=0))
    servable = make_servable(model, tokenizer, num_best=2)
    pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.vocab_size)]
    word, rest = pieces.index("▁bird"), pieces.index("s")
    texts = tf.constant(["the [MASK]  x", "the[MASK]", "[MASK]é", "a\n \u00a0[MASK]", " [MASK]"])
    starts, ends = tf.constant([4, 3, 0, 5, 1]), tf.constant([10, 9, 6, 11, 7])
    ids = tf.constant([[word, rest]] * 5)
    tokens = tf.constant([["bird", "s"]] * 5)
    space, starts, ends = servable._mask_bytes(texts, tf.range(5), starts, ends)
    filled = servable._fill(texts, space, starts, ends, ids, tokens).numpy().tolist()
    assert [[text.decode() for text in row] for row in filled] == [
        ["the bird  x", "thes  x"],
        ["the bird", "thes"],
        ["birdé", "sé"],
        ["a\n \u00a0bird", "as"],
        [" bird", "s"],
    ]


def test_the_most_probable_tokens_of_each_mask(tokenizer):
    """Logits that rise with the id, but for masks at even places: there they fall."""
    model = models.BigBirdForMaskedLM(small_config(num_hidden_layers=0))
    servable = make_servable(model, tokenizer, num_best=3)

    def encode(input_ids, attention_mask, token_type_ids, masked_positions):
        sign = tf.cast(2 * (masked_positions % 2) - 1, tf.float32)
        return sign[:, :, tf.newaxis] * tf.range(131, dtype=tf.float32) / 8

    servable.encode = encode
    texts = ["[MASK] bird", "the bird sings", "a[MASK] [MASK]"]
    found = servable._fill_masks(tf.constant(texts))
    last = tokenizer.vocab_size - 1
    rising, falling = [last, last - 1, last - 2], [0, 1, 2]
    # [CLS] is at 0, so a mask that begins a text is at 1.
    expected = {(0, 0): rising, (2, 0): falling, (2, 1): rising}
    ids = tokenizer.tokenize(texts[2]).numpy().tolist()
    assert [1 + i for i, piece in enumerate(ids) if piece == tokenizer.mask_token_id] == [2, 3]
    weights = np.exp(np.arange(131) / 8)
    for (row, mask), best in expected.items():
        tokens = tokenizer.token_text(tf.constant(best)).numpy().tolist()
        assert found["tokens"][row, mask].numpy().tolist() == tokens
        order = np.array(best) if best == rising else 130 - np.array(best)
        np.testing.assert_allclose(
            found["scores"][row, mask], weights[order] / weights.sum(), rtol=1e-4
        )
    assert found["tokens"].shape == (3, 2, 3)
    assert not found["scores"][1].numpy().any()
    assert found["tokens"].numpy()[0, 1].tolist() == [b""] * 3


@pytest.mark.slow
class TestMaskedLM:
    def test_equals_the_model(self, exported):
        lm = exported("BigBirdForMaskedLM")
        texts = ["the [MASK] house", "no mask", "[MASK] sings[MASK] and [MASK]", ""]
        found = lm.run(text=texts)
        assert found["tokens"].shape == found["scores"].shape == found["filled"].shape == (4, 3, 3)
        for i, text in enumerate(texts):
            inputs = encode(lm, text)
            probabilities = tf.nn.softmax(lm.model(inputs)[0]).numpy()
            probabilities = probabilities[:, : lm.tokenizer.vocab_size]
            is_mask = inputs["input_ids"][0].numpy() == lm.tokenizer.mask_token_id
            for k, position in enumerate(np.flatnonzero(is_mask)):
                best = np.argsort(-probabilities[position])[:3]
                np.testing.assert_allclose(
                    found["scores"][i, k], probabilities[position][best], rtol=1e-4
                )
                tokens = [lm.tokenizer.detokenize([token]).numpy() for token in best.tolist()]
                assert found["tokens"][i, k].tolist() == tokens
            assert not found["scores"][i, is_mask.sum() :].any()
            assert set(found["filled"][i, is_mask.sum() :].ravel()) <= {b""}

    def test_served_text_is_what_training_hides(self, exported):
        """What the model is given for a mask is what it has been trained on."""
        lm = exported("BigBirdForMaskedLM")
        ids = lm.tokenizer("the bird sings")["input_ids"].numpy()
        assert len(ids) == 5
        ids[2] = lm.tokenizer.mask_token_id
        inputs = {
            "input_ids": np.pad(ids[None], [[0, 0], [0, 3]]),
            "attention_mask": np.array([[1] * 5 + [0] * 3]),
        }
        expected = tf.nn.softmax(lm.model(inputs)[0, 2])[: lm.tokenizer.vocab_size]
        found = lm.run(text=["the [MASK] sings"])
        np.testing.assert_allclose(
            found["scores"][0, 0], np.sort(expected)[::-1][:3], rtol=1e-4, atol=1e-6
        )

    def test_filled_behind_bytes_that_are_no_text(self, exported):
        lm = exported("BigBirdForMaskedLM")
        found = lm.run(text=[b"caf\xe9 [MASK] x", b"caf\xe9 [MASK]"])["filled"]
        for filled in found.ravel():
            assert filled.startswith(b"caf\xe9")
            assert b"  " not in filled

    def test_a_text_of_masks(self, exported):
        """What is filled in grows with the square of the masks."""
        lm = exported("BigBirdForMaskedLM")
        with pytest.raises(tf.errors.InvalidArgumentError, match="must not take more than 64 MiB"):
            lm.run(text=["[MASK]" * 3000])
        assert lm.run(text=["[MASK]" * 30])["filled"].shape == (1, 30, 3)

    def test_masks_of_long_texts(self, exported):
        """Each mask is filled once, in the window that it belongs to."""
        text = "[MASK] " + " ".join(f"stone {i} window" for i in range(40)) + " [MASK] end"
        found = exported("BigBirdForMaskedLM").run(text=[text])
        assert found["filled"].shape == (1, 2, 3)
        assert (found["scores"] > 0).all()
        for k, filled in enumerate(found["filled"][0, :, 0]):
            assert filled.count(b"[MASK]") == 1
            assert filled.startswith(b"[MASK]") == (k == 1)
