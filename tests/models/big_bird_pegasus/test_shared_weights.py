"""Encoder-decoders whose stacks share their weights, and those of post-norm."""

from typing import ClassVar

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdPegasusForCausalLM, BigBirdPegasusForConditionalGeneration
from bigbird_tf.checkpoints.transformers_format import tensor_table
from bigbird_tf.nn import Dense
from tests.contract import BATCH, assert_close, mask_of, random_ids, randomize, tiny_pegasus_config
from tests.models.big_bird_pegasus.pegasus_contract import NORM, POSITIONS, WORDS
from tests.models.big_bird_pegasus.test_big_bird_pegasus_for_conditional_generation import (
    LABELS,
)
from tests.models.big_bird_pegasus.test_big_bird_pegasus_for_conditional_generation import (
    TestContract as GenerationContract,
)

# One form of both stacks.
FORM = {"decoder_attention_heads": 3, "decoder_ffn_dim": 13, "activation_dropout": 0.0}
COUPLED = {**FORM, "normalize_before": False, "tie_encoder_decoder": True, "use_bias": True}
ATTENTION, INNER = 4 * (21 * 21 + 21), 21 * 13 + 13 + 13 * 21 + 21


class TestContract(GenerationContract):
    """The paper's: stacks of BigBird's own blocks, in common but for what reads documents."""

    config_fields: ClassVar[dict] = COUPLED
    # Words, positions and their norm; a block of biases everywhere; attention to documents.
    trainable_weights = 4 + (8 + 2 + 4 + 2) + (8 + 2)
    # Behind the embeddings; three in the block; two of each attention of the decoder.
    states = 1 + 3 + 4
    parameters = WORDS + POSITIONS + NORM + 2 * ATTENTION + INNER + 3 * NORM + 53
    # What these ask is the same with weights of their own.
    test_config_of_another_kind = test_symbolic_call = test_dynamic_length_is_static = None
    test_half_precision = test_beams_read_one_document = test_teacher_forcing = None
    test_graph_and_xla_are_eager = None

    def test_float16_stays_finite(self):
        half = self.make(dtype="mixed_float16")
        kernel = half.backbone.encoder.blocks[0].feed_forward.output_dense.kernel
        kernel.assign(kernel * 1e3)
        assert np.isfinite(np.asarray(half(self.inputs()))).all()


def make(**fields):
    model = BigBirdPegasusForConditionalGeneration(tiny_pegasus_config(**{**COUPLED, **fields}))
    randomize(model)
    return model


INPUTS = TestContract().inputs()


def test_what_is_shared():
    backbone = make(encoder_layers=2, decoder_layers=2).backbone
    assert backbone.decoder_embeddings is backbone.encoder_embeddings
    for mine, theirs in zip(backbone.decoder.blocks, backbone.encoder.blocks, strict=True):
        assert mine.feed_forward is theirs.feed_forward
        assert mine.layer_norm is theirs.layer_norm
        for name in ("query_dense", "key_dense", "value_dense", "output_dense"):
            assert getattr(mine.attention, name) is getattr(theirs.attention, name)
            assert getattr(mine.cross_attention, name) is not getattr(theirs.attention, name)
    # The layers that were replaced are gone: they were never built.
    assert all(layer.built for layer in backbone._flatten_layers() if isinstance(layer, Dense))


@pytest.mark.parametrize(
    ("normalize_before", "is_tied"), [(True, True), (False, True), (False, False)]
)
def test_all_forms_decode_as_without_cache(normalize_before, is_tied):
    model = make(normalize_before=normalize_before, tie_encoder_decoder=is_tied)
    ids = INPUTS["decoder_input_ids"]
    documents = {name: INPUTS[name] for name in ("input_ids", "attention_mask")}
    expected = model({**documents, "decoder_input_ids": ids})
    cache = model.make_cache(model.encode(documents), documents["attention_mask"], 4)
    for t in range(4):
        logits, cache = model.decode_step(ids[:, t], t, cache)
        assert_close(logits, expected[:, t])

    options = {"stop_token_ids": [], "num_beams": 1}
    found = model.generate(documents, 1, **options)
    start = model({**documents, "decoder_input_ids": np.full((BATCH, 1), 2)})
    assert np.asarray(found)[:, 0].tolist() == np.asarray(start)[:, 0].argmax(-1).tolist()


@pytest.mark.parametrize("normalize_before", [True, False])
def test_stacks_of_their_own_from_those_in_common(normalize_before, tmp_path):
    """A file has tensors of both stacks; what they share there need not be shared here."""
    tied = make(normalize_before=normalize_before)
    tied.save_pretrained(tmp_path)
    own = BigBirdPegasusForConditionalGeneration.from_pretrained(
        tmp_path, tie_encoder_decoder=False
    )
    assert_close(own(INPUTS), tied(INPUTS))
    assert len(own.weights) == len(tied.weights) + 1 + 2 + 8 + 2 + 6
    decoder = BigBirdPegasusForCausalLM.from_pretrained(tmp_path)
    assert decoder.config.tie_encoder_decoder is False
    ids = random_ids()
    assert_close(decoder.backbone.decode(ids, mask_of()), tied.backbone.decode(ids, mask_of()))
    # The other way they must be equal.
    own.save_pretrained(tmp_path / "own")
    again = BigBirdPegasusForConditionalGeneration.from_pretrained(
        tmp_path / "own", tie_encoder_decoder=True
    )
    assert_close(again(INPUTS), tied(INPUTS))
    query = own.backbone.decoder.blocks[0].attention.query_dense.kernel
    query.assign(query + 1)
    own.save_pretrained(tmp_path / "own")
    message = r"^model.decoder.layers.0.self_attn.q_proj.weight of .* must be equal to the encoder"
    with pytest.raises(ValueError, match=message):
        BigBirdPegasusForConditionalGeneration.from_pretrained(
            tmp_path / "own", tie_encoder_decoder=True
        )


def test_lora_and_longer_positions(tmp_path):
    """Each projection in common has one addition; and the table of positions is one."""
    model = make()
    model.enable_lora(2)
    trained = [w.path for w in model.backbone.trainable_variables]
    # Queries and values of the block in common and of attention to documents.
    assert len(trained) == 2 * 2 * 2
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    documents = {name: INPUTS[name] for name in ("input_ids", "attention_mask")}
    model.fit(documents, LABELS, batch_size=BATCH, verbose=0)
    expected = model(INPUTS)
    model.save_pretrained(tmp_path)
    loaded = BigBirdPegasusForConditionalGeneration.from_pretrained(tmp_path)
    assert_close(loaded(INPUTS), expected)
    longer = loaded.extend_positions(83)
    assert longer.backbone.encoder_embeddings is longer.backbone.decoder_embeddings
    assert_close(longer(INPUTS), expected)


def test_rematerialized_training_is_the_same():
    weights = []
    for checkpointing in (False, True):
        keras.utils.set_random_seed(5)
        model = make(gradient_checkpointing=checkpointing)
        keras.utils.set_random_seed(6)
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        model.fit(INPUTS, LABELS, batch_size=BATCH, verbose=0)
        weights.append({name: entry.read() for name, entry in tensor_table(model).items()})
    for name, kept in weights[0].items():
        np.testing.assert_allclose(weights[1][name], kept, rtol=0, atol=1e-5, err_msg=name)
