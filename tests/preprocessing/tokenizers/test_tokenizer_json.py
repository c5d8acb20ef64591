import base64
import json

import pytest
import sentencepiece

from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer, FastTokenizer, Tokenizer
from bigbird_tf.preprocessing.tokenizers.pretrained_files import NotExpressibleError
from bigbird_tf.preprocessing.tokenizers.tokenizer_json import read_tokenizer_json
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.tokenizers.test_big_bird_tokenizer import strings

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


PREFIX = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "BPE", "vocab": {}, "merges": []}}, "BPE"),
        ({"model": {"type": "Unigram", "vocab": []}}, "unk_id"),
        ({"normalizer": {"type": "NFD"}}, "NFD"),
        ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        (
            {"normalizer": {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}},
            "it replaces .*``",
        ),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "splits text by Whitespace"),
        ({"pre_tokenizer": None}, "splits text by None"),
        (
            {
                "pre_tokenizer": {
                    "type": "Sequence",
                    "pretokenizers": [{"type": "WhitespaceSplit"}, PREFIX],
                }
            },
            "splits text by WhitespaceSplit",
        ),
        ({"pre_tokenizer": {**PREFIX, "replacement": "_"}}, "writes spaces as '_'"),
        ({"added_tokens": [{"id": 7, "content": "a", "single_word": True}]}, "`single_word`"),
        ({"model": None}, "unigram"),
    ],
)
def test_other_tokenizers(content, tmp_path, change, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(ValueError, match=message):
        read_tokenizer_json(path)


def test_nfkc(content, tmp_path):
    """SentencePiece's own table."""
    content["normalizer"]["normalizers"][0]["strip_right"] = True
    content["normalizer"]["normalizers"].insert(0, {"type": "NFKC"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    tokenizer = BigBirdTokenizer.from_pretrained(tmp_path)
    assert pieces_of(tokenizer, "\uff54\uff48\uff45 \uff13") == pieces_of(tokenizer, "the 3")
    proto = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(
        read_tokenizer_json(tmp_path / "tokenizer.json")[0]
    )
    expected = train_vocabulary(normalization_rule_name="nfkc")
    expected = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(expected)
    assert proto.normalizer_spec.precompiled_charsmap == (
        expected.normalizer_spec.precompiled_charsmap
    )


def test_precompiled_map_and_words_between_spaces(content, model, tmp_path):
    """As XLM-RoBERTa's: SentencePiece's own rules, which make a space of all white space."""
    proto = sentencepiece.sentencepiece_model_pb2.ModelProto
    charsmap = proto.FromString(train_vocabulary()).normalizer_spec.precompiled_charsmap
    content["normalizer"] = {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(charsmap).decode(),
    }
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "WhitespaceSplit"}, PREFIX],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    expected = proto.FromString(model)
    expected.normalizer_spec.precompiled_charsmap = charsmap
    texts = strings(503)
    assert BigBirdTokenizer.from_pretrained(tmp_path).tokenize(texts).to_list() == (
        BigBirdTokenizer(expected.SerializeToString()).tokenize(texts).to_list()
    )


def test_spaces_stay_as_many_as_they_are(content, tmp_path):
    """No rule makes one of them."""
    content["normalizer"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    tokenizer = BigBirdTokenizer.from_pretrained(tmp_path)
    assert "".join(pieces_of(tokenizer, "the   of").split("|")) == "the   of"


def strip(left, right):
    return {"type": "Strip", "strip_left": left, "strip_right": right}


def replace(regex, text="▁"):
    return {"type": "Replace", "pattern": {"Regex": regex}, "content": text}


@pytest.mark.parametrize(
    ("parts", "scheme", "message"),
    [
        ([strip(False, True), replace(" {2,}")], "always", None),
        ([strip(True, True), replace(" +", " ")], "never", None),
        ([strip(False, True), replace(" {2,}")], "never", "needless spaces"),
        ([strip(True, False), replace(" {2,}")], "always", "needless spaces"),
        ([strip(True, True)], "always", "needless spaces"),
        ([replace(" {2,}")], "always", "needless spaces"),
        ([replace(" {2,}"), strip(False, True)], "always", "written as '▁'"),
        ([strip(False, True), replace(r"\s+")], "always", r"it replaces .*s\+"),
        ([strip(False, True), replace(r"\s{2,}", " ")], "always", r"it replaces .*s\{2,\}"),
    ],
)
def test_needless_spaces(content, tmp_path, parts, scheme, message):
    """Rules that are not SentencePiece's are the library's: the pieces are the same as its."""
    tokenizers = pytest.importorskip("tokenizers")
    content["normalizer"]["normalizers"] = parts
    content["pre_tokenizer"]["prepend_scheme"] = scheme
    path = tmp_path / "tokenizer.json"
    if message is not None:
        path.write_text(json.dumps(content))
        with pytest.raises(NotExpressibleError, match=message):
            read_tokenizer_json(path)
    # The library wants every field.
    for token in content["added_tokens"]:
        token.update(special=True, normalized=False, single_word=False)
    content["pre_tokenizer"]["split"] = True
    names = {"pad_token": "<pad>", "unk_token": "<unk>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    path.write_text(json.dumps(content))
    ours = Tokenizer.from_pretrained(tmp_path)
    assert type(ours) is (BigBirdTokenizer if message is None else FastTokenizer)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    for text in ("the of", "  the   of", "the of  ", " the"):
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.tokenize(text).numpy().tolist() == expected, text


def test_white_space_that_a_map_makes_plain(content, tmp_path):
    charsmap = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(
        train_vocabulary()
    ).normalizer_spec.precompiled_charsmap
    content["normalizer"]["normalizers"] = [
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
        strip(False, True),
        replace(r"\s+"),
    ]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    tokenizer = BigBirdTokenizer.from_pretrained(tmp_path)
    assert pieces_of(tokenizer, "the\n\t of\n") == pieces_of(tokenizer, "the of")


def test_other_ends(content, tmp_path):
    content["post_processor"] = {"type": "BertProcessing", "cls": ["<s>", 2], "sep": ["</s>", 1]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(NotExpressibleError, match="its cls_token is '<s>'"):
        read_tokenizer_json(tmp_path / "tokenizer.json")


def test_no_json(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"{\xff")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        read_tokenizer_json(path)
