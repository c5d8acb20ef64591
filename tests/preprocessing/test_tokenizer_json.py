import json

import pytest
import sentencepiece

from bigbird_tf.preprocessing.tokenizer import BigBirdTokenizer
from bigbird_tf.preprocessing.tokenizer_json import read_tokenizer_json
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.test_tokenizer import strings

SPECIAL = ["<pad>", "</s>", "<s>", "[CLS]", "[SEP]", "[MASK]", "<unk>"]


@pytest.fixture(scope="module")
def model():
    """As Google's: a user-defined `<s>`, and no rules of normalisation."""
    proto = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(
        train_vocabulary(normalization_rule_name="identity")
    )
    proto.pieces[2].type = proto.pieces[2].USER_DEFINED
    return proto.SerializeToString()


@pytest.fixture
def content(model):
    """What transformers 5.23 writes of such a model, as far as it decides anything."""
    pieces = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(model).pieces
    replace = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    strip = {"type": "Strip", "strip_left": False, "strip_right": False}
    return {
        "added_tokens": [
            {"id": i, "content": piece, "lstrip": piece == "[MASK]", "rstrip": False}
            for i, piece in enumerate(SPECIAL)
        ],
        "normalizer": {"type": "Sequence", "normalizers": [strip, replace]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "model": {
            "type": "Unigram",
            "unk_id": 6,
            "vocab": [[p.piece, p.score] for p in pieces],
            "byte_fallback": False,
        },
    }


def test_same_pieces(model, content, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    loaded = BigBirdTokenizer.from_pretrained(tmp_path)
    expected = BigBirdTokenizer(model)
    texts = strings(1009)
    assert loaded.vocab_size == expected.vocab_size
    assert loaded.all_special_ids == expected.all_special_ids
    assert loaded.tokenize(texts).to_list() == expected.tokenize(texts).to_list()


@pytest.mark.parametrize(
    ("strips", "pieces"),
    [
        ({}, "the| |[MASK]| |[SEP]| of"),
        ({"[MASK]": "lstrip"}, "the|[MASK]| |[SEP]| of"),
        ({"[MASK]": "rstrip"}, "the| |[MASK]|[SEP]| of"),
        ({"[SEP]": "lstrip"}, "the| |[MASK]|[SEP]| of"),
        ({"[MASK]": "lstrip", "[SEP]": "lstrip"}, "the|[MASK]|[SEP]| of"),
    ],
)
def test_spaces_that_pieces_take(content, tmp_path, strips, pieces):
    for token in content["added_tokens"]:
        token["lstrip"] = strips.get(token["content"]) == "lstrip"
        token["rstrip"] = strips.get(token["content"]) == "rstrip"
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    loaded = BigBirdTokenizer.from_pretrained(tmp_path)
    assert pieces_of(loaded, "the [MASK]  [SEP] of") == pieces
    # And so they do when it is saved with a `spiece.model`.
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again/spiece.model").is_file()
    again = BigBirdTokenizer.from_pretrained(tmp_path / "again")
    assert pieces_of(again, "the [MASK]  [SEP] of") == pieces


def pieces_of(tokenizer, text):
    pieces = [tokenizer.id_to_token(int(index)) for index in tokenizer.tokenize(text)]
    return "|".join(pieces).replace("▁", " ").strip()


def test_spiece_model_wins(model, vocabulary, content, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "spiece.model").write_bytes(vocabulary)
    loaded = BigBirdTokenizer.from_pretrained(tmp_path)
    assert loaded.save_vocabulary(tmp_path / "again").read_bytes() == vocabulary


def test_pieces_added_behind_the_vocabulary(content, tmp_path):
    size = len(content["model"]["vocab"])
    content["added_tokens"].append({"id": size, "content": "<new>"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    loaded = BigBirdTokenizer.from_pretrained(tmp_path)
    assert loaded.vocab_size == size + 1
    assert loaded.tokenize("the<new>").numpy()[-1] == size


def test_without_prefix(content, tmp_path):
    content["pre_tokenizer"]["prepend_scheme"] = "never"
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ids = BigBirdTokenizer.from_pretrained(tmp_path).tokenize("the of").numpy()
    pieces = [content["model"]["vocab"][i][0] for i in ids]
    assert "".join(pieces) == "the▁of"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "BPE", "vocab": {}, "merges": []}}, "BPE"),
        ({"model": {"type": "Unigram", "vocab": []}}, "unk_id"),
        ({"normalizer": {"type": "NFKC"}}, "NFKC"),
        ({"model": None}, "unigram"),
    ],
)
def test_other_tokenizers(content, tmp_path, change, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(ValueError, match=message):
        read_tokenizer_json(path)


def test_no_json(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"{\xff")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        read_tokenizer_json(path)
