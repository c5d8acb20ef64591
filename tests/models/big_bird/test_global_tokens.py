"""Models with global tokens beside the sequence."""

from typing import ClassVar

import keras
import numpy as np
import pytest

import bigbird_tf as bb
from bigbird_tf import BigBirdModel
from bigbird_tf.checkpoints.transformers_format import tensor_table
from tests.backends import IS_TENSORFLOW, loss_and_gradients
from tests.contract import (
    BATCH,
    HEADS,
    LENGTH,
    VOCABULARY,
    WIDTH,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_config,
)
from tests.models.big_bird import test_big_bird_model

# Two blocks of four: places for six tokens, and two that belong to nobody.
GLOBAL, GIVEN = 6, 5
FIELDS = {"construction": "etc", "num_global_tokens": GLOBAL, "num_random_blocks": 2}
MEMBERS = {**FIELDS, "global_reads": "members"}


def global_inputs() -> dict[str, np.ndarray]:
    """Five global tokens, of which the second row has three; the last one has no members."""
    rng = np.random.default_rng(8)
    membership = rng.integers(-1, GIVEN - 1, (BATCH, LENGTH), dtype=np.int32)
    membership[1] = np.minimum(membership[1], 2)
    return {
        "global_input_ids": rng.integers(6, VOCABULARY, (BATCH, GIVEN), dtype=np.int32),
        "global_attention_mask": mask_of((GIVEN, 3), GIVEN),
        "global_membership": membership,
    }


class TestContract(test_big_bird_model.TestContract):
    config_fields: ClassVar[dict] = {**MEMBERS, "num_hidden_layers": 1}
    # As without them, but for the table of global tokens.
    trainable_weights = 5 + 16 + 2 + 1
    states = 1 + 3
    parameters = 2478 + 2512 + 462 + GLOBAL * WIDTH

    def inputs(self):
        return {**super().inputs(), **global_inputs()}

    def labels(self):
        of_global = np.random.default_rng(6).normal(size=(BATCH, GIVEN, WIDTH))
        return {**super().labels(), "global_hidden_state": of_global}

    def compile_arguments(self):
        losses = super().compile_arguments()["loss"]
        return {"loss": {**losses, "global_hidden_state": "mse"}}

    def test_ids_alone_are_all_real(self, shared_model):
        inputs = {name: x for name, x in self.inputs().items() if not name.endswith("_mask")}
        ones = {
            "attention_mask": np.ones_like(inputs["input_ids"]),
            "global_attention_mask": np.ones_like(inputs["global_input_ids"]),
        }
        assert_close(shared_model(inputs), shared_model({**inputs, **ones}), 1e-6)


def make(fields=FIELDS, model_class=BigBirdModel, **others):
    model = model_class(tiny_config(**{"num_hidden_layers": 1, **fields, **others}))
    randomize(model)
    return model


def test_learned_tokens_are_rows_of_a_table():
    model, ids = make(), random_ids()
    outputs = model(ids)
    assert outputs["global_hidden_state"].shape == (BATCH, GLOBAL, WIDTH)
    embedded = model.embeddings.embed_global(None, BATCH)
    table = model.embeddings.global_embeddings.get_weights()[0]
    expected = model.embeddings.layer_norm(table[None])
    assert_close(embedded, keras.ops.tile(expected, (BATCH, 1, 1)), 1e-6)
    words = np.zeros((BATCH, GLOBAL), np.int32)
    words = model.embeddings.embed_global(words, BATCH)
    word = model.embeddings.word_embeddings.get_weights()[0][0]
    expected = model.embeddings.layer_norm((table + word)[None])
    assert_close(words, keras.ops.tile(expected, (BATCH, 1, 1)), 1e-6)
    # One that is masked reads, and is not read.
    mask = np.ones((BATCH, GLOBAL), np.int32)
    mask[:, 2] = 0
    before = model({"input_ids": ids, "global_attention_mask": mask})
    table[2] = 7
    model.embeddings.global_embeddings.embeddings.assign(table)
    after = model({"input_ids": ids, "global_attention_mask": mask})
    assert_close(after["last_hidden_state"], before["last_hidden_state"], 1e-6)
    assert np.abs(model(ids)["last_hidden_state"] - before["last_hidden_state"]).max() > 1e-2


@pytest.mark.parametrize("length", [LENGTH, 11], ids=["sparse", "full"])
def test_who_reads_whom(length):
    """Attention weights: what the construction says, at lengths of sparse and full attention."""
    fields = {**MEMBERS, "num_random_blocks": 0, "num_global_blocks": (0, 1)}
    model = make(fields, full_attention_up_to=16)
    given = {name: x[:, :length] for name, x in global_inputs().items()}
    x = {"input_ids": random_ids(length=length), "attention_mask": mask_of((length, 9), length)}
    outputs = model({**x, **given}, output_attentions=True, output_hidden_states=True)
    weights = keras.ops.convert_to_numpy(outputs["attentions"][0])
    assert weights.shape == (BATCH, HEADS, GIVEN + length, GIVEN + length)
    assert [tuple(state.shape) for state in outputs["hidden_states"]] == 2 * [
        (BATCH, length, WIDTH)
    ]
    block = np.arange(length) // 4
    reads = np.ones((BATCH, GIVEN + length, GIVEN + length), bool)
    if length > 16:
        near, last = np.abs(block - block[:, None]) <= 1, block == block[-1]
        reads[:, GIVEN:, GIVEN:] = near | last | last[:, None]
    real = x["attention_mask"] == 1
    for row in range(BATCH):
        for token in range(GIVEN):
            mine = (given["global_membership"][row] == token) & real[row]
            if mine.any():
                reads[row, token, GIVEN:] = mine
    reads &= np.concatenate([given["global_attention_mask"] == 1, real], axis=1)[:, None]
    np.testing.assert_array_equal(weights > 0, np.broadcast_to(reads[:, None], weights.shape))
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_a_window_over_everything_is_full_attention():
    """With no global tokens, outputs and gradients are those of full attention."""
    ids, mask = random_ids(), mask_of()
    fields = {"num_global_tokens": 0, "num_random_blocks": 0, "num_window_blocks": 21}
    sparse = make({**FIELDS, **fields}, full_attention_up_to=0)
    assert sparse.encoder.blocks[0].attention.pattern(LENGTH).is_read.any()
    full = make({"attention_type": "original_full"})
    full.set_weights(sparse.get_weights())
    results = []
    for model in (sparse, full):
        hidden = keras.ops.convert_to_tensor(
            np.random.default_rng(1).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
        )
        encoder, real = model.encoder, mask[:, :, None]
        loss, gradients = loss_and_gradients(
            lambda x, encoder=encoder, real=real: keras.ops.sum((encoder(x, mask)[0] * real) ** 2),
            hidden,
            encoder,
        )
        outputs = model({"input_ids": ids, "attention_mask": mask})["last_hidden_state"] * real
        results.append([outputs, loss, *gradients])
    assert_close(*results, 2e-5)


def test_a_checkpoint_without_global_tokens_starts_one(tmp_path):
    itc = make({"num_random_blocks": 0}, bb.BigBirdForMaskedLM)
    itc.save_pretrained(tmp_path / "itc")
    with pytest.warns(UserWarning, match=r"global_embeddings\.weight of the model are not in"):
        etc = bb.BigBirdForMaskedLM.from_pretrained(
            tmp_path / "itc", construction="etc", num_global_tokens=GLOBAL
        )
    assert etc.config.num_global_blocks == 0
    theirs, mine = (tensor_table(model) for model in (itc, etc))
    assert {*mine} - {*theirs} == {"bert.embeddings.global_embeddings.weight"}
    for name, entry in theirs.items():
        np.testing.assert_array_equal(mine[name].read(), entry.read())
    etc.save_pretrained(tmp_path / "etc")
    again = bb.BigBirdForMaskedLM.from_pretrained(tmp_path / "etc")
    assert_close(again(random_ids()), etc(random_ids()), 1e-6)
    with pytest.raises(ValueError, match=r"global_embeddings\.weight is \(6, 21\)"):
        bb.BigBirdForMaskedLM.from_pretrained(tmp_path / "etc", num_global_tokens=7)
    with pytest.raises(ValueError, match=r"unexpected: bert\.embeddings\.global_embeddings"):
        bb.BigBirdForMaskedLM.from_pretrained(tmp_path / "etc", construction="itc")


HEADED = [
    bb.BigBirdForMaskedLM,
    bb.BigBirdForMultipleChoice,
    bb.BigBirdForPreTraining,
    bb.BigBirdForQuestionAnswering,
    bb.BigBirdForSentenceEmbedding,
    bb.BigBirdForSequenceClassification,
    bb.BigBirdForTokenClassification,
]


@pytest.mark.parametrize("model_class", HEADED)
def test_every_head_reads_them(model_class):
    model = make(MEMBERS, model_class)
    inputs = {"input_ids": random_ids(), "attention_mask": mask_of(), **global_inputs()}
    if model.input_rank == 3:
        inputs = {name: np.stack([x, x], axis=1) for name, x in inputs.items()}
    outputs = keras.tree.flatten(model(inputs))
    ids = inputs["global_input_ids"]
    others = keras.tree.flatten(model({**inputs, "global_input_ids": (ids + 9) % VOCABULARY}))
    for one, other in zip(outputs, others, strict=True):
        assert np.isfinite(one).all()
        assert np.abs(np.asarray(one) - np.asarray(other)).max() > 1e-3
    count = {"global_input_ids": ids[..., :0]}
    with pytest.raises(ValueError, match="`global_input_ids` must be of shape"):
        model({**inputs, **count})


@pytest.mark.slow
def test_rematerialized_is_the_same():
    fields = {**MEMBERS, "hidden_dropout_prob": 0.0, "num_hidden_layers": 2}
    results = []
    for checkpointing in (False, True):
        keras.utils.set_random_seed(0)
        model = make(fields, bb.BigBirdForMaskedLM, gradient_checkpointing=checkpointing)
        model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
        inputs = {"input_ids": random_ids(), "attention_mask": mask_of(), **global_inputs()}
        losses = model.fit(inputs, random_ids(5), epochs=2, verbose=0, batch_size=BATCH)
        results.append([*losses.history["loss"], *model.get_weights()])
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=0, atol=2e-5)


@pytest.mark.skipif(not IS_TENSORFLOW, reason="lengths that are unknown are TensorFlow's")
def test_numbers_of_global_tokens_that_are_unknown():
    import tensorflow as tf

    model = make(MEMBERS)
    inputs = {"input_ids": random_ids(), **global_inputs()}
    expected = model(inputs)
    run = tf.function(
        model, input_signature=[{name: tf.TensorSpec([None, None], tf.int32) for name in inputs}]
    )
    assert_close(run(inputs), expected)
    cases = [
        ("global_input_ids", inputs["global_input_ids"][:, [0] * 7], "num_global_tokens or less"),
        ("global_attention_mask", np.ones((BATCH, 4), np.int32), "shape of `global_input_ids`"),
        ("global_membership", np.full((BATCH, LENGTH), GIVEN, np.int32), "number of a global"),
        ("global_membership", np.zeros((BATCH, LENGTH - 1), np.int32), "shape of `input_ids`"),
    ]
    for name, value, message in cases:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            run({**inputs, name: value})


def test_extended_positions_keep_them():
    model = make()
    longer = model.extend_positions(128)
    np.testing.assert_array_equal(
        longer.embeddings.global_embeddings.get_weights()[0],
        model.embeddings.global_embeddings.get_weights()[0],
    )


def test_symbolic_shapes():
    model = make(MEMBERS)
    inputs = {"input_ids": random_ids(), **global_inputs()}
    specs = {name: keras.Input((None,), dtype="int32", name=name) for name in inputs}
    outputs = model(specs, output_attentions=True)
    assert outputs["global_hidden_state"].shape == (None, None, WIDTH)
    assert outputs["attentions"][0].shape == (None, HEADS, None, None)
    shapes = {name: (BATCH, x.shape[1]) for name, x in inputs.items()}
    assert model.compute_output_shape(shapes) == {
        "last_hidden_state": (BATCH, LENGTH, WIDTH),
        "pooler_output": (BATCH, WIDTH),
        "global_hidden_state": (BATCH, GIVEN, WIDTH),
    }
