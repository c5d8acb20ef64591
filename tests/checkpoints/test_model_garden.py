"""The Model Garden's encoders convert, and give the same numbers, live."""

import warnings

import numpy as np
import pytest

from bigbird_tf.attention import BlockPattern
from bigbird_tf.checkpoints import convert_model_garden_encoder
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import BigBirdModel

TOLERANCE = 1e-4
VOCABULARY, HEADS, WIDTH, BLOCK = 53, 3, 21, 16


class TestOtherModels:
    """Needs no Model Garden: what is no BigBird is refused."""

    @pytest.mark.parametrize("encoder", [None, "a path"])
    def test_no_model(self, encoder, tmp_path):
        with pytest.raises(ValueError, match=r"must be a BigBird encoder of the Model Garden"):
            convert_model_garden_encoder(encoder, tmp_path / "made")

    def test_our_own_model(self, tmp_path):
        config = BigBirdConfig(
            vocab_size=7, hidden_size=6, num_attention_heads=2, num_hidden_layers=1
        )
        with pytest.raises(ValueError, match="Received: BigBirdModel"):
            convert_model_garden_encoder(BigBirdModel(config), tmp_path / "made")
        assert not list(tmp_path.iterdir())

    def test_full_output_directory_is_left_alone(self, tmp_path):
        (tmp_path / "precious.txt").write_text("precious")
        with pytest.raises(FileExistsError, match="new or an empty directory"):
            convert_model_garden_encoder(None, tmp_path)


def import_garden():
    with warnings.catch_warnings():
        # Of the Model Garden's own imports, among them SWIG's and TensorFlow Addons'.
        warnings.simplefilter("ignore")
        from official.nlp.configs import encoders
        from official.projects.bigbird import encoder
    return encoders, encoder


def fill(encoder, seed=5):
    """Sets all weights to values that matter."""
    rng = np.random.default_rng(seed)
    for weight in encoder.weights:
        values = rng.normal(size=weight.shape)
        if "gamma" in weight.name:
            values = 1 + 0.2 * values
        elif "embeddings" not in weight.name:
            values *= 0.3
        weight.assign(values)


def make_encoder(**options):
    _, encoder = import_garden()
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_layers": 2,
        "num_attention_heads": HEADS,
        "intermediate_size": 13,
        "block_size": BLOCK,
        "num_rand_blocks": 3,
        "max_position_embeddings": 4096,
        "type_vocab_size": 5,
    }
    with warnings.catch_warnings():
        # One initializer for all weights, which are filled anyway.
        warnings.filterwarnings("ignore", message=".*is unseeded.*")
        made = encoder.BigBirdEncoder(**{**settings, **options})
    fill(made)
    return made


def make_inputs(length):
    rng = np.random.default_rng(length)
    mask = np.ones((2, length), np.int32)
    mask[1, length - 37 :] = 0
    return {
        "input_ids": rng.integers(1, VOCABULARY, size=(2, length)).astype("int32"),
        "attention_mask": mask,
        "token_type_ids": rng.integers(0, 5, size=(2, length)).astype("int32"),
    }


def run_theirs(encoder, inputs):
    names = ("input_ids", "attention_mask", "token_type_ids")
    return encoder([inputs[name] for name in names])


def largest_difference(encoder, directory, length):
    inputs = make_inputs(length)
    expected = run_theirs(encoder, inputs)["sequence_output"].numpy()
    found = BigBirdModel.from_pretrained(directory)(inputs)["last_hidden_state"].numpy()
    return np.abs(found - expected).max()


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


@pytest.fixture(scope="module")
def converted(encoder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("garden") / "made"
    convert_model_garden_encoder(encoder, directory)
    return directory


@pytest.mark.parity
# A `BigBirdEncoder` has no pooler, and every load here says so.
@pytest.mark.filterwarnings("ignore:.*pooler.weight.*start from fresh weights:UserWarning")
class TestEncoder:
    # Padded rows included: both give zero context there.
    @pytest.mark.parametrize("length", [1024, 2048, 3072, 4096])
    def test_outputs(self, encoder, converted, length):
        assert largest_difference(encoder, converted, length) <= TOLERANCE

    def test_config(self, converted):
        config = BigBirdConfig.from_pretrained(converted)
        assert (config.vocab_size, config.type_vocab_size) == (VOCABULARY, 5)
        assert (config.hidden_size, config.num_attention_heads) == (WIDTH, HEADS)
        assert (config.num_hidden_layers, config.intermediate_size) == (2, 13)
        assert (config.block_size, config.num_random_blocks) == (BLOCK, 3)
        assert (config.hidden_act, config.layer_norm_eps) == ("gelu_new", 1e-12)
        assert (config.random_plan, config.full_attention_up_to) == ("google", 176)
        assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.1)

    @pytest.mark.parametrize("layer", [0, 1])
    def test_tables_are_equal_where_outputs_are(self, encoder, layer):
        theirs = encoder.transformer_layers[layer]._attention_layer.rand_attn.numpy()
        for length in (1024, 2048, 3072, 4096):
            ours = BlockPattern.build(length // BLOCK, HEADS, block_size=BLOCK, seed=layer)
            rows = length // BLOCK - 2
            np.testing.assert_array_equal(ours.random_blocks, theirs[:, :rows])

    def test_other_lengths_differ_by_design(self, encoder, converted):
        """Their table is cut from the one for 4096; Google's code draws for 1536 by itself."""
        theirs = encoder.transformer_layers[0]._attention_layer.rand_attn.numpy()
        ours = BlockPattern.build(1536 // BLOCK, HEADS, block_size=BLOCK, seed=0).random_blocks
        assert (ours != theirs[:, : ours.shape[1]]).any()
        assert largest_difference(encoder, converted, 1536) > 100 * TOLERANCE

    def test_short_sequences_work_here_only(self, encoder, converted):
        import tensorflow as tf

        inputs = make_inputs(512)
        with pytest.raises(tf.errors.InvalidArgumentError, match="indices"):
            run_theirs(encoder, inputs)
        outputs = BigBirdModel.from_pretrained(converted)(inputs)
        assert np.isfinite(outputs["last_hidden_state"]).all()

    def test_large_blocks_are_sparse_where_theirs_are(self, tmp_path):
        # (5 + 2 * 3) * 128 is over 1024, the shortest length of theirs.
        encoder = make_encoder(block_size=128, num_layers=1)
        convert_model_garden_encoder(encoder, tmp_path / "made")
        assert largest_difference(encoder, tmp_path / "made", 1024) <= TOLERANCE

    def test_fewer_positions(self, tmp_path):
        encoder = make_encoder(max_position_embeddings=1024, num_rand_blocks=2, activation="relu")
        convert_model_garden_encoder(encoder, tmp_path / "made")
        config = BigBirdConfig.from_pretrained(tmp_path / "made")
        assert (config.random_plan, config.hidden_act) == ("transformers", "relu")
        assert largest_difference(encoder, tmp_path / "made", 1024) <= TOLERANCE

    def test_positions_without_a_plan_of_ours(self, tmp_path):
        encoder = make_encoder(max_position_embeddings=2048, num_layers=1)
        with pytest.warns(UserWarning, match="outputs at that length differ") as caught:
            convert_model_garden_encoder(encoder, tmp_path / "made")
        assert caught[0].filename == __file__
        assert largest_difference(encoder, tmp_path / "made", 1024) <= TOLERANCE
        assert largest_difference(encoder, tmp_path / "made", 2048) > 100 * TOLERANCE

    def test_gradient_checkpointing(self, encoder, tmp_path, monkeypatch):
        import tf_keras

        # The Model Garden replaces this class for the whole process.
        monkeypatch.setattr(tf_keras.layers, "Dropout", tf_keras.layers.Dropout)
        recomputing = make_encoder(use_gradient_checkpointing=True)
        convert_model_garden_encoder(recomputing, tmp_path / "made")
        assert largest_difference(encoder, tmp_path / "made", 1024) <= TOLERANCE


@pytest.mark.parity
class TestScaffold:
    """What `build_encoder` makes: the same layers in another frame, with a pooler."""

    def make(self, **options):
        encoders, _ = import_garden()
        config = encoders.EncoderConfig(type="bigbird")
        settings = {
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "num_layers": 2,
            "num_attention_heads": HEADS,
            "intermediate_size": 13,
            "block_size": BLOCK,
            "type_vocab_size": 5,
        }
        config.bigbird.override({**settings, **options})
        made = encoders.build_encoder(config)
        fill(made)
        return made

    def test_outputs(self, tmp_path):
        encoder = self.make()
        convert_model_garden_encoder(encoder, tmp_path / "made")
        inputs = make_inputs(1024)
        expected = run_theirs(encoder, inputs)
        found = BigBirdModel.from_pretrained(tmp_path / "made")(inputs)
        for ours, theirs in (
            ("last_hidden_state", "sequence_output"),
            ("pooler_output", "pooled_output"),
        ):
            difference = np.abs(found[ours].numpy() - expected[theirs].numpy())
            assert difference.max() <= TOLERANCE, ours

    def test_normalisation_first(self, tmp_path):
        with pytest.raises(ValueError, match="norm_first=True"):
            convert_model_garden_encoder(self.make(norm_first=True), tmp_path / "made")
        assert not list(tmp_path.iterdir())


@pytest.mark.parity
class TestMisfits:
    def test_narrow_embeddings(self, tmp_path):
        encoder = make_encoder(embedding_width=11)
        with pytest.raises(ValueError, match="embedding_width=11, hidden_size=21"):
            convert_model_garden_encoder(encoder, tmp_path / "made")

    def test_unknown_activation(self, tmp_path):
        encoder = make_encoder(activation="softsign")
        with pytest.raises(ValueError, match=r"activation must be one of .* Received: 'softsign'"):
            convert_model_garden_encoder(encoder, tmp_path / "made")

    def test_seeds_that_are_not_the_layers(self, tmp_path):
        encoder = make_encoder()
        encoder.transformer_layers[1]._attention_layer._seed = 7
        with pytest.raises(ValueError, match=r"seeds: \[0, 7\]"):
            convert_model_garden_encoder(encoder, tmp_path / "made")

    def test_encoder_of_another_kind(self, tmp_path):
        encoders, _ = import_garden()
        config = encoders.EncoderConfig(type="bert")
        config.bert.override({"vocab_size": 7, "hidden_size": 6, "num_layers": 1})
        config.bert.override({"num_attention_heads": 2, "intermediate_size": 5})
        with pytest.raises(ValueError, match="must be a BigBird encoder of the Model Garden"):
            convert_model_garden_encoder(encoders.build_encoder(config), tmp_path / "made")
