"""What is said of checkpoints that are not whole; of a whole one, `test_commands.py` has all."""

import re

import pytest
from safetensors.numpy import load_file, save_file

from bigbird_tf import models
from bigbird_tf.cli.model_info import describe_checkpoint
from tests.contract import tiny_pegasus_config
from tests.serving.conftest import small_config


def test_what_does_not_load(tmp_path):
    """A head of no class here, a part that is missing, no tokenizer, ids out of range."""
    config = small_config(sep_token_id=66, vocab_size=53, num_hidden_layers=2)
    models.BigBirdForQuestionAnswering(config).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["cls.weight"] = tensors["qa_classifier.qa_outputs.weight"]
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    lines = describe_checkpoint(str(tmp_path))
    expected = {
        "does not load": r"tensors missing: bert\.encoder\.layer\.1\.output\.dense\.bias; .*cls",
        "left out": r"cls\.weight: the model has no place for them",
        "tokenizer": r"does not load: .* It has: config\.json, model\.safetensors",
        "special ids": r"pad 0, bos 1, eos 2, sep 66 \(outside of the vocabulary\)$",
    }
    for name, line in expected.items():
        assert re.match(line, lines[name]), lines[name]


def test_ids_at_the_end_of_the_vocabulary(tmp_path):
    small_config(vocab_size=53, eos_token_id=52, sep_token_id=53).save_pretrained(tmp_path)
    found = describe_checkpoint(str(tmp_path))["special ids"]
    assert found == "pad 0, bos 1, eos 52, sep 53 (outside of the vocabulary)"


def test_head_that_starts_fresh(tmp_path):
    config = small_config(extra={"architectures": ["BigBirdForMultipleChoice"]})
    models.BigBirdModel(config).save_pretrained(tmp_path)
    config.save_pretrained(tmp_path)
    lines = describe_checkpoint(str(tmp_path))
    assert lines["heads"] == "none"
    assert lines["starts fresh"] == "classifier.weight, classifier.bias"


def test_no_weights(tmp_path):
    small_config(extra={"architectures": ["BigBirdForSummaries"]}).save_pretrained(tmp_path)
    lines = describe_checkpoint(str(tmp_path))
    assert lines["class"].startswith("BigBirdForSummaries, of which there is none here")
    assert re.search(r"no weights: .* It has: config\.json\.$", lines["does not load"])


def test_sentence_embeddings(tmp_path):
    model = models.BigBirdForSentenceEmbedding(
        small_config(), normalize=True, max_seq_length=31, prompt="query: "
    )
    model.save_pretrained(tmp_path)
    expected = "mean over tokens, normalised, cut to 31 tokens, after the prompt 'query: '"
    assert describe_checkpoint(str(tmp_path))["sentences"] == expected
    (tmp_path / "1_Pooling/config.json").write_text('{"pooling_mode": "lasttoken"}')
    found = describe_checkpoint(str(tmp_path))["sentences"]
    assert re.match(r"do not load: .*Received: 'lasttoken'", found)


def test_names_and_settings_that_are_none(tmp_path):
    """The name of a module is no class; settings that are a list; more pieces than embeddings."""
    config = small_config(vocab_size=53)
    models.BigBirdForSentenceEmbedding(config).save_pretrained(tmp_path)
    config.replace(extra={"architectures": ["registry"]}).save_pretrained(tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text("[1]")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(61))]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    lines = describe_checkpoint(str(tmp_path))
    assert lines["class"].startswith("registry, of which there is none here")
    assert "does not load" not in lines
    assert re.match(r"do not load: .*sentence_bert_config\.json must be", lines["sentences"])
    expected = "WordPieceTokenizer, 66 pieces, more than the 53 of the config's vocab_size"
    assert lines["tokenizer"] == expected


@pytest.mark.parametrize("error", [KeyError("vocab"), AttributeError("get"), Exception("EOF")])
def test_whatever_a_tokenizer_raises(tmp_path, monkeypatch, error):
    def load(name_or_path):
        raise error

    small_config().save_pretrained(tmp_path)
    monkeypatch.setattr("bigbird_tf.preprocessing.Tokenizer.from_pretrained", load)
    lines = describe_checkpoint(str(tmp_path))
    assert lines["tokenizer"] == f"does not load: {error!r}"
    assert lines["special ids"].startswith("pad 0, ")


def test_a_config_with_an_empty_list_of_classes(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "big_bird", "architectures": []}')
    assert describe_checkpoint(str(tmp_path))["class"].startswith("not named by the config")


def test_model_of_another_kind(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    lines = describe_checkpoint(str(tmp_path))
    assert list(lines) == ["does not load"]
    assert "model_type='roberta'" in lines["does not load"]


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no 'config\.json'"):
        describe_checkpoint(str(tmp_path))


def test_encoder_decoder(tmp_path):
    models.BigBirdPegasusForConditionalGeneration(tiny_pegasus_config()).save_pretrained(tmp_path)
    lines = describe_checkpoint(str(tmp_path))
    assert lines["class"] == "BigBirdPegasusForConditionalGeneration"
    assert lines["encoder"].startswith(
        "1 layers and 1 of a decoder, width 21, 3 heads, vocabulary of 53, up to 61 tokens; "
        "block_sparse attention, blocks of 4"
    )
    assert lines["heads"] == "language model"
    assert "does not load" not in lines


def test_stacks_that_share_weights(tmp_path):
    form = {"decoder_attention_heads": 3, "decoder_ffn_dim": 13, "activation_dropout": 0.0}
    config = tiny_pegasus_config(**form, tie_encoder_decoder=True, normalize_before=False)
    models.BigBirdPegasusForConditionalGeneration(config).save_pretrained(tmp_path)
    lines = describe_checkpoint(str(tmp_path))
    assert lines["encoder"].startswith("1 layers and 1 of a decoder with the same weights, width")
    assert "does not load" not in lines


def test_a_decoder_alone_has_a_head(tmp_path):
    config = tiny_pegasus_config()
    models.BigBirdPegasusForCausalLM(config).save_pretrained(tmp_path)
    assert describe_checkpoint(str(tmp_path))["heads"] == "language model"


def test_global_tokens_beside_the_sequence(tmp_path):
    config = small_config(construction="etc", num_global_tokens=13)
    models.BigBirdModel(config).save_pretrained(tmp_path)
    lines = describe_checkpoint(str(tmp_path))
    assert (
        "blocks of 4, 13 global tokens beside the sequence, 1 random, full up to 20"
        in (lines["encoder"])
    )
    assert "does not load" not in lines
