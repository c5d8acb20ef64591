"""Tokens that a checkpoint adds beside its `spiece.model`."""

import json

import pytest
import sentencepiece
import tensorflow as tf

import bigbird_tf as bb
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.test_functional_models import check_in_a_fresh_process, functional_model
from tests.preprocessing.tokenizers.test_parity_with_transformers import sentences

ADDED = ["<new>", "[ENTITY]", "<new>er"]


@pytest.fixture(scope="module")
def model():
    return train_vocabulary(normalization_rule_name="identity")


@pytest.fixture(scope="module")
def tokenizer(model):
    return bb.BigBirdTokenizer(model, added_tokens=ADDED)


def pieces(tokenizer, text):
    return [tokenizer.id_to_token(int(index)) for index in tokenizer.tokenize(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the <new> of", "▁the ▁ <new> ▁of"),
        ("the<new>of", "▁the <new> ▁of"),
        ("<new> of", "<new> ▁of"),
        ("<new><new>er", "<new> <new>er"),
        ("<new> [ENTITY]", "<new> ▁ [ENTITY]"),
        ("the [MASK] <new>", "▁the [MASK] ▁ <new>"),
        ("of the", "▁of ▁the"),
        ("", ""),
    ],
)
def test_pieces(tokenizer, text, expected):
    assert " ".join(pieces(tokenizer, text)) == expected


def test_bytes_of_the_text(tokenizer):
    text = "the Zürich<new> of"
    ids, starts, ends = (x.numpy().tolist() for x in tokenizer.tokenize_with_offsets(text))
    found = [text.encode()[s:e].decode() for s, e in zip(starts, ends, strict=True)]
    at = ids.index(tokenizer.token_to_id("<new>"))
    assert found[at] == "<new>"
    assert "".join(found[:at]) == "the Zürich"
    assert found[at + 1].strip() == "of"


def test_ids_and_sizes(model, tokenizer):
    size = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()
    assert tokenizer.vocab_size == size + len(ADDED)
    assert [tokenizer.token_to_id(token) for token in ADDED] == list(range(size, size + 3))
    assert tokenizer.detokenize([[size, size + 1]]).numpy()[0].decode() == "<new>[ENTITY]"
    with pytest.raises(ValueError, match="must follow the pieces"):
        bb.BigBirdTokenizer(model, added_tokens=[{"content": "<a>", "id": size + 3}])
    with pytest.raises(ValueError, match="cannot have spaces"):
        bb.BigBirdTokenizer(model, added_tokens=["x y"])
    with pytest.raises(ValueError, match="cannot be `single_word`"):
        bb.BigBirdTokenizer(model, added_tokens=[{"content": "<a>", "single_word": True}])


def test_files_of_old(model, tmp_path):
    """`added_tokens.json`, and a `special_tokens_map.json` that says which are special."""
    (tmp_path / "spiece.model").write_bytes(model)
    size = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()
    added = {token: size + i for i, token in enumerate(ADDED)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    special = {"additional_special_tokens": ["[ENTITY]"], "mask_token": {"content": "[MASK]"}}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    tokenizer = bb.Tokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is bb.BigBirdTokenizer
    assert pieces(tokenizer, "the <new>er of") == ["▁the", "▁", "<new>er", "▁of"]
    assert tokenizer.vocab_size == size + 3
    tokenizer.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again/spiece.model").read_bytes() == model
    again = bb.BigBirdTokenizer.from_pretrained(tmp_path / "again")
    assert pieces(again, "the <new>er of") == ["▁the", "▁", "<new>er", "▁of"]


def test_saved_models_and_keras_files(tokenizer, saved_model_process, loader_process, tmp_path):
    arguments = [["the <new> of", "", "Zürich<new>er", "x y"]]
    expected = tokenizer.tokenize(arguments[0])

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def call(self, texts):
            return tokenizer.tokenize(texts).flat_values

    (found,) = saved_model_process.run(Module(), "call", tf.constant(arguments[0]))
    assert found.tolist() == expected.flat_values.numpy().tolist()
    model = functional_model(lambda x: tokenizer(x, max_length=9, padding="max_length"), arguments)
    check_in_a_fresh_process(model, arguments, loader_process, tmp_path)


@pytest.mark.parity
def test_as_transformers_does(tokenizer, model, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    bb.BigBirdConfig().save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == tokenizer.vocab_size
    texts = []
    for text in sentences(5003):
        for word, token in {"the": "<new>", "river": "[ENTITY]", "stone": "<new>er"}.items():
            text = text.replace(f" {word} ", f" {token} ").replace(f" {word}", token)
        texts.append(text)
    assert sum("<new>" in text for text in texts) > 500
    assert tokenizer.tokenize(texts).to_list() == theirs(texts, add_special_tokens=False).input_ids
