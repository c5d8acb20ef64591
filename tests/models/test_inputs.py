"""Bad input, and the edges of good input, of all models."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import (
    BigBirdForMultipleChoice,
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from bigbird_tf.models.inputs import read_inputs
from tests.contract import (
    BATCH,
    LENGTH,
    LONGEST,
    VOCABULARY,
    WIDTH,
    as_function,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_config,
)


@pytest.fixture(scope="module")
def model():
    model = BigBirdModel(tiny_config(num_hidden_layers=1))
    randomize(model)
    return model


def call_of(model, inputs, mode):
    """Returns the call of a model: eager, or in a graph with static or unknown shapes."""
    if mode == "eager":
        return model
    unknown = [None, None] if mode == "dynamic" else None
    signature = {k: tf.TensorSpec(unknown or v.shape, v.dtype) for k, v in inputs.items()}
    return tf.function(model, input_signature=[signature])


def reader_of(inputs, mode):
    """Returns what checks the inputs, without the model behind it."""
    return call_of(lambda inputs: read_inputs(inputs, tiny_config()), inputs, mode)


MODES = pytest.mark.parametrize("mode", ["eager", "static", "dynamic"])


@MODES
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_ids", VOCABULARY, r"`input_ids` must be in \[0, vocab_size\), that is \[0, 53\)"),
        ("input_ids", -1, r"`input_ids` must be in \[0, vocab_size\)"),
        ("token_type_ids", 2, r"`token_type_ids` must be in \[0, type_vocab_size\)"),
        ("position_ids", LONGEST, r"`position_ids` must be in \[0, max_position_embeddings\)"),
        ("position_ids", -1, r"`position_ids` must be"),
    ],
)
def test_ids_out_of_their_range(model, mode, dtype, name, value, message):
    zeros = np.zeros((BATCH, 13), dtype)
    inputs = {"input_ids": zeros, name: zeros.copy()}
    inputs[name][1, 7] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        reader_of(inputs, mode)(inputs)
    if mode == "eager":
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            model(inputs)


def test_ids_at_the_edges_of_their_range(model):
    ids = np.array([[0, VOCABULARY - 1]])
    inputs = {"input_ids": ids, "token_type_ids": ids % 2, "position_ids": ids % 2 * 60}
    for dtype in (np.int64, np.int32, np.uint8):
        outputs = model({name: value.astype(dtype) for name, value in inputs.items()})
        assert np.isfinite(outputs["last_hidden_state"]).all()


def test_too_long(model):
    longest = np.zeros((1, LONGEST), np.int32)
    assert model(longest)["last_hidden_state"].shape == (1, LONGEST, WIDTH)
    longer = {"input_ids": np.zeros((1, LONGEST + 1), np.int32)}
    message = "`max_position_embeddings`.*length=62, max_position_embeddings=61.*windows"
    with pytest.raises(ValueError, match=message):
        model(longer)
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_position_embeddings=61"):
        reader_of(longer, "dynamic")(longer)


def test_no_token_at_all(model):
    inputs = {"input_ids": np.zeros((2, 0), np.int32)}
    with pytest.raises(ValueError, match=r"one token at least.*length=0"):
        model(inputs)
    with pytest.raises(tf.errors.InvalidArgumentError, match="one token at least"):
        reader_of(inputs, "dynamic")(inputs)


def test_the_models_graph_has_the_checks(model):
    """They survive the pruning of what no output needs."""
    ids = np.zeros((BATCH, 13), np.int32)
    call = call_of(model, {"input_ids": ids, "attention_mask": ids}, "dynamic")
    bad = (
        ({"input_ids": ids - 1, "attention_mask": ids}, "vocab_size"),
        ({"input_ids": ids, "attention_mask": ids[:, 1:]}, "`attention_mask` must be"),
        ({"input_ids": ids[:, :0], "attention_mask": ids[:, :0]}, "one token at least"),
        ({"input_ids": ids.repeat(5, 1), "attention_mask": ids.repeat(5, 1)}, "longer than"),
    )
    for inputs, message in bad:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            call(inputs)
    assert np.isfinite(call({"input_ids": ids, "attention_mask": ids})["pooler_output"]).all()


@pytest.mark.parametrize("name", ["attention_mask", "token_type_ids"])
@pytest.mark.parametrize(
    "shape", [(BATCH, LENGTH - 1), (BATCH + 1, LENGTH), (1, LENGTH), (BATCH, 1)]
)
def test_shapes_that_differ(model, name, shape):
    inputs = {"input_ids": random_ids(), name: np.ones(shape, np.int32)}
    with pytest.raises(ValueError, match=f"`{name}` must be of the shape of `input_ids`.*37"):
        model(inputs)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"`{name}` must be of the shape of `inp"
    ):
        reader_of(inputs, "dynamic")(inputs)


@pytest.mark.parametrize("shape", [(LENGTH,), (BATCH, LENGTH, 1), (BATCH, LENGTH, LENGTH)])
def test_ranks_that_differ(model, shape):
    with pytest.raises(ValueError, match=r"`input_ids` must be of shape \(batch, length\)"):
        model(np.ones(shape, np.int32))
    with pytest.raises(ValueError, match="`attention_mask` must be of the shape of `input_ids`"):
        model({"input_ids": random_ids(), "attention_mask": np.ones(shape, np.int32)})


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"attention_mask": mask_of()},
        {"input_ids": None},
        {"input_ids": random_ids(), "inputs_embeds": random_ids()},
        {"ids": random_ids()},
    ],
    ids=["nothing", "mask alone", "none", "unknown key", "wrong key"],
)
def test_keys(inputs):
    with pytest.raises(ValueError, match=r"dictionary with 'input_ids'.*Received the keys: \["):
        read_inputs(inputs, tiny_config())


@pytest.mark.parametrize("name", ["input_ids", "token_type_ids", "position_ids"])
@pytest.mark.parametrize("dtype", [np.float32, bool])
def test_ids_that_are_not_integers(model, name, dtype):
    inputs = {"input_ids": random_ids(), name: np.zeros((BATCH, LENGTH), dtype)}
    with pytest.raises(ValueError, match=f"`{name}` must be integers. Received: {name}.dtype="):
        model(inputs)


def test_masks_of_any_dtype(model):
    ids, mask = random_ids(), mask_of()
    expected = model({"input_ids": ids, "attention_mask": mask})
    for dtype in (bool, np.int64, np.uint8, np.float32, np.float64):
        assert_close(model({"input_ids": ids, "attention_mask": mask.astype(dtype)}), expected)


@MODES
@pytest.mark.parametrize(
    "mask",
    [(1 - mask_of()) * -10000, mask_of() * 0.5, np.where(mask_of() == 1, 0.0, -np.inf), -mask_of()],
    ids=["additive", "half", "infinite", "negative"],
)
def test_masks_of_other_values_than_zero_and_one(model, mode, mask):
    inputs = {"input_ids": random_ids(), "attention_mask": mask}
    message = "`attention_mask` must be 1 for tokens and 0 for padding.*pass `mask == 0`"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        reader_of(inputs, mode)(inputs)
    if mode == "eager":
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            model(inputs)


def test_the_mask_is_checked_once(model):
    """Not again in each layer: what layers get is boolean."""
    inputs = {"input_ids": random_ids(), "attention_mask": mask_of()}
    assert read_inputs(inputs, model.config)["attention_mask"].dtype == tf.bool
    assert read_inputs(random_ids(), model.config)["attention_mask"].dtype == tf.bool

    def count_of_checks(num_layers):
        model = BigBirdModel(tiny_config(num_hidden_layers=num_layers))
        graph = call_of(model, inputs, "static").get_concrete_function().graph
        return sum(operation.type == "Assert" for operation in graph.get_operations())

    assert count_of_checks(1) == count_of_checks(2) > 0


TEXTS = ("A bird sings.", "A stone.")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((random_ids(), mask_of()), "several inputs a dictionary.*Received: tuple"),
        ([random_ids(), mask_of()], "several inputs a dictionary.*Received: list"),
        ([[1, 2], [3, 4]], "must be an array or a tensor.*Received: list"),
        ({"input_ids": [[1, 2], [3, 4]]}, "`input_ids` must be an array or a tensor"),
        (
            tf.ragged.constant([[1, 2], [3]]),
            r"not be ragged.*sequence_mask.*\(2, None\)",
        ),
        (
            {"input_ids": random_ids(), "token_type_ids": tf.ragged.constant([[1, 2], [3]])},
            "`token_type_ids` must not be ragged",
        ),
        (TEXTS[0], "texts: str, 'A bird sings.'.*`tokenizer\\(texts\\)`.*preprocessor"),
        (list(TEXTS), "Received texts: list"),
        (np.array(TEXTS), "Received texts: ndarray"),
        (np.array(TEXTS, object), "Received texts: ndarray"),
        (tf.constant(TEXTS), "Received texts: EagerTensor"),
        ({"input_ids": tf.constant(TEXTS)}, "`input_ids` must be integers. Received texts"),
    ],
    ids=str,
)
class TestOtherKindsOfInputs:
    def test_call(self, model, inputs, message):
        with pytest.raises(TypeError, match=f"(?s){message}"):
            model(inputs)

    def test_fit_evaluate_predict(self, model, inputs, message):
        head = BigBirdForSequenceClassification(model.config)
        head.compile()
        for run in (head.fit, head.evaluate, head.predict):
            with pytest.raises(TypeError, match=f"(?s){message}"):
                run(inputs, verbose=0)


def test_inputs_as_keywords(model):
    with pytest.raises(TypeError, match=r"without `\*\*`.*Received.*: input_ids, attention_mask"):
        model(**{"input_ids": random_ids(), "attention_mask": mask_of()})
    assert_close(model(inputs=random_ids()), model(random_ids()))


def test_a_data_set_of_texts_and_one_of_ragged_ids(model):
    head = BigBirdForSequenceClassification(model.config)
    head.compile()
    for x, message in (
        (tf.constant(TEXTS), "Received texts"),
        (tf.ragged.constant([[1, 2], [3]]), "must not be ragged"),
    ):
        data = tf.data.Dataset.from_tensor_slices((x, [0, 1])).batch(2)
        with pytest.raises(TypeError, match=message):
            head.fit(data, verbose=0, shuffle=False)


def test_predict_of_nothing(model):
    ids = random_ids(length=23)
    for x in (ids[:0], {"input_ids": ids[:0]}, tf.constant(ids[:0])):
        outputs = model.predict(x, verbose=0)
        assert outputs["last_hidden_state"].shape == (0, 23, WIDTH)
        assert outputs["pooler_output"].shape == (0, WIDTH)
    data = tf.data.Dataset.from_tensor_slices(ids).batch(2).filter(lambda _: False)
    with (
        pytest.warns(UserWarning, match="ran out of data"),
        pytest.raises(ValueError, match=r"`x` must have one batch at least.*_FilterDataset"),
    ):
        model.predict(data, verbose=0)


class TestOneTokenType:
    """As what `lengthen` makes of RoBERTa: all tokens are of type 0, whatever tokenizers write."""

    @pytest.mark.parametrize("types", [None, np.ones((BATCH, 13), np.int32)], ids=["none", "ones"])
    def test_question_answering(self, types):
        model = BigBirdForQuestionAnswering(tiny_config(num_hidden_layers=1, type_vocab_size=1))
        randomize(model)
        ids = random_ids(length=13)
        expected = model({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})
        inputs = (
            {"input_ids": ids} if types is None else {"input_ids": ids, "token_type_ids": types}
        )
        assert_close(model(inputs), expected)

    def test_multiple_choice(self):
        model = BigBirdForMultipleChoice(tiny_config(num_hidden_layers=1, type_vocab_size=1))
        ids = random_ids(batch=6, length=17).reshape(2, 3, 17)
        expected = model({"input_ids": ids})
        assert_close(model({"input_ids": ids, "token_type_ids": np.ones_like(ids)}), expected)

    def test_encoder(self):
        model = BigBirdModel(tiny_config(num_hidden_layers=1, type_vocab_size=1))
        ids = random_ids(length=13)
        assert_close(model({"input_ids": ids, "token_type_ids": np.ones_like(ids)}), model(ids))
        with pytest.raises(ValueError, match="`token_type_ids` must be of the shape"):
            model({"input_ids": ids, "token_type_ids": np.ones((1, 13), np.int32)})


def test_missing_and_none_are_defaults(model):
    ids = random_ids()
    ones, zeros = np.ones_like(ids), np.zeros_like(ids)
    positions = np.arange(LENGTH)[None]
    expected = model(
        {
            "input_ids": ids,
            "attention_mask": ones,
            "token_type_ids": zeros,
            "position_ids": np.repeat(positions, BATCH, axis=0),
        }
    )
    for inputs in (
        ids,
        tf.constant(ids, tf.int64),
        {"input_ids": ids, "attention_mask": None, "token_type_ids": None},
        {"input_ids": ids, "position_ids": positions},
    ):
        assert_close(model(inputs), expected)
    inputs = {"input_ids": ids, "position_ids": positions}
    assert_close(as_function(model, [inputs], dynamic=True)(inputs), expected)


def test_token_types_and_positions_are_read(model):
    ids = random_ids()
    expected = model(ids)["last_hidden_state"]
    for name in ("token_type_ids", "position_ids"):
        output = model({"input_ids": ids, name: np.ones_like(ids)})["last_hidden_state"]
        assert np.abs(output - expected).max() > 1e-2


@MODES
@pytest.mark.parametrize("length", [23, LENGTH])
def test_all_zero_mask(model, mode, length):
    ids = random_ids(batch=3, length=length)
    mask = mask_of((length, 0, 1), length)
    inputs = {"input_ids": ids, "attention_mask": mask}
    outputs = call_of(model, inputs, mode)(inputs)
    for output in outputs.values():
        assert np.isfinite(output).all()
    # The other rows are as they are without such a row.
    alone = model({"input_ids": ids[:1], "attention_mask": mask[:1]})
    assert_close(outputs["last_hidden_state"][:1], alone["last_hidden_state"])


@MODES
@pytest.mark.parametrize("length", [23, LENGTH])
def test_empty_batch(model, mode, length):
    inputs = {"input_ids": random_ids(length=length)[:0]}
    outputs = call_of(model, inputs, mode)(inputs)
    assert outputs["last_hidden_state"].shape == (0, length, WIDTH)
    assert outputs["pooler_output"].shape == (0, WIDTH)


def test_batch_of_one_and_one_token(model):
    assert model(np.array([[7]]))["last_hidden_state"].shape == (1, 1, WIDTH)


def test_under_xla_ids_are_not_checked_but_good_ones_are_right():
    """XLA has no assertions; the docstring says so. What is in the vocabulary is right there."""
    model = BigBirdForSequenceClassification(tiny_config(num_hidden_layers=1))
    randomize(model)
    ids = random_ids(length=23)
    compiled = tf.function(model, jit_compile=True)
    assert_close(compiled(tf.constant(ids)), model(ids))
    ids[1, 3] = VOCABULARY
    assert compiled(tf.constant(ids)).shape == (BATCH, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="vocab_size"):
        model(ids)
    assert "Not when compiled by XLA" in read_inputs.__doc__


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8"])
def test_small_integers_are_ids(dtype):
    """The number of ids is none of their numbers."""
    model = BigBirdModel(tiny_config(vocab_size=70_000))
    ids = np.arange(2 * LENGTH).reshape(2, LENGTH).astype(dtype)
    small, large = (model(x)["pooler_output"] for x in (ids, ids.astype("int32")))
    np.testing.assert_array_equal(small, large)


def test_rows_of_unequal_lengths():
    ids = np.array([[1, 2], [3]], dtype=object)
    with pytest.raises(TypeError, match=r"array of Python objects.*Rows of unequal lengths"):
        BigBirdModel(tiny_config())(ids)


def test_output_shape_of_a_dictionary():
    model = BigBirdModel(tiny_config())
    expected = model.compute_output_shape((2, 8))
    assert model.compute_output_shape({"input_ids": (2, 8)}) == expected
