"""Repositories of `sentence-transformers`: read, written, and the same vectors."""

import json
import warnings

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForQuestionAnswering, BigBirdForSentenceEmbedding, BigBirdModel
from bigbird_tf.checkpoints.sentence_transformers_format import read_options
from bigbird_tf.preprocessing import BigBirdTokenizer
from bigbird_tf.serving import export_saved_model
from bigbird_tf.serving.predictor import load_pretrained
from tests.contract import mask_of, random_ids, randomize, tiny_config
from tests.preprocessing.conftest import train_vocabulary

INPUTS = {"input_ids": random_ids(), "attention_mask": mask_of()}


@pytest.fixture
def model():
    model = BigBirdForSentenceEmbedding(
        tiny_config(num_hidden_layers=1),
        pooling_mode="max",
        normalize=True,
        max_seq_length=23,
        prompt="query: ",
    )
    randomize(model)
    return model


def edit(file, **fields):
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


class TestRoundTrip:
    def test_options_and_weights(self, model, saved):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loaded = BigBirdForSentenceEmbedding.from_pretrained(saved)
            encoder = BigBirdModel.from_pretrained(saved)
        options = (loaded.pooling_mode, loaded.normalize, loaded.max_seq_length, loaded.prompt)
        assert options == ("max", True, 23, "query: ")
        np.testing.assert_allclose(loaded(INPUTS), model(INPUTS), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(encoder.weights[0], model.weights[0])
        assert loaded.config.extra["architectures"] == ["BigBirdModel"]

    def test_given_options_win(self, saved):
        loaded = BigBirdForSentenceEmbedding.from_pretrained(
            saved, pooling_mode="cls", normalize=False, prompt=None, block_size=8
        )
        assert (loaded.pooling_mode, loaded.normalize, loaded.prompt) == ("cls", False, None)
        assert (loaded.max_seq_length, loaded.config.block_size) == (23, 8)
        with pytest.raises(TypeError, match="has no field `pooling_modus`"):
            BigBirdForSentenceEmbedding.from_pretrained(saved, pooling_modus="cls")

    def test_any_checkpoint_of_an_encoder(self, tmp_path):
        BigBirdForQuestionAnswering(tiny_config(num_hidden_layers=1)).save_pretrained(tmp_path)
        with pytest.warns(UserWarning, match=r"This model does not read them") as caught:
            loaded = BigBirdForSentenceEmbedding.from_pretrained(tmp_path)
        assert caught[0].filename == __file__
        assert (loaded.pooling_mode, loaded.normalize, loaded.prompt) == ("mean", False, None)

    def test_command_line_takes_the_class_of_the_modules(self, tmp_path):
        tokenizer = BigBirdTokenizer(train_vocabulary())
        model = BigBirdForSentenceEmbedding(
            tiny_config(num_hidden_layers=0, vocab_size=tokenizer.vocab_size)
        )
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        assert type(load_pretrained(tmp_path)[0]) is BigBirdForSentenceEmbedding
        assert type(load_pretrained(tmp_path, "BigBirdModel")[0]) is BigBirdModel


class TestModules:
    def test_longest_text_of_newer_versions(self, saved):
        (saved / "sentence_bert_config.json").write_text("{}")
        for length, expected in ((37, 37), (10**30, 10**30), (1e30, None), (None, None)):
            (saved / "tokenizer_config.json").write_text(json.dumps({"model_max_length": length}))
            found = read_options(BigBirdForSentenceEmbedding, saved)
            assert found["max_seq_length"] == expected
        # What belongs to the modules comes before what belongs to the tokenizer.
        (saved / "sentence_bert_config.json").write_text('{"max_seq_length": 41}')
        (saved / "tokenizer_config.json").write_text('{"model_max_length": 37}')
        assert read_options(BigBirdForSentenceEmbedding, saved)["max_seq_length"] == 41
        # Cut to what the model reads.
        assert (
            BigBirdForSentenceEmbedding(tiny_config(), max_seq_length=10**30).max_seq_length == 61
        )

    @pytest.mark.parametrize(
        ("pooling", "expected"),
        [
            ({"pooling_mode": "cls"}, "cls"),
            ({"pooling_mode": ["max"]}, "max"),
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
            ({"word_embedding_dimension": 21}, "mean"),
        ],
    )
    def test_forms_of_the_pooling(self, saved, pooling, expected):
        (saved / "1_Pooling/config.json").write_text(json.dumps(pooling))
        modules = json.loads((saved / "modules.json").read_text())
        for module, package in zip(modules, ("base", "sentence_transformer", "base"), strict=True):
            name = module["type"].rpartition(".")[2]
            module["type"] = f"sentence_transformers.{package}.modules.{name.lower()}.{name}"
        (saved / "modules.json").write_text(json.dumps(modules))
        found = read_options(BigBirdForSentenceEmbedding, saved)
        assert (found["pooling_mode"], found["normalize"]) == (expected, True)

    @pytest.mark.parametrize("pooling", [{"pooling_mode": "lasttoken"}, {"pooling_mode": []}])
    def test_other_poolings(self, saved, pooling):
        (saved / "1_Pooling/config.json").write_text(json.dumps(pooling))
        with pytest.raises(ValueError, match="must have one mode: 'mean', 'cls' or 'max'"):
            BigBirdForSentenceEmbedding.from_pretrained(saved)

    def test_several_poolings(self, saved):
        edit(saved / "1_Pooling/config.json", pooling_mode_mean_tokens=True)
        with pytest.raises(ValueError, match=r"Received: 'mean', 'max'.*load it as a BigBirdModel"):
            BigBirdForSentenceEmbedding.from_pretrained(saved)

    def test_modules_that_have_no_place(self, saved):
        modules = json.loads((saved / "modules.json").read_text())
        modules[2]["type"] = "sentence_transformers.models.Dense"
        (saved / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(ValueError, match="Received: Transformer, Pooling, Dense"):
            BigBirdForSentenceEmbedding.from_pretrained(saved)

    def test_settings_that_would_not_be_obeyed(self, saved):
        edit(saved / "sentence_bert_config.json", do_lower_case=True)
        with pytest.raises(ValueError, match="has do_lower_case=True"):
            read_options(BigBirdForSentenceEmbedding, saved)
        edit(saved / "sentence_bert_config.json", do_lower_case=False)
        edit(saved / "1_Pooling/config.json", include_prompt=False)
        with pytest.raises(ValueError, match="has include_prompt=False"):
            read_options(BigBirdForSentenceEmbedding, saved)

    @pytest.mark.parametrize("text", ['[{"path": ""}]', '[["a"]]', '{"a": 1}'])
    def test_modules_that_are_no_list(self, saved, text):
        (saved / "modules.json").write_text(text)
        with pytest.raises(ValueError, match="is no list of modules"):
            read_options(BigBirdForSentenceEmbedding, saved)

    @pytest.mark.parametrize("path", ["../out", "/etc", "a/../../out", "C:\\out", "a\\..\\b", 5])
    def test_folders_that_lead_out(self, saved, path):
        modules = json.loads((saved / "modules.json").read_text())
        modules[1]["path"] = path
        (saved / "modules.json").write_text(json.dumps(modules))
        (saved.parent / "out").mkdir()
        (saved.parent / "out/config.json").write_text('{"pooling_mode": "cls"}')
        with pytest.raises(ValueError, match=r"must name folders within it, such as '1_Pooling'"):
            read_options(BigBirdForSentenceEmbedding, saved)

    @pytest.mark.parametrize(
        ("name", "text", "match"),
        [
            ("sentence_bert_config.json", "[1]", r"bert_config\.json must be a JSON object.*list"),
            ("1_Pooling/config.json", "null", r"config\.json must be a JSON object.*NoneType"),
            ("1_Pooling/config.json", '{"pooling_mode": 5}', "must have one mode.*Received: 5"),
            ("config_sentence_transformers.json", '{"prompts": [1]}', r"`prompts`.*\[1\]"),
            (
                "config_sentence_transformers.json",
                '{"prompts": {"a": 3}, "default_prompt_name": "a"}',
                "must be texts. Received: 3",
            ),
        ],
    )
    def test_settings_of_other_types(self, saved, name, text, match):
        (saved / name).write_text(text)
        with pytest.raises(ValueError, match=match):
            read_options(BigBirdForSentenceEmbedding, saved)


TEXTS = [
    "A bird sings.",
    "the river house of eleven birds",
    # Attention is sparse, and the text is cut off.
    " ".join(f"stone {i} bigger window sings" for i in range(23)),
]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
class TestSentenceTransformers:
    """Live: both directions, strings in and vectors out."""

    TOLERANCE = 1e-4

    @pytest.fixture(scope="class")
    @classmethod
    def tokenizer(cls):
        # The pieces and ids that `transformers` expects of BigBird.
        return BigBirdTokenizer(train_vocabulary())

    def make(self, tokenizer, directory, **options):
        config = tiny_config(
            num_hidden_layers=1,
            vocab_size=tokenizer.vocab_size,
            max_position_embeddings=100,
            sep_token_id=tokenizer.sep_token_id,
            inference_random_blocks="first_block",
            random_plan="transformers",
        )
        model = BigBirdForSentenceEmbedding(config, **options)
        randomize(model)
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        return model

    def served(self, model, tokenizer, path):
        folder = export_saved_model(model, path, tokenizer)
        run = tf.saved_model.load(str(folder)).signatures["serving_default"]
        outputs = run(text=tf.constant(TEXTS))
        assert set(outputs) == {"sentence_embedding"}
        return outputs["sentence_embedding"].numpy()

    @pytest.mark.parametrize(
        "options",
        [
            {"pooling_mode": "mean", "normalize": True, "prompt": "the river: "},
            {"pooling_mode": "max", "max_seq_length": 61},
            {"pooling_mode": "cls"},
        ],
        ids=["mean", "max", "cls"],
    )
    def test_ours_loads_there(self, tokenizer, tmp_path, options):
        from sentence_transformers import SentenceTransformer

        model = self.make(tokenizer, tmp_path / "ours", **options)
        theirs = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
        # One by one: a short text turns `transformers` to full attention for good.
        expected = []
        for text in TEXTS:
            theirs[0].auto_model.set_attention_type("block_sparse")
            expected.append(theirs.encode([text])[0])
        found = self.served(model, tokenizer, tmp_path / "served")
        assert np.abs(found - np.stack(expected)).max() <= self.TOLERANCE
        # What they save loads here.
        theirs.save(str(tmp_path / "theirs"))
        loaded = BigBirdForSentenceEmbedding.from_pretrained(
            tmp_path / "theirs",
            inference_random_blocks="first_block",
            random_plan="transformers",
        )
        again = self.served(loaded, tokenizer, tmp_path / "again")
        assert np.abs(again - found).max() <= 1e-6
