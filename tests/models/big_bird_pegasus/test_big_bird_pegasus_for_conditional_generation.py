import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf import BigBirdPegasusForConditionalGeneration
from bigbird_tf.models.big_bird_pegasus.shifted_labels import shift_right
from tests.contract import BATCH, VOCABULARY, assert_close
from tests.models.big_bird_pegasus.pegasus_contract import WRITTEN, PegasusContract

# The start token, then what is to be written but for its last token; -100 is padding.
LABELS = np.array([[5, 9, 7, 4, 30, 11, 1], [8, 6, 1, -100, -100, -100, -100]])
READ = [[2, 5, 9, 7, 4, 30, 11], [2, 8, 6, 1, 0, 0, 0]]


class TestContract(PegasusContract):
    model_class = BigBirdPegasusForConditionalGeneration
    # The bias of the logits, a buffer in `transformers`.
    other_weights = 1
    parameters = PegasusContract.parameters + 53

    def labels(self):
        return LABELS

    def test_teacher_forcing(self):
        """Without `decoder_input_ids`, `fit` and `evaluate` make them of the labels."""
        model = self.make(self.no_dropout)
        model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
        inputs = self.inputs()
        documents = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        logits = np.asarray(model({**documents, "decoder_input_ids": np.array(READ)}))
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        counts = LABELS != -100
        losses = -np.take_along_axis(log_probs, np.maximum(LABELS, 0)[:, :, None], -1)[:, :, 0]
        expected = losses[counts].mean()
        arguments = {"batch_size": BATCH, "verbose": 0}
        history = model.fit(documents, LABELS, **arguments).history
        np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-4)
        result = model.evaluate(documents, LABELS, return_dict=True, **arguments)
        np.testing.assert_allclose(result["loss"], expected, rtol=1e-4)
        is_right = (logits.argmax(-1) == LABELS)[counts].mean()
        np.testing.assert_allclose(result["accuracy"], is_right, rtol=1e-4)

    def test_steps_with_cache_are_a_call_without(self, shared_model):
        inputs = self.inputs()
        ids = inputs["decoder_input_ids"]
        del inputs["decoder_attention_mask"]
        expected = shared_model(inputs)
        documents = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        states = shared_model.encode(documents)
        cache = shared_model.make_cache(states, inputs["attention_mask"], WRITTEN + 2)
        for t in range(WRITTEN):
            logits, cache = shared_model.decode_step(ids[:, t], t, cache)
            assert_close(logits, expected[:, t])

    def test_beams_read_one_document(self, shared_model):
        """Several rows side by side read one document's memory, as rows of their own would."""
        inputs = self.inputs()
        states = shared_model.encode(inputs["input_ids"])
        cache = shared_model.make_cache(states, None, 3)
        cache["tokens"] = keras.tree.map_structure(
            lambda x: ops.repeat(x, 3, axis=0), cache["tokens"]
        )
        repeated = shared_model.make_cache(ops.repeat(states, 3, axis=0), None, 3)
        for t, ids in enumerate(np.arange(12, dtype="int32").reshape(2, 6) + 4):
            logits, cache = shared_model.decode_step(ids, t, cache)
            expected, repeated = shared_model.decode_step(ids, t, repeated)
            assert logits.shape == (6, VOCABULARY)
            assert_close(logits, expected)

    def test_float16_stays_finite(self):
        """Where sums of a block are more than float16 holds; and numbers are near float32's."""
        wide, half = self.make(), self.make(dtype="mixed_float16")
        for model in (wide, half):
            for block in model.backbone.encoder.blocks:
                kernel = block.feed_forward.output_dense.kernel
                kernel.assign(kernel * 3e4)
        states = wide.backbone.encoder_embeddings(wide.backbone.word_embeddings(np.arange(9)[None]))
        assert np.abs(wide.backbone.encoder.blocks[0](states)).max() > 65504
        logits = half(self.inputs())
        assert np.isfinite(np.asarray(logits)).all()


def test_shift_right():
    assert np.array(shift_right(LABELS, 0, 2)).tolist() == READ
    assert np.array(shift_right(LABELS[:, :1], 0, 3)).tolist() == [[3], [3]]


@pytest.mark.slow
def test_export(tmp_path):
    """A SavedModel on ids of any batch and lengths, never called before."""
    import tensorflow as tf

    model = TestContract.make()
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    for inputs in (
        TestContract().inputs(),
        {k: v[:1, :5] for k, v in TestContract().inputs().items()},
    ):
        tensors = {key: tf.constant(value, tf.int32) for key, value in inputs.items()}
        assert_close(loaded.serve(tensors), model(tensors))
