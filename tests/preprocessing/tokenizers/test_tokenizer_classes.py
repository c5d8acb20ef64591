"""Vocabularies of classes of `transformers` whose rules are others."""

import json

import pytest

import bigbird_tf as bb
from tests.preprocessing.conftest import train_vocabulary

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "bird"]


def write(folder, vocabulary, file="tokenizer_config.json", **config):
    if vocabulary == "vocab.txt":
        (folder / vocabulary).write_text("\n".join(TOKENS) + "\n")
    else:
        (folder / vocabulary).write_bytes(train_vocabulary())
    (folder / file).write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("vocabulary", "name", "file"),
    [
        ("vocab.txt", "BertJapaneseTokenizer", "tokenizer_config.json"),
        ("vocab.txt", "EsmTokenizer", "config.json"),
        ("vocab.txt", ["JiebaTokenizer", None], "tokenizer_config.json"),
        ("spiece.model", "AlbertTokenizerFast", "tokenizer_config.json"),
        ("spiece.model", "CamembertTokenizer", "config.json"),
    ],
)
def test_other_rules(tmp_path, vocabulary, name, file):
    write(tmp_path, vocabulary, file, tokenizer_class=name)
    ours = {"vocab.txt": bb.WordPieceTokenizer, "spiece.model": bb.BigBirdTokenizer}[vocabulary]
    for kind in (bb.Tokenizer, ours):
        with pytest.raises(ValueError, match=f"{vocabulary}, which {file} names") as error:
            kind.from_pretrained(tmp_path)
    said = str(error.value)
    assert f"tokenizer_class={name!r}" in said
    assert "bb.FastTokenizer" in said
    # The last way out of the message.
    assert f"`bb.{ours.__name__}({str(tmp_path / vocabulary)!r})`" in said
    assert ours(tmp_path / vocabulary).vocab_size


@pytest.mark.parametrize(
    ("vocabulary", "name"),
    [
        ("vocab.txt", "BertTokenizerFast"),
        ("vocab.txt", "ElectraTokenizer"),
        ("vocab.txt", "ConvBertTokenizer"),
        ("vocab.txt", "PreTrainedTokenizerFast"),
        ("spiece.model", "BigBirdTokenizerFast"),
        ("spiece.model", "TokenizersBackend"),
        ("spiece.model", None),
    ],
)
def test_the_same_rules(tmp_path, vocabulary, name):
    write(tmp_path, vocabulary, tokenizer_class=name)
    tokenizer = bb.Tokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is (
        bb.WordPieceTokenizer if vocabulary == "vocab.txt" else bb.BigBirdTokenizer
    )


@pytest.mark.parametrize(
    "setting", [{"do_lower_case": True}, {"add_prefix_space": False}, {"keep_accents": False}]
)
def test_settings_that_would_not_be_obeyed(tmp_path, setting):
    write(tmp_path, "spiece.model", tokenizer_class="BigBirdTokenizer", **setting)
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value} in tokenizer_config"):
        bb.Tokenizer.from_pretrained(tmp_path)
    write(tmp_path, "spiece.model", **{name: not value})
    assert type(bb.Tokenizer.from_pretrained(tmp_path)) is bb.BigBirdTokenizer


def test_tokenizer_json_has_the_rules(tmp_path):
    """So they are read from there, and not from what lies beside it."""
    pytest.importorskip("tokenizers")
    bb.FastTokenizer.stand_in().save_pretrained(tmp_path)
    for vocabulary, name in (
        ("spiece.model", "AlbertTokenizer"),
        ("vocab.txt", "BertJapaneseTokenizer"),
    ):
        write(tmp_path, vocabulary, tokenizer_class=name)
        assert type(bb.Tokenizer.from_pretrained(tmp_path)) is bb.FastTokenizer


def test_rules_in_the_config_of_classes_like_berts(tmp_path):
    """As in `transformers`, which makes a `BertTokenizer` of an Electra's."""
    bb.WordPieceTokenizer(TOKENS, do_lower_case=False).save_pretrained(tmp_path)
    for name, expected in (("ElectraTokenizer", 5), ("ConvBertTokenizer", 1)):
        config = {"tokenizer_class": name, "do_lower_case": True}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        ids = bb.Tokenizer.from_pretrained(tmp_path).tokenize("THE").numpy().tolist()
        assert ids == [expected], name
