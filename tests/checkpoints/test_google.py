"""Google's checkpoints convert, and give the numbers of Google's code."""

import json
import shutil

import keras
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
SPARSE_FILES = (
    "length512_block16_rand3",
    "length592_block16_rand3",
    "length700_block16_rand3",
    "length768_block16_rand3",
    "length768_block64_rand3",
    "length1020_block16_rand3",
    "length1024_block16_rand1",
    "length1024_block16_rand3",
    "length1024_block64_rand3",
    "length2048_block16_rand3",
    "length4096_block16_rand3",
)
DENSE_FILES = (
    ("original_full", "length768_block16_rand3"),
    ("original_full", "length1024_block16_rand3"),
    ("simulated_sparse", "length768_block16_rand3"),
    ("simulated_sparse", "length1024_block16_rand3"),
    ("simulated_sparse", "length4096_block16_rand3"),
)


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


@pytest.fixture(scope="module")
def converted_fixture(google_fixtures, tmp_path_factory):
    """The whole checkpoint of the fixtures, with positions for 4096 tokens."""
    directory = tmp_path_factory.mktemp("fixture") / "google"
    folder = google_fixtures / "bert_block_sparse"
    convert_google_checkpoint(folder / "model.ckpt", folder / "config.json", directory)
    return directory


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


class TestFixtures:
    """Parity with all that Google's code gave, at every length."""

    @pytest.mark.parametrize("name", SPARSE_FILES)
    def test_block_sparse(self, google_fixtures, converted_fixture, name):
        arrays = load_arrays(google_fixtures / f"bert_block_sparse/{name}.npz")
        assert_outputs_match(converted_fixture, arrays)

    @pytest.mark.parametrize(("attention_type", "name"), DENSE_FILES)
    def test_dense(self, google_fixtures, converted_fixture, attention_type, name):
        arrays = load_arrays(google_fixtures / f"bert_{attention_type}/{name}.npz")
        assert_outputs_match(converted_fixture, arrays, attention_type)

    def test_no_output_file_is_left_out(self, google_fixtures):
        tested = {f"bert_block_sparse/{name}.npz" for name in SPARSE_FILES}
        tested |= {f"bert_{kind}/{name}.npz" for kind, name in DENSE_FILES}
        found = google_fixtures.glob("bert_*/length*.npz")
        assert {str(file.relative_to(google_fixtures)) for file in found} == tested

    def test_classifier(self, google_fixtures, tmp_path):
        folder = google_fixtures / "classifier"
        convert_google_checkpoint(folder / "model.ckpt", folder / "config.json", tmp_path / "made")
        arrays = load_arrays(folder / "length1024_block16_rand3.npz")
        assert_classifier_matches(tmp_path / "made", arrays)
        pooled = BigBirdModel.from_pretrained(tmp_path / "made")(model_inputs(arrays))
        difference = np.abs(pooled["pooler_output"].numpy() - arrays["pooled_output"])
        assert difference.max() <= TOLERANCE

    @pytest.mark.parametrize("loss_name", ["mean_square", "pretraining"])
    def test_gradients(self, google_fixtures, converted_fixture, loss_name):
        folder = google_fixtures / "bert_block_sparse_gradients"
        arrays = load_arrays(folder / "inputs.npz")
        expected = load_arrays(folder / f"gradients_{loss_name}.npz")
        config = google.config_from_google(folder / "config.json")
        model = BigBirdForPreTraining.from_pretrained(converted_fixture)
        with tf.GradientTape() as tape:
            if loss_name == "mean_square":
                inputs = model._read_inputs(model_inputs(arrays))
                loss = tf.reduce_mean(model.backbone.encode(inputs)[0] ** 2)
                expected_loss = arrays["mean_square_loss"]
            else:
                _, masked_lm_loss, _, next_sentence_loss = pretraining_losses(model, arrays)
                loss = masked_lm_loss + next_sentence_loss
                expected_loss = arrays["pretraining_loss"]
        assert abs(loss - expected_loss) <= TOLERANCE

        heads = {
            "pooler": "bert/pooler/dense",
            "predictions": "cls/predictions",
            "transform": "transform",
            "seq_relationship": "cls/seq_relationship",
        }
        table = transformers_format.tensor_table(model)
        weights, names, is_transposed = [], [], []
        for variable in google._list_variables(config, "bert", heads):
            entry = table[variable.name]
            weights.append(getattr(entry.layer, entry.attribute).value)
            names.append(variable.variable)
            # Ours are [in, out] as Google's, except where Google's own are not.
            is_transposed.append(entry.is_transposed and not variable.is_transposed)
        gradients = tape.gradient(loss, weights)
        reached = set()
        for name, transpose, gradient in zip(names, is_transposed, gradients, strict=True):
            if gradient is None:
                continue
            reached.add(name)
            gradient = tf.convert_to_tensor(gradient).numpy()
            gradient = gradient.T if transpose else gradient
            # Gradients of key biases are rounding, hence the absolute part.
            allowed = 1e-4 * np.abs(expected[name]).max() + 1e-6
            assert np.abs(gradient - expected[name]).max() <= allowed, name
        assert reached == set(expected)

    def test_random_block_tables(self, google_fixtures):
        tables = load_arrays(google_fixtures / "pattern/rand_attn.npz")
        assert len(tables) > 200
        for key, expected in tables.items():
            np.testing.assert_array_equal(build_pattern(key).random_blocks, expected, key)

    def test_settings_that_google_cannot_build_raise(self, google_fixtures):
        raises = json.loads((google_fixtures / "pattern/raises.json").read_text())
        assert raises
        for key in raises:
            with pytest.raises(ValueError, match="too short for its random blocks"):
                build_pattern(key)

    @pytest.mark.parametrize("name", ["pegasus", "coupled_encoder_decoder"])
    def test_encoder_decoders_are_refused(self, google_fixtures, tmp_path, name):
        folder = google_fixtures / name
        with pytest.raises(ValueError, match="encoder-decoder"):
            convert_google_checkpoint(
                folder / "model.ckpt", folder / "config.json", tmp_path / "made"
            )
        # The variables alone tell it, too.
        with pytest.raises(ValueError, match=r"encoder-decoder: it has .*encdec"):
            convert_google_checkpoint(folder / "model.ckpt", SETTINGS, tmp_path / "made")
        assert not list(tmp_path.iterdir())


def build_pattern(key):
    """Builds the pattern for a key such as `length704_block16_rand3_heads2_seed1`."""
    sizes = {}
    for part in key.split("_"):
        name = part.rstrip("0123456789")
        sizes[name] = int(part.removeprefix(name))
    return BlockPattern.build(
        sizes["length"] // sizes["block"],
        sizes["heads"],
        block_size=sizes["block"],
        num_random_blocks=sizes["rand"],
        seed=sizes["seed"],
    )


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


class TestMisfits:
    """Each is a clear error, and nothing is written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, tmp_path):
        yield
        assert {path.name for path in tmp_path.iterdir()} <= {"google", "settings.json"}

    def convert(self, variables, tmp_path, **settings):
        prefix = write_checkpoint(variables, tmp_path / "google")
        convert_google_checkpoint(prefix, {**SETTINGS, **settings}, tmp_path / "made")

    def test_missing_variable(self, tmp_path):
        variables = committed_variables("pooler")
        del variables["bert/encoder/layer_1/attention/self/value/kernel"]
        with pytest.raises(ValueError, match="missing: bert/encoder/layer_1/attention/self/value"):
            self.convert(variables, tmp_path)

    def test_half_a_head(self, tmp_path):
        variables = committed_variables("masked_lm")
        del variables["transform/gamma"], variables["cls/predictions/output_bias"]
        expected = "missing: cls/predictions/output_bias, transform/gamma$"
        with pytest.raises(ValueError, match=expected):
            self.convert(variables, tmp_path)

    def test_classifier_without_pooler(self, tmp_path):
        expected = "missing: bert/pooler/dense/bias, bert/pooler/dense/kernel$"
        with pytest.raises(ValueError, match=expected):
            self.convert(committed_variables("classifier"), tmp_path)

    def test_unexpected_variables(self, tmp_path):
        # One layer fewer in the config than in the checkpoint.
        with pytest.raises(ValueError, match=r"unexpected: bert/encoder/layer_1/.* and \d+ more$"):
            self.convert(committed_variables(), tmp_path, num_hidden_layers=1)

    def test_misshapen_variable(self, tmp_path):
        expected = (
            r"of wrong shape: bert/embeddings/position_embeddings is \(1024, 32\), the config "
            r"makes it \(4096, 32\)"
        )
        with pytest.raises(ValueError, match=expected):
            self.convert(committed_variables(), tmp_path, max_position_embeddings=4096)

    def test_all_problems_at_once(self, tmp_path):
        with pytest.raises(ValueError, match=r"missing: .*; variables of wrong shape: "):
            self.convert(committed_variables(), tmp_path, num_hidden_layers=3, type_vocab_size=3)

    def test_other_number_of_labels(self, tmp_path):
        with pytest.raises(ValueError, match=r"bert/classifier/bias is \(2,\), .* \(5,\)"):
            self.convert(committed_variables("pooler", "classifier"), tmp_path, num_labels=5)

    def test_no_checkpoint(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no file .*nowhere/model\.ckpt\.index"):
            convert_google_checkpoint(tmp_path / "nowhere/model.ckpt", SETTINGS, tmp_path / "made")

    def test_directory_without_checkpoint(self, tmp_path):
        (tmp_path / "google").mkdir()
        with pytest.raises(FileNotFoundError, match="names no checkpoint"):
            convert_google_checkpoint(tmp_path / "google", SETTINGS, tmp_path / "made")

    @pytest.mark.parametrize("file", ["model.ckpt.index", "model.ckpt.data-00000-of-00001"])
    def test_truncated_file(self, tmp_path, file):
        prefix = write_checkpoint(committed_variables(), tmp_path / "google")
        damaged = prefix.parent / file
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
        with pytest.raises(ValueError, match="not a whole TensorFlow checkpoint"):
            convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")

    def test_object_based_checkpoint(self, tmp_path):
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
        prefix = tf.train.Checkpoint(model=model).write(str(tmp_path / "google/ckpt"))
        with pytest.raises(ValueError, match="object-based"):
            convert_google_checkpoint(prefix, SETTINGS, tmp_path / "made")

    def test_checkpoint_of_something_else(self, tmp_path):
        variables = {"resnet/conv/kernel": np.ones((3, 3), np.float32)}
        with pytest.raises(ValueError, match=r"has 0. It has: resnet/conv/kernel"):
            self.convert(variables, tmp_path)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"norm_type": "prenorm"}, "norm_type='prenorm'"),
            ({"hidden_act": "swish"}, "hidden_act='swish'"),
            ({"max_decoder_length": 5}, "encoder-decoder"),
            ({"block_size": 0}, "block_size=0"),
            ({"model_type": "big_bird"}, "a config of `transformers`"),
        ],
    )
    def test_settings_of_other_models(self, tmp_path, settings, message):
        with pytest.raises(ValueError, match=message):
            self.convert(committed_variables(), tmp_path, **settings)

    def test_settings_of_another_type(self, tmp_path):
        with pytest.raises(ValueError, match="Received: list"):
            convert_google_checkpoint("any", [SETTINGS], tmp_path / "made")

    def test_settings_without_sizes(self, tmp_path):
        prefix = write_checkpoint(committed_variables(), tmp_path / "google")
        with pytest.raises(ValueError, match="lacks: vocab_size, hidden_size"):
            convert_google_checkpoint(prefix, {"num_hidden_layers": 2}, tmp_path / "made")

    @pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("3", "JSON object")])
    def test_settings_file_that_is_none(self, tmp_path, text, message):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            convert_google_checkpoint("any", tmp_path / "settings.json", tmp_path / "made")


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
