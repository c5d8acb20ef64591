"""Google's checkpoints convert, and give the numbers of Google's code."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.attention import BlockPattern
from bigbird_tf.checkpoints import convert_google_checkpoint, google, transformers_format
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import (
    BigBirdForMaskedLM,
    BigBirdForPreTraining,
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from tests.checkpoints.google_data import (
    SETTINGS,
    committed_outputs,
    committed_variables,
    model_inputs,
    random_block_overrides,
    write_checkpoint,
)

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The committed checkpoint's prefix, pre-training heads included."""
    folder = tmp_path_factory.mktemp("committed")
    return write_checkpoint(committed_variables("pooler", "masked_lm", "next_sentence"), folder)


@pytest.fixture(scope="module")
def converted(committed, tmp_path_factory):
    directory = tmp_path_factory.mktemp("converted") / "google"
    convert_google_checkpoint(committed, SETTINGS, directory)
    return directory


@pytest.fixture(scope="module")
def converted_classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    variables = {
        **committed_variables("pooler", "classifier"),
        # As a training run leaves them.
        "global_step": np.int64(17),
        "bert/classifier/kernel/adam_m": np.ones((32, 2), np.float32),
        "bert/classifier/kernel/adam_v": np.ones((32, 2), np.float32),
    }
    prefix = write_checkpoint(variables, folder)
    convert_google_checkpoint(prefix, {**SETTINGS, "num_labels": 2}, folder / "converted")
    return folder / "converted"


def load_arrays(file):
    with np.load(file) as stored:
        return dict(stored)


def assert_outputs_match(directory, arrays, attention_type="block_sparse"):
    """Compares encoder, pooler, both pre-training heads, their losses, and the index tables."""
    model = BigBirdForPreTraining.from_pretrained(
        directory, attention_type=attention_type, **random_block_overrides(arrays)
    )
    inputs = model_inputs(arrays)
    encoded = []
    encode = model.backbone.encode

    def encode_and_keep(*args, **kwargs):
        encoded.append(encode(*args, **kwargs))
        return encoded[0]

    model.backbone.encode = encode_and_keep
    names = (
        "masked_lm_log_probs",
        "masked_lm_loss",
        "next_sentence_log_probs",
        "next_sentence_loss",
    )
    for name, found in zip(names, pretraining_losses(model, arrays), strict=True):
        assert np.abs(found.numpy() - arrays[name]).max() <= TOLERANCE, name

    ((hidden, _, _),) = encoded
    pooled = model.backbone.pooler(hidden).numpy()
    assert np.abs(pooled - arrays["pooled_output"]).max() <= TOLERANCE
    difference = np.abs(hidden.numpy()[:, arrays["output_positions"]] - arrays["sequence_output"])
    if str(arrays["attention_type_used"]) != "block_sparse":
        # Google's dense masks leave padded queries unmasked; nobody reads those rows.
        difference = difference[inputs["attention_mask"][:, arrays["output_positions"]] > 0]
    assert difference.max() <= TOLERANCE

    for index in range(model.config.num_hidden_layers):
        expected = arrays.get(f"rand_attn_layer_{index}")
        is_full = str(arrays["attention_type_used"]) == "original_full"
        assert (expected is None) == is_full
        if not is_full:
            pattern = BlockPattern.build(
                inputs["input_ids"].shape[1] // model.config.block_size,
                model.config.num_attention_heads,
                block_size=model.config.block_size,
                num_random_blocks=model.config.num_random_blocks,
                seed=index,
            )
            np.testing.assert_array_equal(pattern.random_blocks, expected)


def pretraining_losses(model, arrays):
    """Computes Google's losses of both heads from our logits."""
    inputs = {**model_inputs(arrays), "masked_positions": arrays["masked_lm_positions"]}
    outputs = model(inputs)
    masked_lm = tf.nn.log_softmax(outputs["prediction_logits"])
    next_sentence = tf.nn.log_softmax(outputs["seq_relationship_logits"])
    weights = arrays["masked_lm_weights"]
    picked = tf.gather(masked_lm, arrays["masked_lm_ids"], batch_dims=2)
    masked_lm_loss = -tf.reduce_sum(picked * weights) / (weights.sum() + 1e-5)
    labels = arrays["next_sentence_labels"]
    next_sentence_loss = -tf.reduce_mean(tf.gather(next_sentence, labels, batch_dims=1))
    return masked_lm, masked_lm_loss, next_sentence, next_sentence_loss


def assert_classifier_matches(directory, arrays):
    model = BigBirdForSequenceClassification.from_pretrained(directory)
    logits = model(model_inputs(arrays))
    assert np.abs(tf.nn.log_softmax(logits) - arrays["log_probs"]).max() <= TOLERANCE
    loss = model._default_loss()(arrays["labels"], logits)
    assert abs(loss - arrays["loss"]) <= TOLERANCE


class TestCommittedOutputs:
    """Parity at two lengths on any machine: the general plan, and the fixed one with repeats."""

    @pytest.mark.parametrize("length", [592, 1024])
    def test_encoder_and_pretraining_heads(self, converted, length):
        assert_outputs_match(converted, committed_outputs(f"pretraining_{length}"))

    def test_classifier(self, converted_classifier):
        assert_classifier_matches(converted_classifier, committed_outputs("classifier_1024"))

    def test_tolerance_would_notice_another_activation(self, converted):
        arrays = committed_outputs("pretraining_592")
        model = BigBirdModel.from_pretrained(converted, hidden_act="gelu")
        hidden = model(model_inputs(arrays))["last_hidden_state"].numpy()
        difference = np.abs(hidden[:, arrays["output_positions"]] - arrays["sequence_output"])
        assert difference.max() > 3 * TOLERANCE


class TestConversion:
    def test_config(self, converted):
        config = BigBirdConfig.from_pretrained(converted)
        assert config.extra["architectures"] == ["BigBirdForPreTraining"]
        assert (config.hidden_act, config.num_random_blocks, config.block_size) == (
            "gelu_new",
            3,
            16,
        )
        assert (config.random_plan, config.inference_random_blocks) == ("google", "seeded")
        assert config.full_attention_up_to == 512
        assert config.classifier_act is None

    def test_config_may_be_ours(self, committed, converted, tmp_path):
        config = google.config_from_google(SETTINGS).replace(block_size=32, bos_token_id=7)
        convert_google_checkpoint(committed, config, tmp_path / "made")
        read = BigBirdConfig.from_pretrained(tmp_path / "made")
        assert (read.block_size, read.bos_token_id) == (32, 7)
        ours = (tmp_path / "made/model.safetensors").read_bytes()
        assert ours == (converted / "model.safetensors").read_bytes()

    def test_classifier_has_tanh(self, converted_classifier):
        config = BigBirdConfig.from_pretrained(converted_classifier)
        assert config.classifier_act == "tanh"
        assert config.extra["architectures"] == ["BigBirdForSequenceClassification"]

    def test_other_classes_load_it(self, converted):
        ids = np.full((1, 7), 5)
        pretraining = BigBirdForPreTraining.from_pretrained(converted)
        masked_lm = BigBirdForMaskedLM.from_pretrained(converted)
        np.testing.assert_allclose(
            masked_lm(ids), pretraining(ids)["prediction_logits"], rtol=0, atol=1e-6
        )
        with pytest.warns(UserWarning, match=r"qa_classifier.*start from fresh weights"):
            model = BigBirdForQuestionAnswering.from_pretrained(converted)
        hidden = BigBirdModel.from_pretrained(converted)(ids)["last_hidden_state"]
        np.testing.assert_array_equal(
            model.backbone.encode(model._read_inputs({"input_ids": ids}))[0], hidden
        )

    def test_encoder_alone(self, tmp_path):
        prefix = write_checkpoint(committed_variables(), tmp_path / "google")
        convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")
        with pytest.warns(UserWarning, match=r"pooler\.weight.*start from fresh weights"):
            BigBirdModel.from_pretrained(tmp_path / "made")

    def test_masked_lm_without_next_sentence(self, tmp_path):
        variables = committed_variables("pooler", "masked_lm")
        # Where the scope of the head is around its transform.
        for name in ("kernel", "bias", "gamma", "beta"):
            variables[f"cls/predictions/transform/{name}"] = variables.pop(f"transform/{name}")
        prefix = write_checkpoint(variables, tmp_path / "google")
        convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")
        config = BigBirdConfig.from_pretrained(tmp_path / "made")
        assert config.extra["architectures"] == ["BigBirdForMaskedLM"]
        arrays = committed_outputs("pretraining_592")
        model = BigBirdForMaskedLM.from_pretrained(tmp_path / "made")
        logits = model({**model_inputs(arrays), "masked_positions": arrays["masked_lm_positions"]})
        difference = np.abs(tf.nn.log_softmax(logits) - arrays["masked_lm_log_probs"])
        assert difference.max() <= TOLERANCE

    def test_without_biases(self, tmp_path):
        variables = {
            name: array
            for name, array in committed_variables("pooler").items()
            if not ("/attention/" in name and name.endswith("/bias"))
        }
        prefix = write_checkpoint(variables, tmp_path / "google")
        convert_google_checkpoint(prefix, {**SETTINGS, "use_bias": False}, tmp_path / "made")
        model = BigBirdModel.from_pretrained(tmp_path / "made")
        attention = model.encoder.blocks[1].attention
        assert attention.query_dense.bias is None
        np.testing.assert_array_equal(attention.output_dense.bias, np.zeros(32))
        np.testing.assert_array_equal(
            attention.output_dense.kernel,
            variables["bert/encoder/layer_1/attention/output/dense/kernel"],
        )

    def test_half_precision_variables(self, tmp_path):
        variables = {
            name: tf.cast(array, "bfloat16") for name, array in committed_variables().items()
        }
        prefix = write_checkpoint(variables, tmp_path / "google")
        convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")
        with transformers_format.open_tensors(tmp_path / "made") as tensors:
            found = tensors["bert.embeddings.word_embeddings.weight"]
        assert found.dtype == "float32"
        expected = variables["bert/embeddings/word_embeddings"]
        np.testing.assert_array_equal(found, tf.cast(expected, "float32"))

    def test_directory_with_its_latest_checkpoint(self, committed, converted, tmp_path):
        shutil.copytree(committed.parent, tmp_path / "google")
        (tmp_path / "google/checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
        convert_google_checkpoint(tmp_path / "google", SETTINGS, tmp_path / "made")
        ours = (tmp_path / "made/model.safetensors").read_bytes()
        assert ours == (converted / "model.safetensors").read_bytes()


def test_full_output_directory_is_left_alone(committed, tmp_path):
    (tmp_path / "precious.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="new or an empty directory"):
        convert_google_checkpoint(committed, SETTINGS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_interrupted_write_leaves_nothing(committed, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(BigBirdConfig, "save_pretrained", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert_google_checkpoint(committed, SETTINGS, tmp_path / "made")
    assert not list(tmp_path.iterdir())


@pytest.mark.parity
def test_transformers_loads_what_is_converted(converted):
    import torch
    import transformers

    theirs, report = transformers.BigBirdForPreTraining.from_pretrained(
        converted, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ours = BigBirdForPreTraining.from_pretrained(
        converted, inference_random_blocks="first_block", full_attention_up_to=None
    )
    ids = np.random.default_rng(3).integers(1, 128, size=(2, 592))
    found = ours(ids)
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(ids))
    for name in ("prediction_logits", "seq_relationship_logits"):
        difference = np.abs(found[name].numpy() - getattr(expected, name).numpy())
        assert difference.max() <= TOLERANCE
