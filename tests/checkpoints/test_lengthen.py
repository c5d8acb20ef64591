"""BERT and RoBERTa become BigBirds: longer positions, and the same outputs where both can read."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import bigbird_tf.models
from bigbird_tf.checkpoints import lengthen
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import (
    BigBirdForMaskedLM,
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from tests.contract import randomize, tiny_config

TOLERANCE = 1e-5
LONGEST = 19
ROBERTA_OFFSET = 2


def make_original(make, model_type, **more):
    """Makes a model that computes what the BERT of these weights computes, since it is short."""
    fields = {"hidden_act": "gelu", "max_position_embeddings": LONGEST}
    fields["id2label"] = {0: "no", 1: "maybe", 2: "yes"}
    if model_type == "roberta":
        fields.update(type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1)
    if make is BigBirdForSequenceClassification:
        fields["classifier_act"] = "tanh"
    original = make(tiny_config(**fields, **more, attention_type="original_full"))
    randomize(original)
    return original


def write_bert(original, directory, *, legacy=False):
    """Writes its weights by BERT's names."""
    original.save_pretrained(directory)
    tensors = {}
    for name, array in load_file(directory / "model.safetensors").items():
        name = name.replace("pooler.", "pooler.dense.")
        if legacy:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[name] = array
    if legacy:
        tensors["bert.embeddings.position_ids"] = np.arange(LONGEST)[None]
    write(directory, tensors, original, "bert")


def write_roberta(original, directory):
    """Writes its weights by RoBERTa's names, with the two positions that stand before."""
    original.save_pretrained(directory)
    names = {
        "bert.": "roberta.",
        "pooler.": "pooler.dense.",
        "cls.predictions.transform.dense": "lm_head.dense",
        "cls.predictions.transform.LayerNorm": "lm_head.layer_norm",
        "cls.predictions.bias": "lm_head.bias",
    }
    tensors = {}
    for name, array in load_file(directory / "model.safetensors").items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        if "position_embeddings" in name:
            array = np.concatenate([np.full((ROBERTA_OFFSET, array.shape[1]), 99.0), array])
        tensors[name] = array.astype(np.float32)
    write(directory, tensors, original, "roberta")


def write(directory, tensors, original, model_type):
    save_file(tensors, directory / "model.safetensors")
    settings = json.loads((directory / "config.json").read_text())
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act")
    kept += ("intermediate_size", "type_vocab_size", "layer_norm_eps", "pad_token_id")
    kept += ("id2label", "label2id", "hidden_dropout_prob", "initializer_range")
    theirs = {name: settings[name] for name in kept if name in settings}
    offset = ROBERTA_OFFSET if model_type == "roberta" else 0
    theirs.update(
        model_type=model_type,
        max_position_embeddings=LONGEST + offset,
        architectures=[
            type(original).__name__.replace("BigBird", {"bert": "Bert"}.get(model_type, "Roberta"))
        ],
    )
    (directory / "config.json").write_text(json.dumps(theirs))


def edit_config(directory, **fields):
    file = directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def edit_tensors(directory, edit):
    tensors = load_file(directory / "model.safetensors")
    edit(tensors)
    save_file(tensors, directory / "model.safetensors")


def assert_same_outputs(found, expected, tolerance=TOLERANCE):
    if not isinstance(expected, dict):
        found, expected = {"logits": found}, {"logits": expected}
    for name, output in expected.items():
        difference = np.abs(np.asarray(found[name]) - np.asarray(output))
        assert difference.max() <= tolerance, name


@pytest.fixture
def bert(tmp_path):
    original = make_original(BigBirdModel, "bert")
    write_bert(original, tmp_path / "bert")
    return tmp_path / "bert"


IDS = np.array([[2, 7, 1, 8, 28, 18, 28, 45, 9, 0, 4, 5, 23, 5, 36, 0, 28, 7, 47]])


class TestLengthen:
    @pytest.mark.parametrize("model_type", ["bert", "roberta"])
    @pytest.mark.parametrize("make", [BigBirdModel, BigBirdForMaskedLM])
    def test_same_outputs(self, make, model_type, tmp_path):
        original = make_original(make, model_type)
        {"bert": write_bert, "roberta": write_roberta}[model_type](original, tmp_path / "short")
        lengthen(tmp_path / "short", 61, output_dir=tmp_path / "long")
        long = make.from_pretrained(tmp_path / "long", attention_type="original_full")
        assert_same_outputs(long(IDS), original(IDS))
        assert long(np.full((1, 61), 3)) is not None

    def test_positions_are_repeated(self, bert, tmp_path):
        lengthen(bert, 2 * LONGEST + 3, output_dir=tmp_path / "long")
        short = load_file(bert / "model.safetensors")["embeddings.position_embeddings.weight"]
        tensors = load_file(tmp_path / "long/model.safetensors")
        long = tensors["bert.embeddings.position_embeddings.weight"]
        assert long.shape == (2 * LONGEST + 3, 21)
        for start in (0, LONGEST):
            np.testing.assert_array_equal(long[start : start + LONGEST], short)
        np.testing.assert_array_equal(long[2 * LONGEST :], short[:3])

    def test_default_length(self, bert, tmp_path):
        lengthen(bert, output_dir=tmp_path / "long")
        config = BigBirdConfig.from_pretrained(tmp_path / "long")
        assert config.max_position_embeddings == 4096
        assert (config.attention_type, config.block_size) == ("block_sparse", 64)
        assert config.hidden_act == "gelu"

    def test_config_overrides(self, bert, tmp_path):
        options = {"block_size": 4, "num_random_blocks": 1, "sep_token_id": 5}
        lengthen(bert, 61, output_dir=tmp_path / "long", **options)
        config = BigBirdConfig.from_pretrained(tmp_path / "long")
        assert (config.block_size, config.num_random_blocks, config.sep_token_id) == (4, 1, 5)
        # Sparse attention at a length that the original could not read.
        outputs = BigBirdModel.from_pretrained(tmp_path / "long")(np.full((1, 61), 3))
        assert np.isfinite(outputs["last_hidden_state"]).all()

    def test_special_tokens(self, bert, tmp_path):
        lengthen(bert, 61, output_dir=tmp_path / "long")
        config = BigBirdConfig.from_pretrained(tmp_path / "long")
        assert (config.bos_token_id, config.eos_token_id, config.sep_token_id) == (None,) * 3
        with pytest.raises(ValueError, match="needs `sep_token_id`"):
            BigBirdForQuestionAnswering(config)

    def test_special_tokens_of_roberta(self, tmp_path):
        write_roberta(make_original(BigBirdModel, "roberta"), tmp_path / "short")
        lengthen(tmp_path / "short", 61, output_dir=tmp_path / "long")
        config = BigBirdConfig.from_pretrained(tmp_path / "long")
        ids = (config.pad_token_id, config.bos_token_id, config.eos_token_id, config.sep_token_id)
        assert ids == (1, 0, 2, 2)
        assert (config.type_vocab_size, config.layer_norm_eps) == (1, 1e-5)

    def test_legacy_names(self, tmp_path):
        original = make_original(BigBirdForMaskedLM, "bert")
        write_bert(original, tmp_path / "short", legacy=True)
        lengthen(tmp_path / "short", 61, output_dir=tmp_path / "long")
        long = BigBirdForMaskedLM.from_pretrained(tmp_path / "long", attention_type="original_full")
        assert_same_outputs(long(IDS), original(IDS))

    def test_copies_of_tied_weights(self, tmp_path):
        original = make_original(BigBirdForMaskedLM, "bert")
        write_bert(original, tmp_path / "short")

        def copy(tensors):
            words = tensors["bert.embeddings.word_embeddings.weight"]
            tensors["cls.predictions.decoder.weight"] = words.copy()
            # As versions of `transformers` differ in which of the two they store.
            tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")

        edit_tensors(tmp_path / "short", copy)
        lengthen(tmp_path / "short", 61, output_dir=tmp_path / "long")
        long = BigBirdForMaskedLM.from_pretrained(tmp_path / "long", attention_type="original_full")
        assert_same_outputs(long(IDS), original(IDS))

    def test_untied_decoder(self, tmp_path):
        original = make_original(BigBirdForMaskedLM, "bert", tie_word_embeddings=False)
        write_bert(original, tmp_path / "short")
        lengthen(tmp_path / "short", 61, output_dir=tmp_path / "long")
        long = BigBirdForMaskedLM.from_pretrained(tmp_path / "long", attention_type="original_full")
        assert not long.config.tie_word_embeddings
        assert_same_outputs(long(IDS), original(IDS))

    def test_sequence_classifier_of_bert(self, tmp_path):
        """BERT's head is one layer on its pooler, which is inside of BigBird's head."""
        original = make_original(BigBirdForSequenceClassification, "bert")
        write_bert(original, tmp_path / "short")

        def edit(tensors):
            for kind in ("weight", "bias"):
                pooler = tensors.pop(f"classifier.dense.{kind}")
                tensors[f"bert.pooler.dense.{kind}"] = pooler
                tensors[f"classifier.{kind}"] = tensors.pop(f"classifier.out_proj.{kind}")

        edit_tensors(tmp_path / "short", edit)
        lengthen(tmp_path / "short", 61, output_dir=tmp_path / "long")
        long = BigBirdForSequenceClassification.from_pretrained(
            tmp_path / "long", attention_type="original_full"
        )
        assert long.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
        assert_same_outputs(long(IDS), original(IDS))

    def test_head_that_big_bird_does_not_have(self, bert, tmp_path):
        def edit(tensors):
            for name in list(tensors):
                tensors[f"bert.{name}"] = tensors.pop(name)
            tensors["qa_outputs.weight"] = np.ones((2, 21), np.float32)

        edit_tensors(bert, edit)
        edit_config(bert, architectures=["BertForQuestionAnswering"])
        with pytest.warns(UserWarning, match=r"no place for the head qa_outputs\.weight") as caught:
            lengthen(bert, 61, output_dir=tmp_path / "long")
        assert caught[0].filename == __file__
        config = BigBirdConfig.from_pretrained(tmp_path / "long")
        assert config.extra["architectures"] == ["BigBirdModel"]


class TestMisfits:
    """Each is a clear error, and nothing is written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, tmp_path):
        yield
        assert not (tmp_path / "long").exists()

    def lengthen(self, bert, length=61, **options):
        lengthen(bert, length, output_dir=bert.parent / "long", **options)

    @pytest.mark.parametrize("length", [LONGEST - 1, 0, -3, 61.0, "61", True])
    def test_length(self, bert, length):
        expected = rf"`max_position_embeddings` must be an integer, {LONGEST} .*Received: .*"
        with pytest.raises(ValueError, match=expected):
            self.lengthen(bert, length)

    @pytest.mark.parametrize("model_type", ["big_bird", "gpt2", None])
    def test_other_models(self, bert, model_type):
        edit_config(bert, model_type=model_type)
        with pytest.raises(ValueError, match=f"'bert', 'roberta'. Received: .*{model_type!r}"):
            self.lengthen(bert)

    @pytest.mark.parametrize(
        "fields",
        [
            {"is_decoder": True},
            {"add_cross_attention": True},
            {"position_embedding_type": "relative_key"},
        ],
    )
    def test_no_plain_encoder(self, bert, fields):
        edit_config(bert, **fields)
        with pytest.raises(ValueError, match="encoder with absolute positions"):
            self.lengthen(bert)

    def test_unknown_activation(self, bert):
        edit_config(bert, hidden_act="xielu")
        with pytest.raises(ValueError, match="hidden_act='xielu'"):
            self.lengthen(bert)

    def test_config_that_is_no_json(self, bert):
        (bert / "config.json").write_text("{")
        with pytest.raises(ValueError, match="is not valid JSON"):
            self.lengthen(bert)

    def test_impossible_override(self, bert):
        with pytest.raises(ValueError, match="block_size=0"):
            self.lengthen(bert, block_size=0)

    def test_missing_tensor(self, bert):
        edit_tensors(bert, lambda tensors: tensors.pop("encoder.layer.1.output.dense.bias"))
        with pytest.raises(ValueError, match=r"missing: bert\.encoder\.layer\.1\.output\.dense"):
            self.lengthen(bert)

    def test_missing_positions(self, bert):
        edit_tensors(bert, lambda tensors: tensors.pop("embeddings.position_embeddings.weight"))
        with pytest.raises(ValueError, match=r"missing: bert\.embeddings\.position_embeddings"):
            self.lengthen(bert)

    def test_unexpected_tensor(self, bert):
        name = "encoder.layer.0.crossattention.self.key.weight"
        edit_tensors(bert, lambda tensors: tensors.update({name: np.ones(3, np.float32)}))
        with pytest.raises(ValueError, match=rf"unexpected: bert\.{name}"):
            self.lengthen(bert)

    def test_misshapen_tensor(self, bert):
        edit_config(bert, intermediate_size=11)
        with pytest.raises(ValueError, match=r"intermediate\.dense\.weight is \(13, 21\), the con"):
            self.lengthen(bert)

    def test_no_weights(self, bert):
        (bert / "model.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match="no weights"):
            self.lengthen(bert)


def test_full_output_directory_is_left_alone(bert):
    before = {path.name: path.read_bytes() for path in bert.iterdir()}
    with pytest.raises(FileExistsError, match="new or an empty directory"):
        lengthen(bert, 61, output_dir=bert)
    assert {path.name: path.read_bytes() for path in bert.iterdir()} == before


LIVE = [
    (kind, head)
    for kind in ("Bert", "Roberta")
    for head in (
        "Model",
        "ForMaskedLM",
        "ForPreTraining",
        "ForSequenceClassification",
        "ForTokenClassification",
        "ForMultipleChoice",
    )
    if (kind, head) != ("Roberta", "ForPreTraining")
]


@pytest.mark.parity
@pytest.mark.parametrize(("kind", "head"), LIVE)
# Their models without need of a pooler have none.
@pytest.mark.filterwarnings("ignore:.*pooler.* This model does not read them:UserWarning")
def test_outputs_of_transformers(kind, head, tmp_path):
    import torch
    import transformers

    is_roberta = kind == "Roberta"
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=53,
        hidden_size=21,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=13,
        max_position_embeddings=43 + ROBERTA_OFFSET * is_roberta,
        type_vocab_size=1 if is_roberta else 2,
        layer_norm_eps=1e-5 if is_roberta else 1e-12,
        num_labels=3,
    )
    theirs = getattr(transformers, f"{kind}{head}")(config).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            is_scale = "norm.weight" in name.lower()
            parameter.normal_(mean=float(is_scale), std=0.3, generator=generator)
    theirs.save_pretrained(tmp_path / "short")
    lengthen(tmp_path / "short", 97, output_dir=tmp_path / "long")
    make = getattr(bigbird_tf.models, f"BigBird{head}")
    ours = make.from_pretrained(tmp_path / "long", attention_type="original_full")

    rng = np.random.default_rng(7)
    for length in (5, 43):
        shape = (2, 3, length) if head == "ForMultipleChoice" else (2, length)
        ids = rng.integers(3, 53, size=shape)
        mask = np.ones(shape, np.int64)
        mask[1, ..., length - 2 :] = 0
        ids[mask == 0] = config.pad_token_id
        found = ours({"input_ids": ids, "attention_mask": mask})
        with torch.no_grad():
            expected = theirs(torch.tensor(ids), attention_mask=torch.tensor(mask))
        found = found if isinstance(found, dict) else {"logits": found}
        for name, output in found.items():
            difference = np.abs(np.asarray(output) - getattr(expected, name).numpy())
            if difference.shape[:2] == shape:
                # RoBERTa gives padding a position of its own; nobody reads those rows.
                difference = difference[mask > 0]
            assert difference.max() <= 1e-4, (name, length)
