"""What goes from other forms of checkpoints into ours: every setting, with a value of its own."""

import json

import numpy as np
import pytest

from bigbird_tf import BigBirdConfig, BigBirdForSentenceEmbedding, BigBirdPegasusConfig
from bigbird_tf.checkpoints import transformers_format
from bigbird_tf.checkpoints.google import _architecture, _find_heads, _is_training_state
from bigbird_tf.checkpoints.google_settings import config_from_google
from bigbird_tf.checkpoints.lengthen import (
    _SHARED_HEADS,
    _TOKENIZER_FILES,
    _head_of,
    _make_config,
    _rename,
)
from bigbird_tf.checkpoints.sentence_transformers_format import read_options
from bigbird_tf.checkpoints.tensor_files import FLAX_NAME, SAFETENSORS_NAME, TORCH_NAME
from tests.contract import tiny_config

# Google's name, a value, and what it is called in both configs; no name where it has no place.
GOOGLE = (
    ("vocab_size", 59, "vocab_size", "vocab_size"),
    ("max_position_embeddings", 67, "max_position_embeddings", "max_position_embeddings"),
    ("attention_type", "original_full", "attention_type", "attention_type"),
    ("use_bias", False, "use_bias", "use_bias"),
    ("block_size", 8, "block_size", "block_size"),
    ("num_rand_blocks", 5, "num_random_blocks", "num_random_blocks"),
    ("use_gradient_checkpointing", True, "gradient_checkpointing", "gradient_checkpointing"),
    ("hidden_size", 21, "hidden_size", "d_model"),
    ("num_hidden_layers", 4, "num_hidden_layers", "encoder_layers decoder_layers"),
    (
        "num_attention_heads", 3, "num_attention_heads",
        "encoder_attention_heads decoder_attention_heads",
    ),
    ("intermediate_size", 13, "intermediate_size", "encoder_ffn_dim decoder_ffn_dim"),
    ("hidden_dropout_prob", 0.11, "hidden_dropout_prob", "dropout"),
    ("attention_probs_dropout_prob", 0.12, "attention_probs_dropout_prob", "attention_dropout"),
    ("type_vocab_size", 16, "type_vocab_size", ""),
    ("initializer_range", 0.31, "initializer_range", "init_std"),
    ("rescale_embedding", True, "rescale_embeddings", "scale_embedding"),
    ("num_labels", 6, "num_labels", ""),
    ("hidden_act", "relu", "hidden_act", "activation_function"),
    # Of runs, not of models.
    ("scope", "bert", "", ""),
    ("train_batch_size", 7, "", ""),
    ("optimizer", "AdamWeightDecay", "", ""),
)  # fmt: skip
ALWAYS = {
    "full_attention_up_to": 512,
    "random_plan": "google",
    "inference_random_blocks": "seeded",
}


@pytest.mark.parametrize("family", [0, 1], ids=["encoder", "encoder and decoder"])
def test_settings_of_google(family):
    config_class = (BigBirdConfig, BigBirdPegasusConfig)[family]
    settings = {name: value for name, value, *_ in GOOGLE}
    own = {}
    if family:
        settings |= {"norm_type": "prenorm", "max_decoder_length": 9}
        own = {"layer_norm_eps": 1e-12}
    fields = {field: value for name, value, *ours in GOOGLE for field in ours[family].split()}
    expected = config_class(**fields, **ALWAYS, **own)
    assert config_from_google(settings) == expected
    assert not expected.extra
    # Without most of them: the defaults of Google's code.
    least = {"vocab_size": 59, "hidden_size": 20, "num_hidden_layers": 4, "num_attention_heads": 5}
    fields = {"vocab_size": 59, "hidden_size": 20, "num_hidden_layers": 4, "num_attention_heads": 5}
    if family:
        fields = {
            "vocab_size": 59, "d_model": 20, "encoder_layers": 4, "decoder_layers": 4,
            "encoder_attention_heads": 5, "decoder_attention_heads": 5, "attention_dropout": 0.1,
            "scale_embedding": False, "use_bias": True, **own,
        }  # fmt: skip
        least |= {"norm_type": "prenorm", "couple_encoder_decoder": False}
    assert config_from_google(least) == config_class(**fields, **ALWAYS)
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        with pytest.raises(ValueError, match=rf"and lacks: {name}\."):
            config_from_google({k: v for k, v in least.items() if k != name})


@pytest.mark.parametrize(("theirs", "ours"), [("gelu", "gelu_new"), ("relu", "relu")])
def test_activations_of_google(theirs, ours):
    """Its GELU is the tanh form."""
    least = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    assert config_from_google({**least, "hidden_act": theirs}).hidden_act == ours
    assert config_from_google(least).hidden_act == "gelu_new"


def test_heads_of_google():
    """By the scopes that variables are in, whole names of scopes."""
    scopes = {
        "pooler": "bert/pooler/dense",
        "predictions": "cls/predictions",
        "transform": "transform",
        "seq_relationship": "cls/seq_relationship",
        "classifier": "bert/classifier",
    }
    for head, scope in scopes.items():
        assert _find_heads("bert", {f"{scope}/kernel": ()}) == {head: scope}
        assert _find_heads("bert", {f"{scope}_2/kernel": ()}) == {}
    inside = "cls/predictions/transform"
    assert _find_heads("bert", {f"{inside}/kernel": ()}) == {"transform": inside}
    for heads, expected in (
        ((), "BigBirdModel"),
        (("pooler",), "BigBirdModel"),
        (("seq_relationship",), "BigBirdModel"),
        (("predictions",), "BigBirdForMaskedLM"),
        (("predictions", "seq_relationship"), "BigBirdForPreTraining"),
        (("predictions", "classifier"), "BigBirdForSequenceClassification"),
    ):
        assert _architecture(dict.fromkeys(heads, "")) == expected


def test_the_state_of_training():
    """Counters by their names, and what is named below a variable."""
    shapes = dict.fromkeys(("bert/a", "bert/a/adam_m", "global_step", "beta1_power"), ())
    for name in ("global_step", "beta1_power", "beta2_power", "bert/a/adam_m", "bert/a/adam_v"):
        assert _is_training_state(name, shapes)
    for name in ("bert/a", "bert/b/adam_m", "step", "bert/global_step", "bert"):
        assert not _is_training_state(name, shapes)


BERT = {
    "vocab_size": 59,
    "hidden_size": 21,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 13,
    "hidden_act": "relu",
    "tie_word_embeddings": False,
    "hidden_dropout_prob": 0.11,
    "attention_probs_dropout_prob": 0.12,
    "type_vocab_size": 16,
    "initializer_range": 0.31,
    "layer_norm_eps": 0.014,
    "pad_token_id": 5,
    "classifier_dropout": 0.17,
    "id2label": {"0": "a", "1": "b", "2": "c"},
    "label2id": {"a": 0, "b": 1, "c": 2},
    "problem_type": "regression",
}


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_settings_of_bert(model_type):
    # What is of its own tokens and of other libraries is left out.
    left_out = {"sep_token_id": 4, "num_beams": 3, "torch_dtype": "float16"}
    tokens = {"bos_token_id": 33, "eos_token_id": 34}
    settings = {**BERT, **tokens, **left_out}
    settings |= {"model_type": model_type, "max_position_embeddings": 16}
    ours = {"bos_token_id": None, "eos_token_id": None, "sep_token_id": None}
    if model_type == "roberta":
        ours = {"bos_token_id": 33, "eos_token_id": 34, "sep_token_id": 34}
    expected = BigBirdConfig(**BERT, **ours, max_position_embeddings=67)
    assert _make_config(settings, None, 67, {}) == expected
    changed = _make_config(settings, None, 67, {"block_size": 8, "sep_token_id": 3})
    assert changed == expected.replace(block_size=8, sep_token_id=3)
    classifier = _make_config(settings, "ForSequenceClassification", 67, {})
    assert classifier == expected.replace(classifier_act="tanh")
    # BigBird's defaults where nothing is said, but for RoBERTa's ids.
    settings = {"model_type": model_type, "max_position_embeddings": 16}
    ours = {"bos_token_id": None, "eos_token_id": None, "sep_token_id": None}
    if model_type == "roberta":
        ours = {"bos_token_id": 0, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 1}
    assert _make_config(settings, None, 67, {}) == BigBirdConfig(**ours, max_position_embeddings=67)


def test_heads_of_bert():
    assert _SHARED_HEADS == (
        "ForPreTraining", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification",
        "ForMultipleChoice",
    )  # fmt: skip
    for head in _SHARED_HEADS:
        assert _head_of({"architectures": [f"Bert{head}", "BertForOther"]}) == head
        assert _head_of({"architectures": f"Roberta{head}"}) == head
    for names in ([], None, ["BertModel"], ["BertForQuestionAnswering", "BertForMaskedLM"]):
        assert _head_of({"architectures": names}) is None
    assert _head_of({}) is None


class Stored(dict):
    source = "a file"


@pytest.mark.parametrize(
    ("model_type", "head", "names", "left_out"),
    [
        (
            "bert",
            "ForMultipleChoice",
            {
                "bert.encoder.layer.0.output.dense.weight": None,
                "bert.pooler.dense.weight": "bert.pooler.weight",
                "bert.pooler.dense.bias": "bert.pooler.bias",
                "bert.embeddings.LayerNorm.gamma": "bert.embeddings.LayerNorm.weight",
                "bert.embeddings.LayerNorm.beta": "bert.embeddings.LayerNorm.bias",
                "classifier.weight": None,
                "classifier.bias": None,
                "cls.seq_relationship.weight": None,
                "cls.predictions.transform.dense.weight": None,
            },
            ["qa_outputs.weight"],
        ),
        (
            "roberta",
            "ForSequenceClassification",
            {
                "roberta.embeddings.word_embeddings.weight": (
                    "bert.embeddings.word_embeddings.weight"
                ),
                # RoBERTa's has the form of BigBird's.
                "classifier.dense.weight": None,
                "classifier.out_proj.bias": None,
                "lm_head.dense.weight": "cls.predictions.transform.dense.weight",
                "lm_head.dense.bias": "cls.predictions.transform.dense.bias",
                "lm_head.layer_norm.weight": "cls.predictions.transform.LayerNorm.weight",
                "lm_head.layer_norm.bias": "cls.predictions.transform.LayerNorm.bias",
                "lm_head.bias": "cls.predictions.bias",
            },
            [],
        ),
        # Without a head that BigBird has, a classifier is another one's.
        ("roberta", None, {"roberta.x": "bert.x"}, ["classifier.weight"]),
        # An encoder alone.
        ("bert", None, {"pooler.dense.bias": "bert.pooler.bias", "x.y": "bert.x.y"}, []),
    ],
)
def test_names_of_bert(model_type, head, names, left_out):
    arrays = {name: np.full(3, float(i)) for i, name in enumerate([*names, *left_out])}
    # These two are counts, no weights.
    counted = ("embeddings.position_ids", "embeddings.token_type_ids")
    prefix = "" if "x.y" in names else f"{model_type}."
    arrays |= {f"{prefix}{name}": np.arange(3) for name in counted}
    found, others = _rename(Stored(arrays), model_type, head)
    assert others == left_out
    expected = {ours or theirs: arrays[theirs] for theirs, ours in names.items()}
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_classifier_of_bert_and_its_pooler():
    names = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight",
             "classifier.bias")  # fmt: skip
    arrays = {name: np.full(3, float(i)) for i, name in enumerate(names)}
    found, _ = _rename(Stored(arrays), "bert", "ForSequenceClassification")
    assert {name: array[0] for name, array in found.items()} == {
        "bert.pooler.weight": 0, "bert.pooler.bias": 1, "classifier.dense.weight": 0,
        "classifier.dense.bias": 1, "classifier.out_proj.weight": 2, "classifier.out_proj.bias": 3,
    }  # fmt: skip


def test_files():
    """What is looked for, and under which names."""
    assert (SAFETENSORS_NAME, TORCH_NAME, FLAX_NAME) == (
        "model.safetensors", "pytorch_model.bin", "flax_model.msgpack",
    )  # fmt: skip
    assert sorted(_TOKENIZER_FILES) == [
        "added_tokens.json", "merges.txt", "special_tokens_map.json", "spiece.model",
        "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt",
    ]  # fmt: skip


def contents(folder):
    return {
        str(file.relative_to(folder)): json.loads(file.read_text())
        for file in folder.rglob("*.json")
        if file.name != "config.json" or file.parent != folder
    }


@pytest.mark.parametrize("mode", ["mean", "max", "cls"])
@pytest.mark.parametrize("is_full", [True, False])
def test_files_of_sentence_transformers(tmp_path, mode, is_full):
    """To the letter: what we read back, others have to read as well."""
    options = {"normalize": True, "max_seq_length": 23, "prompt": "query: "} if is_full else {}
    config = tiny_config(num_hidden_layers=0)
    BigBirdForSentenceEmbedding(config, mode, **options).save_pretrained(tmp_path)
    names = ("Transformer", "Pooling", "Normalize")[: 3 if is_full else 2]
    paths = ("", "1_Pooling", "2_Normalize")
    found = contents(tmp_path)
    assert found == {
        "modules.json": [
            {
                "idx": index,
                "name": str(index),
                "path": paths[index],
                "type": f"sentence_transformers.models.{name}",
            }
            for index, name in enumerate(names)
        ],
        "sentence_bert_config.json": {
            "max_seq_length": 23 if is_full else 61,
            "do_lower_case": False,
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": 21,
            "include_prompt": True,
            "pooling_mode_cls_token": mode == "cls",
            "pooling_mode_mean_tokens": mode == "mean",
            "pooling_mode_max_tokens": mode == "max",
            "pooling_mode_mean_sqrt_len_tokens": False,
            "pooling_mode_weightedmean_tokens": False,
            "pooling_mode_lasttoken": False,
        },
        "config_sentence_transformers.json": {
            "prompts": {"default": "query: "} if is_full else {},
            "default_prompt_name": "default" if is_full else None,
        },
    }
    assert (tmp_path / "2_Normalize").is_dir() == is_full


@pytest.mark.parametrize(
    ("flag", "mode"),
    [("mean_sqrt_len_tokens", None), ("weightedmean_tokens", None), ("lasttoken", None),
     ("cls_token", "cls"), ("mean_tokens", "mean"), ("max_tokens", "max")],
)  # fmt: skip
def test_flags_of_sentence_transformers(tmp_path, flag, mode):
    """Those that are obeyed, and those that are refused."""
    (tmp_path / "1_Pooling").mkdir()
    modules = [{"type": f"models.{name}", "path": path}
               for name, path in (("Transformer", ""), ("Pooling", "1_Pooling"))]  # fmt: skip
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps({f"pooling_mode_{flag}": True}))
    if mode is None:
        with pytest.raises(ValueError, match="must have one mode"):
            read_options(BigBirdForSentenceEmbedding, tmp_path)
        return
    expected = {"pooling_mode": mode, "normalize": False, "max_seq_length": None, "prompt": None}
    assert read_options(BigBirdForSentenceEmbedding, tmp_path) == expected
    # The prompt by its name, of several; include_prompt=False is well without one.
    prompts = {"prompts": {"query": "q: ", "passage": "p: "}, "default_prompt_name": "passage"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    assert read_options(BigBirdForSentenceEmbedding, tmp_path)["prompt"] == "p: "
    (tmp_path / "config_sentence_transformers.json").write_text(
        json.dumps({**prompts, "default_prompt_name": None})
    )
    fields = {f"pooling_mode_{flag}": True, "include_prompt": False}
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(fields))
    assert read_options(BigBirdForSentenceEmbedding, tmp_path) == expected


def test_a_transformer_in_another_folder(tmp_path):
    modules = [{"type": "models.Transformer", "path": "0_Transformer"},
               {"type": "models.Pooling", "path": "1_Pooling"}]  # fmt: skip
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match=r"in its main folder. Received: '0_Transformer'"):
        read_options(BigBirdForSentenceEmbedding, tmp_path)


def test_lists_in_messages_are_cut_at_ten():
    names = [f"n{i}" for i in range(11)]
    assert transformers_format._listing(names[:10]) == ", ".join(names[:10])
    assert transformers_format._listing(names) == f"{', '.join(names[:10])} and 1 more"
