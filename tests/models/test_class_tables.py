"""What each public model says of itself, as data: inputs, special ids, what it is trained with."""

import functools

import keras
import numpy as np
import pytest

from bigbird_tf import models
from bigbird_tf.layers import DecoderBlock, PreNormFeedForward
from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from bigbird_tf.nn.dropout import Dropout
from tests.contract import tiny_config, tiny_pegasus_config

NAMES = models.__all__
PLAIN = ("input_ids", "attention_mask")
TYPED = (*PLAIN, "token_type_ids")
PLACED = (*TYPED, "position_ids")
PAIR = (*PLAIN, "decoder_input_ids", "decoder_attention_mask")
# Names of inputs, those that `export` has, their rank, special ids that are read, further inputs,
# and of the pooler: whether there is one, and whether it is read.
CLASSES = {
    "BigBirdForCausalLM": (PLACED, TYPED, 2, ("pad_token_id",), (), True, False),
    "BigBirdForMaskedLM": (PLACED, TYPED, 2, (), ("masked_positions",), True, False),
    "BigBirdForMultipleChoice": (PLACED, TYPED, 3, (), (), True, True),
    "BigBirdForPreTraining": (PLACED, TYPED, 2, (), ("masked_positions",), True, True),
    "BigBirdForQuestionAnswering": (
        PLACED, TYPED, 2, ("sep_token_id",), ("question_lengths",), False, False,
    ),
    "BigBirdForSentenceEmbedding": (PLACED, TYPED, 2, (), None, None, False),
    "BigBirdForSequenceClassification": (PLACED, TYPED, 2, (), (), True, False),
    "BigBirdForTokenClassification": (PLACED, TYPED, 2, (), (), True, False),
    "BigBirdModel": (PLACED, TYPED, 2, (), None, None, None),
    "BigBirdPegasusForCausalLM": (PLAIN, PLAIN, 2, ("pad_token_id",), (), False, False),
    "BigBirdPegasusForConditionalGeneration": (
        PAIR, PAIR, 2, ("pad_token_id", "eos_token_id"), (), False, False,
    ),
    "BigBirdPegasusForQuestionAnswering": (PAIR, PAIR, 2, (), (), False, False),
    "BigBirdPegasusForSequenceClassification": (
        PAIR, PAIR, 2, ("eos_token_id",), (), False, False,
    ),
    "BigBirdPegasusModel": (PAIR, PAIR, 2, (), None, None, None),
}  # fmt: skip
ATTRIBUTES = (
    "input_names", "exported_inputs", "input_rank", "special_ids", "extra_inputs", "has_pooler",
    "uses_pooler",
)  # fmt: skip


@functools.cache
def make(name):
    """A model whose dropouts all have a rate."""
    if "Pegasus" in name:
        config = tiny_pegasus_config(num_labels=3)
    else:
        rates = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
        config = tiny_config(num_hidden_layers=1, num_labels=3, classifier_dropout=0.1, **rates)
    return getattr(models, name)(config)


@pytest.mark.parametrize("name", NAMES)
def test_attributes(name):
    model_class = getattr(models, name)
    found = tuple(getattr(model_class, attribute, None) for attribute in ATTRIBUTES)
    assert found == CLASSES[name]
    is_pegasus = name.startswith("BigBirdPegasus")
    assert model_class.config_class.model_type == ("bigbird_pegasus" if is_pegasus else "big_bird")
    architecture = "BigBirdModel" if name == "BigBirdForSentenceEmbedding" else name
    assert make(name).architecture == architecture
    options = ("pooling_mode", "normalize", "max_seq_length", "prompt")
    assert model_class.options == (options if "Sentence" in name else ())


def loss_of(reduction):
    return ("SparseCrossentropy", True, reduction, 0.0)


BY_WEIGHT, BY_BATCH = loss_of("mean_with_sample_weight"), loss_of("sum_over_batch_size")
ENDS = ("start_logits", "end_logits")
PRE_TRAINING = ("prediction_logits", "seq_relationship_logits")
ACCURACY = [("SparseAccuracy", "accuracy")]
# Loss, its weights, metrics, and those that heed sample weights.
OF_TOKENS = (BY_WEIGHT, None, None, ACCURACY)
OF_TEXTS = (BY_BATCH, None, ACCURACY, None)
OF_ENDS = (
    dict.fromkeys(ENDS, BY_BATCH), dict.fromkeys(ENDS, 0.5), dict.fromkeys(ENDS, ACCURACY), None,
)  # fmt: skip
TASKS = {
    "BigBirdForCausalLM": OF_TOKENS,
    "BigBirdForMaskedLM": OF_TOKENS,
    "BigBirdForMultipleChoice": OF_TEXTS,
    "BigBirdForPreTraining": (
        dict.fromkeys(PRE_TRAINING, BY_WEIGHT), None, None, dict.fromkeys(PRE_TRAINING, ACCURACY),
    ),
    "BigBirdForQuestionAnswering": OF_ENDS,
    "BigBirdForSequenceClassification": OF_TEXTS,
    "BigBirdForTokenClassification": OF_TOKENS,
    "BigBirdPegasusForCausalLM": OF_TOKENS,
    "BigBirdPegasusForConditionalGeneration": OF_TOKENS,
    "BigBirdPegasusForQuestionAnswering": OF_ENDS,
    "BigBirdPegasusForSequenceClassification": OF_TEXTS,
}  # fmt: skip


def described(value):
    """Losses and metrics as tuples, in whatever structure."""
    if isinstance(value, dict):
        return {name: described(part) for name, part in value.items()}
    if isinstance(value, list):
        return [described(part) for part in value]
    if isinstance(value, SparseCrossentropy):
        config = value.get_config()
        fields = ("from_logits", "reduction", "label_smoothing")
        return (type(value).__name__, *(config[field] for field in fields))
    if isinstance(value, keras.metrics.Metric):
        assert isinstance(value, SparseAccuracy)
        return (type(value).__name__, value.name)
    return value


@pytest.mark.parametrize("name", NAMES)
def test_what_it_is_trained_with(name):
    model = make(name)
    if name not in TASKS:
        with pytest.raises(ValueError, match=f"`{name}` has no task of its own: pass `loss`"):
            model._default_loss()
        return
    found = (
        model._default_loss(),
        model._default_loss_weights(),
        model._default_metrics(),
        model._default_weighted_metrics(),
    )
    assert tuple(map(described, found)) == TASKS[name]


def inputs_of(name):
    shape = (2, 3, 7) if "MultipleChoice" in name else (2, 7)
    ids = np.full(shape, 9, "int32")
    ids[..., 3] = 5
    ids[..., 6] = 1
    return ids


@pytest.mark.parametrize("name", NAMES)
def test_all_dropouts_act_in_training_and_no_other_time(name, monkeypatch):
    """At a length of full attention: in sparse attention, as in the originals, none acts."""
    model = make(name)
    parts = model._flatten_layers()
    dropouts = {id(part) for part in parts if isinstance(part, Dropout)}
    # A decoder alone reads no documents; and what is inside of Pegasus' feed-forward layers is a
    # part of one kernel outside of training.
    blocks = [part for part in parts if isinstance(part, DecoderBlock)]
    of_documents = {
        id(part)
        for block in blocks
        for part in (block.cross_dropout, block.cross_attention.dropout_layer)
    }
    inside = {id(part.inner_dropout) for part in parts if isinstance(part, PreNormFeedForward)}
    seen = {}

    def record(layer, inputs, training=False, seed=None):
        seen.setdefault(id(layer), set()).add(bool(training))
        return inputs

    monkeypatch.setattr(Dropout, "call", record)
    for training in (True, False, None):
        seen.clear()
        model(inputs_of(name), training=training)
        expected = dropouts - (of_documents if name == "BigBirdPegasusForCausalLM" else set())
        # An encoder has none inside.
        expected -= inside - (
            {id(block.feed_forward.inner_dropout) for block in blocks} if training else set()
        )
        assert set(seen) == expected
        assert all(values == {bool(training)} for values in seen.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_export_hands_on(name, monkeypatch):
    """To Keras: int32 of any sizes, by name; for LiteRT of the longest length."""
    calls = []
    monkeypatch.setattr(keras.Model, "export", lambda model, *args, **kw: calls.append((args, kw)))
    model = make(name)
    model.export("there")
    model.export("there", verbose=False, opset_version=7)
    model.export("there.tflite", "litert", True)
    model.export("there", "onnx", input_signature="mine")
    _, names, rank, *_ = CLASSES[name]

    def described(signature):
        (specs,) = signature
        assert all(key == spec.name for key, spec in specs.items())
        return {key: (spec.shape, spec.dtype) for key, spec in specs.items()}

    free = dict.fromkeys(names, ((None,) * rank, "int32"))
    longest = dict.fromkeys(names, ((*(None,) * (rank - 1), 61), "int32"))
    found = [(*args[:3], args[3], options) for args, options in calls]
    assert [call[:3] for call in found] == [
        ("there", "tf_saved_model", None),
        ("there", "tf_saved_model", False),
        ("there.tflite", "litert", True),
        ("there", "onnx", None),
    ]
    assert [call[4] for call in found] == [{}, {"opset_version": 7}, {}, {}]
    assert [described(call[3]) for call in found[:3]] == [free, free, longest]
    assert found[3][3] == "mine"


def test_what_quantize_hands_on_and_keeps(monkeypatch):
    calls = []

    def record(model, mode, config, filters, **options):
        # Keras makes a config of a mode.
        calls.append((mode, type(config).__name__, filters, options))

    monkeypatch.setattr(keras.Model, "quantize", record)
    model = models.BigBirdModel(tiny_config(num_hidden_layers=0))
    assert "quantizations" not in model.get_config()
    model.quantize("int8", filters=["pooler", "dense"], type_check=False)
    first = ("int8", "Int8QuantizationConfig", ["pooler", "dense"])
    assert calls == [(*first, {"type_check": False})]
    model.quantize("int4")
    second = ("int4", "Int4QuantizationConfig", None)
    config = model.get_config()
    kept = [(call["mode"], call["filters"]) for call in config["quantizations"]]
    assert kept == [("int8", ["pooler", "dense"]), ("int4", None)]
    calls.clear()
    again = models.BigBirdModel.from_config(config)
    # In their order, before any weights are loaded.
    assert calls == [(*first, {}), (*second, {})]
    assert again.get_config() == config
    assert "quantizations" in config


@pytest.mark.parametrize(
    ("name", "shapes", "expected"),
    [
        ("BigBirdForSentenceEmbedding", (2, 7), (2, 21)),
        ("BigBirdForSentenceEmbedding", {"input_ids": (2, 7)}, (2, 21)),
        ("BigBirdModel", (2, 7), {"last_hidden_state": (2, 7, 21), "pooler_output": (2, 21)}),
        (
            "BigBirdPegasusModel",
            (2, 7),
            {"last_hidden_state": (2, 7, 21), "encoder_last_hidden_state": (2, 7, 21)},
        ),
        (
            "BigBirdPegasusModel",
            {"input_ids": (2, 7), "decoder_input_ids": (2, 5)},
            {"last_hidden_state": (2, 5, 21), "encoder_last_hidden_state": (2, 7, 21)},
        ),
    ],
)
def test_shapes_of_outputs(name, shapes, expected):
    assert make(name).compute_output_shape(shapes) == expected
