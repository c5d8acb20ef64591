from typing import ClassVar

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdPegasusForQuestionAnswering, BigBirdPegasusModel, models
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_decoder import BigBirdPegasusDecoder
from tests.backends import tensorflow_alone
from tests.contract import BATCH, LENGTH, WIDTH, tiny_pegasus_config
from tests.models.big_bird_pegasus.pegasus_contract import WRITTEN, PegasusContract


class TestContract(PegasusContract):
    model_class = BigBirdPegasusModel
    # Two blocks of the encoder: the second one's seed is another.
    config_fields: ClassVar[dict] = {"encoder_layers": 2}
    trainable_weights = PegasusContract.trainable_weights + 12
    states = PegasusContract.states + 3
    parameters = PegasusContract.parameters + 4 * 21 * 21 + 2 * 42 + 580

    def labels(self):
        rng = np.random.default_rng(5)
        return {
            "last_hidden_state": rng.normal(size=(BATCH, WRITTEN, WIDTH)),
            "encoder_last_hidden_state": rng.normal(size=(BATCH, LENGTH, WIDTH)),
        }

    def compile_arguments(self):
        return {"loss": {"last_hidden_state": "mse", "encoder_last_hidden_state": "mse"}}

    def test_summary_has_all_shapes(self, shared_model):
        lines = []
        shared_model.summary(print_fn=lambda line, **_: lines.append(line), expand_nested=True)
        assert "?" not in "\n".join(lines)

    def test_lora(self):
        model = self.make()
        model.enable_lora(2)
        trained = {v.path.split("/", 1)[1] for v in model.trainable_variables}
        # Queries and values of two encoder blocks and of both attentions of the decoder's.
        assert len(trained) == 2 * 2 * (2 + 2)
        assert all("lora" in path for path in trained)
        assert any("cross_attention/query" in path for path in trained)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"token_type_ids": np.ones((2, 9), "int32")},
            r"'input_ids' and optionally 'attention_mask', 'decoder_input_ids', "
            r"'decoder_attention_mask'. Received the keys: .*'token_type_ids'",
        ),
        (
            {"decoder_input_ids": np.ones((3, 5), "int32")},
            r"a row for each of .*\(3, 5\).*\(2, 9\)",
        ),
        ({"decoder_input_ids": np.ones(5, "int32")}, r"`decoder_input_ids` must be of shape"),
        ({"decoder_input_ids": np.ones((2, 5))}, "`decoder_input_ids` must be integers"),
        ({"decoder_input_ids": np.ones((2, 0), "int32")}, "one token at least"),
        ({"decoder_input_ids": np.ones((2, 62), "int32")}, "length=62, max_position_embeddings=61"),
        (
            {"decoder_attention_mask": np.ones((2, 5), "int32")},
            r"`decoder_attention_mask` must be of the shape of `decoder_input_ids`.*\(2, 5\)",
        ),
    ],
    ids=["key", "batch", "rank", "dtype", "empty", "long", "mask"],
)
def test_bad_inputs(inputs, message):
    model = TestContract.make()
    with pytest.raises(ValueError, match=message):
        model({"input_ids": np.ones((2, 9), "int32"), **inputs})


def test_ids_out_of_their_range():
    ids = np.ones((2, 9), "int32")
    # JAX has no such error.
    with pytest.raises(Exception, match=r"`decoder_input_ids` must be in \[0, vocab_size\)"):
        TestContract.make()({"input_ids": ids, "decoder_input_ids": ids * 53})


def test_rematerialized_training_is_the_same():
    """Gradients of a step with dropout, of blocks computed twice and of blocks kept."""
    weights = []
    for checkpointing in (False, True):
        keras.utils.set_random_seed(5)
        contract = TestContract()
        model = contract.make({"gradient_checkpointing": checkpointing, "encoder_layers": 1})
        keras.utils.set_random_seed(6)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False, **contract.compile_arguments())
        model.fit(contract.inputs(), contract.labels(), batch_size=BATCH, verbose=0)
        weights.append(model.get_weights())
    for kept, twice in zip(*weights, strict=True):
        np.testing.assert_allclose(twice, kept, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in models.__all__ if n.startswith("BigBirdPegasus")])
def test_all_parts_have_the_models_config_and_dtype(name):
    config = tiny_pegasus_config(vocab_size=59, init_std=0.31, tie_word_embeddings=False)
    model = getattr(models, name)(config, dtype="mixed_bfloat16")
    parts = [part for part in model._flatten_layers() if hasattr(part, "config")]
    assert len(parts) > 4
    assert all(part.config == model.config for part in parts)
    assert {part.dtype_policy.name for part in model._flatten_layers()} == {"mixed_bfloat16"}
    words = getattr(model, "backbone", model).word_embeddings
    assert (words.input_dim, words.output_dim) == (59, WIDTH)
    assert words.embeddings_initializer.stddev == 0.31


def test_head_of_answers():
    """As the originals', without a dropout."""
    head = BigBirdPegasusForQuestionAnswering(tiny_pegasus_config(dropout=0.3)).head
    assert (head.units, head.dropout.rate) == (2, 0.0)


def test_shapes_of_a_decoder_alone():
    decoder = BigBirdPegasusDecoder(tiny_pegasus_config())
    for shapes in ((2, 7), {"input_ids": (2, 7)}):
        assert decoder.compute_output_shape(shapes) == (2, 7, WIDTH)
    assert [layer.name for layer in decoder.attention_layers()] == ["attention"]


@tensorflow_alone  # JAX knows all sizes when it traces.
def test_other_rows_than_documents_when_run():
    """Batches that were unknown when the graph was made."""
    import tensorflow as tf

    model = TestContract.make()
    spec = tf.TensorSpec((None, 5), tf.int32)

    @tf.function(input_signature=[spec, spec])
    def call(ids, read):
        return model({"input_ids": ids, "decoder_input_ids": read})["last_hidden_state"]

    ids = tf.ones((2, 5), tf.int32)
    assert call(ids, ids).shape == (2, 5, WIDTH)
    # One row would be read by all documents, silently.
    for rows in (1, 3):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a row for each of `input_ids`"):
            call(ids, ids[:1] if rows == 1 else tf.ones((3, 5), tf.int32))
