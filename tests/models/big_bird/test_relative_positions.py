"""Models whose positions are relative."""

import keras
import numpy as np
import pytest

import bigbird_tf as bb
from bigbird_tf import BigBirdModel
from bigbird_tf.checkpoints.transformers_format import tensor_table
from bigbird_tf.models.registry import MODEL_CLASSES
from tests.backends import IS_TENSORFLOW, compiled
from tests.contract import (
    BATCH,
    HEAD_SIZE,
    HEADS,
    LENGTH,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_config,
)

ITC = {"position_embedding_type": "relative", "relative_pos_max_distance": 3}
ETC = {**ITC, "construction": "etc", "num_global_tokens": 6}
CONSTRUCTIONS = pytest.mark.parametrize("fields", [ITC, ETC], ids=["ITC", "ETC"])
ENCODERS = [
    model_class
    for name, model_class in sorted(MODEL_CLASSES.items())
    if not name.startswith("BigBirdPegasus") and name != "BigBirdForCausalLM"
]
if not IS_TENSORFLOW:
    # For time: heads do not know of positions.
    ENCODERS = [BigBirdModel]
POLICIES = ["mixed_bfloat16", "float16"] if IS_TENSORFLOW else ["mixed_bfloat16"]


def make(fields, model_class=BigBirdModel, dtype=None, **others):
    model = model_class(tiny_config(**{"num_hidden_layers": 1, **fields, **others}), dtype=dtype)
    randomize(model)
    return model


def call(model, inputs):
    """Calls a model; on JAX as one function, which is quicker than to compile each operation."""
    if IS_TENSORFLOW:
        return model(inputs)
    return compiled(lambda inputs: model(inputs))(inputs)


def inputs_of(fields, length=LENGTH):
    inputs = {
        "input_ids": random_ids(length=length),
        "attention_mask": mask_of((length, 19), length),
    }
    if "construction" in fields:
        membership = np.random.default_rng(8).integers(-1, 6, (BATCH, length), dtype=np.int32)
        inputs["global_membership"] = membership
    return inputs


@CONSTRUCTIONS
def test_vectors_of_each_layer_in_place_of_a_table(fields):
    model = make(fields, num_hidden_layers=2)
    assert model.embeddings.position_embeddings is None
    tables = [weight for weight in model.weights if "position_embeddings" in weight.path]
    assert not tables
    count = 2 * 3 + 1 + (2 if fields is ETC else 0)
    shapes = [layer.relative_embeddings.shape for layer in model.attention_layers()]
    assert shapes == [(count, HEADS, HEAD_SIZE)] * 2


@CONSTRUCTIONS
@pytest.mark.parametrize("length", [LENGTH, 23], ids=["sparse", "full"])
def test_kernel_and_dense_oracle(fields, length):
    model, inputs = make(fields), inputs_of(fields, length)
    dense = make(fields, attention_type="simulated_sparse")
    outputs = call(dense, inputs)
    assert_close(call(model, inputs), outputs)
    if IS_TENSORFLOW:
        # Weights are those of the dense oracle.
        found = model(inputs, output_attentions=True)
        count = length + (6 if fields is ETC else 0)
        assert found.pop("attentions")[0].shape == (BATCH, HEADS, count, count)
        assert_close(found, outputs)


def test_outputs_move_with_the_text():
    """Padding before a text, a block of it, changes nothing; a table of positions would."""
    inputs, real = inputs_of(ETC), slice(0, LENGTH - 4)
    first = {name: x[:, real] for name, x in inputs.items()}
    first["attention_mask"] = np.ones_like(first["attention_mask"])
    moved = {name: np.pad(x, ((0, 0), (4, 0))) for name, x in first.items()}
    for fields, is_same in ((ETC, True), ({**ETC, "position_embedding_type": "absolute"}, False)):
        model = make(fields, num_random_blocks=0, full_attention_up_to=0)
        outputs = [call(model, x)["last_hidden_state"] for x in (first, moved)]
        difference = np.abs(np.asarray(outputs[0]) - np.asarray(outputs[1])[:, 4:]).max()
        assert difference < 1e-4 if is_same else difference > 1e-2


def test_members_have_vectors_of_their_own():
    model, inputs = make(ETC), inputs_of(ETC)
    outputs = model(inputs)
    nobody = model({**inputs, "global_membership": np.full((BATCH, LENGTH), -1, np.int32)})
    without = {name: x for name, x in inputs.items() if name != "global_membership"}
    assert_close(model(without), nobody)
    for name in ("last_hidden_state", "global_hidden_state"):
        assert np.abs(np.asarray(outputs[name]) - np.asarray(nobody[name])).max() > 1e-2
    table = model.attention_layers()[0].relative_embeddings
    same = keras.ops.convert_to_numpy(table).copy()
    same[-1] = same[-2]
    table.assign(same)
    assert_close(model(inputs), model(without))
    # Where members are all that a global token reads, others are masked besides.
    kept = make(ETC, global_reads="members")
    with pytest.raises(ValueError, match="`global_membership` must be given"):
        kept(without)
    difference = np.abs(
        np.asarray(kept(inputs)["global_hidden_state"]) - np.asarray(outputs["global_hidden_state"])
    )
    assert difference.max() > 1e-2


@pytest.mark.parametrize("model_class", ENCODERS)
def test_every_head_saves_and_loads_them(model_class, tmp_path):
    model = make(ETC, model_class)
    inputs = inputs_of(ETC)
    if model.input_rank == 3:
        inputs = {name: np.stack([x, x], axis=1) for name, x in inputs.items()}
    expected = model(inputs)
    model.save_pretrained(tmp_path)
    assert_close(model_class.from_pretrained(tmp_path)(inputs), expected, 1e-6)
    name = "encoder.layer.0.attention.self.relative_embeddings"
    shapes = [entry.shape for key, entry in tensor_table(model).items() if key.endswith(name)]
    assert shapes == [(9, HEADS, HEAD_SIZE)]
    if model_class is BigBirdModel:
        model.save(tmp_path / "model.keras")
        assert_close(keras.models.load_model(tmp_path / "model.keras")(inputs), expected, 1e-6)
        longer = model.extend_positions(128)
        assert_close(longer(inputs), expected, 1e-6)


def test_a_checkpoint_with_a_table_starts_one(tmp_path):
    itc = make({}, bb.BigBirdForMaskedLM)
    itc.save_pretrained(tmp_path / "itc")
    with pytest.warns(UserWarning, match=r"relative_embeddings of the model are not in") as record:
        relative = bb.BigBirdForMaskedLM.from_pretrained(tmp_path / "itc", **ITC)
    assert len(record) == 1
    theirs, mine = (tensor_table(model) for model in (itc, relative))
    assert {*theirs} - {*mine} == {"bert.embeddings.position_embeddings.weight"}
    for name in {*theirs} & {*mine}:
        np.testing.assert_array_equal(mine[name].read(), theirs[name].read())
    relative.save_pretrained(tmp_path / "relative")
    with pytest.raises(ValueError, match=r"missing: bert\.embeddings\.position_embeddings"):
        bb.BigBirdForMaskedLM.from_pretrained(
            tmp_path / "relative", position_embedding_type="absolute"
        )


@pytest.mark.skipif(not IS_TENSORFLOW, reason="lengths that are unknown are TensorFlow's")
@CONSTRUCTIONS
def test_lengths_that_are_unknown(fields):
    import tensorflow as tf

    model = make(fields)
    run = tf.function(
        model,
        input_signature=[
            {name: tf.TensorSpec([None, None], tf.int32) for name in inputs_of(fields)}
        ],
    )
    for length in (LENGTH, 23):
        inputs = inputs_of(fields, length)
        assert_close(run(inputs), model(inputs))


def test_under_xla():
    model, inputs = make(ETC), inputs_of(ETC)
    run = compiled(lambda inputs: model(inputs))
    assert_close(
        run({name: keras.ops.convert_to_tensor(x) for name, x in inputs.items()}), model(inputs)
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_half_precision(policy):
    exact, half = make(ETC), make(ETC, dtype=policy)
    inputs = inputs_of(ETC)
    expected = np.asarray(call(exact, inputs)["last_hidden_state"])
    outputs = call(half, inputs)["last_hidden_state"]
    outputs = np.asarray(keras.ops.cast(outputs, "float32"))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=0.1)


@pytest.mark.slow
def test_rematerialized_is_the_same():
    results = []
    for checkpointing in (False, True):
        keras.utils.set_random_seed(0)
        model = make(
            {**ETC, "hidden_dropout_prob": 0.0, "gradient_checkpointing": checkpointing},
            bb.BigBirdForMaskedLM,
        )
        model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
        inputs = inputs_of(ETC)
        losses = model.fit(inputs, random_ids(5), epochs=2, verbose=0, batch_size=BATCH)
        results.append([*losses.history["loss"], *model.get_weights()])
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.skipif(not IS_TENSORFLOW, reason="exports are TensorFlow's")
def test_exported(tmp_path):
    import tensorflow as tf

    model = make(ETC, bb.BigBirdForTokenClassification, global_reads="members")
    inputs = {**inputs_of(ETC), "token_type_ids": np.zeros((BATCH, LENGTH), np.int32)}
    model.export(tmp_path / "model", verbose=False)
    tensors = {name: tf.constant(x, tf.int32) for name, x in inputs.items()}
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert_close(loaded.serve(tensors), model(inputs))


def test_what_does_not_go_together():
    for fields, message in (
        ({"is_decoder": True}, "is for encoders.*is_decoder=True"),
        ({"relative_pos_max_distance": 5}, "1 blocks of 4 tokens.*=5.*num_window_blocks"),
        ({"inference_random_blocks": "first_block"}, "'first_block'.*'seeded'"),
        ({"relative_pos_max_distance": 0}, "`relative_pos_max_distance` must be a positive"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny_config(**{**ITC, **fields})
    # What the window does not reach is not read.
    tiny_config(**{**ETC, "relative_pos_max_distance": 99, "num_random_blocks": 0})
    model, ids = make(ITC), random_ids()
    with pytest.raises(ValueError, match="`position_ids` have no effect"):
        model({"input_ids": ids, "position_ids": np.zeros_like(ids)})
    layer = bb.BlockSparseAttention(2, 3, block_size=4, relative_pos_max_distance=2)
    x = np.zeros((1, 40, 5), np.float32)
    with pytest.raises(ValueError, match="Received: causal attention"):
        layer(x, use_causal_mask=True)
    with pytest.raises(ValueError, match="num_side_blocks=0"):
        layer(x, global_membership=np.zeros((1, 40), np.int32))
    with pytest.raises(ValueError, match="`num_side_blocks` are among"):
        bb.BlockSparseAttention(
            2, 3, num_global_blocks=(1, 0), relative_pos_max_distance=2, num_side_blocks=2
        )
