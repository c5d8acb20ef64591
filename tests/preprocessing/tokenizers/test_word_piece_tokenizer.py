"""`WordPieceTokenizer` by hand, and where tokenizers run."""

import json

import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from tests.preprocessing.test_functional_models import check_in_a_fresh_process, functional_model

VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "bird", "##s", "sing", "café", "cafe"),
    *("猫", ",", "[", "]", "mask", "Bird", "naïve", "<", ">", "new", "##bird", "un", "keep", "-"),
]
TEXT = "The  Birds\nsing, café 猫猫 xyz"


def pieces(tokenizer, text):
    return [tokenizer.id_to_token(int(index)) for index in tokenizer.tokenize(text)]


@pytest.fixture(scope="module")
def tokenizer():
    mask = {"content": "[MASK]", "lstrip": True, "special": True}
    return bb.WordPieceTokenizer(VOCABULARY, added_tokens=[mask, "<new>"])


def test_pieces_and_bytes(tokenizer):
    ids, starts, ends = tokenizer.tokenize_with_offsets(TEXT)
    found = [
        (tokenizer.id_to_token(int(i)), TEXT.encode()[s:e].decode())
        for i, s, e in zip(ids, starts, ends, strict=True)
    ]
    assert found == [
        ("the", "The"),
        ("bird", "Bird"),
        ("##s", "s"),
        ("sing", "sing"),
        (",", ","),
        ("cafe", "café"),
        ("猫", "猫"),
        ("猫", "猫"),
        ("[UNK]", "xyz"),
    ]
    assert ids.dtype == starts.dtype == ends.dtype == tf.int32


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "the bird ##s cafe 猫 [UNK]"),
        ({"do_lower_case": False}, "[UNK] Bird ##s café 猫 [UNK]"),
        ({"strip_accents": False}, "the bird ##s café 猫 [UNK]"),
        ({"do_lower_case": False, "strip_accents": True}, "[UNK] Bird ##s cafe 猫 [UNK]"),
        ({"tokenize_chinese_chars": False}, "the bird ##s cafe [UNK]"),
        ({"max_input_chars_per_word": 4}, "the [UNK] cafe 猫 [UNK]"),
        ({"clean_text": False}, "the [UNK] cafe 猫 [UNK]"),
    ],
)
def test_rules(options, expected):
    tokenizer = bb.WordPieceTokenizer(VOCABULARY, **options)
    assert " ".join(pieces(tokenizer, "The Bi\u0001rds café 猫xy")) == expected


def test_words_that_stay_as_they_are():
    tokenizer = bb.WordPieceTokenizer([*VOCABULARY, "Keep-Me"], never_split=["Keep-Me"])
    assert pieces(tokenizer, "the Keep-Me bird") == ["the", "Keep-Me", "bird"]
    assert pieces(tokenizer, "Keep-Me") == ["Keep-Me"]
    # Beside other text it is text.
    assert pieces(tokenizer, "xKeep-Me") == ["[UNK]", "-", "[UNK]"]


def test_mask_takes_the_space_before_it(tokenizer):
    text = "the  [MASK] <new>,[MASK]"
    ids, starts, ends = (x.numpy().tolist() for x in tokenizer.tokenize_with_offsets(text))
    assert pieces(tokenizer, text) == ["the", "[MASK]", "<new>", ",", "[MASK]"]
    assert ids[2] == len(VOCABULARY) == tokenizer.vocab_size - 1
    assert list(zip(starts, ends, strict=True)) == [(0, 3), (3, 11), (12, 17), (17, 18), (18, 24)]
    assert tokenizer.lstrip == ["[MASK]"]
    assert tokenizer.mask_token == "[MASK]"


def test_special_ids(tokenizer):
    assert tokenizer.config_fields == {
        "vocab_size": len(VOCABULARY) + 1,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "sep_token_id": 3,
    }
    assert tokenizer.all_special_ids == [0, 1, 2, 3, 4]
    inputs = tokenizer(["the bird", "the"], ["sing", "the sing"], padding="longest")
    assert inputs["input_ids"].numpy().tolist() == [[2, 5, 6, 3, 8, 3], [2, 5, 3, 5, 8, 3]]
    assert inputs["token_type_ids"].numpy().tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]]


def test_text_again(tokenizer):
    ids = [[5, 6, 7, 12, 8], [7, 8], []]
    assert tokenizer.detokenize(ids).numpy().tolist() == [b"the birds, sing", b"##s sing", b""]
    assert tokenizer.detokenize([5, 6]).numpy() == b"the bird"
    assert tokenizer.detokenize(tf.constant([[5, 6], [7, 8]])).shape == (2,)
    assert tokenizer.token_text(tf.constant([[7, 5]])).numpy().tolist() == [[b"s", b"the"]]
    assert tokenizer.begins_word[5:9].tolist() == [True, True, False, True]
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be in"):
        tokenizer.detokenize([len(VOCABULARY) + 1])


def test_texts_that_are_none(tokenizer):
    """Invalid UTF-8 is dropped, empty texts and batches have no pieces."""
    texts = tf.constant([b"the\xff bird", b"", b"\xe7\x8c", b"\0the"])
    assert tokenizer.tokenize(texts).to_list() == [[5, 6], [], [], [5]]
    assert tokenizer.tokenize(tf.constant([], tf.string)).nrows() == 0
    assert tokenizer.tokenize([["the"], [], ["bird", "the"]]).to_list() == [[[5]], [], [[6], [5]]]


def test_data_sets_graphs_and_saved_models(tokenizer, saved_model_process):
    texts = tf.constant([TEXT, "", "the [MASK]  bird <new>", "un" * 60])
    expected = [x.to_list() for x in tokenizer.tokenize_with_offsets(texts)]
    dataset = tf.data.Dataset.from_tensor_slices(texts).map(tokenizer.tokenize)
    assert [row.numpy().tolist() for row in dataset] == expected[0]

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def call(self, texts):
            tokens = tokenizer.tokenize_with_offsets(texts)
            text = tokenizer.detokenize(tokens[0])
            return [x.flat_values for x in tokens], text

    *flat, text = saved_model_process.run(Module(), "call", texts)
    for mine, theirs in zip(expected, flat, strict=True):
        assert [value for row in mine for value in row] == theirs.tolist()
    assert text.tolist() == tokenizer.detokenize(expected[0]).numpy().tolist()


def test_keras_files(tokenizer, loader_process, tmp_path):
    arguments = [[TEXT, "the [MASK]  bird <new>", ""]]
    model = functional_model(lambda x: tokenizer(x, max_length=9, padding="max_length"), arguments)
    check_in_a_fresh_process(model, arguments, loader_process, tmp_path)


def test_all_preprocessors(tokenizer):
    masking = bb.MaskedLMPreprocessor(tokenizer, max_length=16, seed=3)
    x, y, weights = masking(["the birds sing"] * 3)
    assert set(np.unique(x["input_ids"])) <= set(range(tokenizer.vocab_size))
    assert weights.numpy().sum() > 0
    assert (y.numpy()[weights.numpy() > 0] >= 5).all()
    preprocessor = bb.QuestionAnsweringPreprocessor(
        tokenizer, max_length=16, padding="longest", max_question_length=4
    )
    x, y = preprocessor("the bird", "Café, the  Birds sing", "Birds", 11)
    first, last = int(y["start_logits"][0]), int(y["end_logits"][0])
    assert pieces_of_ids(tokenizer, x["input_ids"][0, first : last + 1]) == ["bird", "##s"]


def pieces_of_ids(tokenizer, ids):
    return [tokenizer.id_to_token(int(index)) for index in ids]


def test_vocabularies_that_do_not_do(tmp_path):
    with pytest.raises(ValueError, match=r"must have the sep_token, '\[SEP\]'"):
        bb.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]"])
    with pytest.raises(FileNotFoundError, match=r"must be a vocab\.txt"):
        bb.WordPieceTokenizer(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="max_input_chars_per_word=0"):
        bb.WordPieceTokenizer(VOCABULARY, max_input_chars_per_word=0)
    with pytest.raises(TypeError, match="`added_tokens` must be a list"):
        bb.WordPieceTokenizer(VOCABULARY, added_tokens="<new>")
    with pytest.raises(ValueError, match="must follow the vocabulary"):
        bb.WordPieceTokenizer(VOCABULARY, added_tokens=[{"content": "<a>", "id": 99}])
    with pytest.raises(ValueError, match="has no vocabulary"):
        bb.WordPieceTokenizer().tokenize("the")


def test_of_two_that_are_the_same_the_last_counts(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\n".join([*VOCABULARY, "the", ""]).encode())
    assert bb.WordPieceTokenizer(path).tokenize("the").numpy().tolist() == [len(VOCABULARY)]


def test_what_files_say(tmp_path):
    """`tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` of old."""
    (tmp_path / "vocab.txt").write_text("\n".join(["<p>", "<s>", "</s>", *VOCABULARY]) + "\n")
    config = {"do_lower_case": False, "bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    special = {"pad_token": "<p>", "mask_token": {"content": "[MASK]", "lstrip": True}}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    size = len(VOCABULARY) + 3
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": size}))
    tokenizer = bb.Tokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is bb.WordPieceTokenizer
    assert tokenizer.config_fields == {
        "vocab_size": size + 1,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "sep_token_id": 6,
    }
    assert pieces(tokenizer, "Birds [MASK]<new>") == ["Bird", "##s", "[MASK]", "<new>"]
    assert tokenizer.lstrip == ["[MASK]"]


@pytest.mark.parametrize("more", [["the"], ["", ""]], ids=["twice", "blank"])
def test_lines_that_are_the_same_come_back(tmp_path, more):
    """`tokenizer.json` has each token once."""
    first = bb.WordPieceTokenizer([*VOCABULARY, *more, "end"])
    first.save_pretrained(tmp_path)
    again = bb.Tokenizer.from_pretrained(tmp_path)
    assert type(again) is bb.WordPieceTokenizer
    assert again._tokens() == first._tokens()
    (tmp_path / "vocab.txt").unlink()
    alone = bb.Tokenizer.from_pretrained(tmp_path)
    assert type(alone) is bb.WordPieceTokenizer
    assert alone.tokenize("the end").numpy().tolist() == first.tokenize("the end").numpy().tolist()
    assert alone.vocab_size == first.vocab_size


def test_default_tokens_that_are_not_there(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY).replace("[SEP]", "</s>"))
    with pytest.raises(ValueError, match=rf"{tmp_path.name} must have the sep_token: '\[SEP\]'"):
        bb.Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"sep_token": "</s>", "unk_token": "<unk>"}')
    with pytest.raises(ValueError, match=rf"{tmp_path.name} must have the unk_token: .*<unk>"):
        bb.Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`unk_token` must be one of `vocabulary`"):
        bb.WordPieceTokenizer(VOCABULARY, unk_token="<unk>", added_tokens=["<unk>"])


def test_pieces_that_are_too_long(tmp_path):
    """For `tensorflow_text`; the library takes them."""
    pytest.importorskip("tokenizers")
    assert bb.WordPieceTokenizer([*VOCABULARY, "##" + "a" * 256]).vocab_size
    with pytest.raises(ValueError, match="at most 256 bytes"):
        bb.WordPieceTokenizer([*VOCABULARY, "é" * 129])
    bb.WordPieceTokenizer([*VOCABULARY, "x"]).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["vocab"]["é" * 129] = content["model"]["vocab"].pop("x")
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert type(bb.Tokenizer.from_pretrained(tmp_path)) is bb.FastTokenizer


def test_broken_files(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    (tmp_path / "tokenizer_config.json").write_text("[1")
    with pytest.raises(ValueError, match=r"must be a tokenizer_config\.json"):
        bb.Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"0": {}}}')
    with pytest.raises(ValueError, match="must be texts, or objects with `content`"):
        bb.Tokenizer.from_pretrained(tmp_path)


def test_no_tokenizer(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"It has: config\.json"):
        bb.Tokenizer.from_pretrained(tmp_path)
