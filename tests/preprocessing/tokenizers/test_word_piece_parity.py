"""`WordPieceTokenizer` against the library `tokenizers` and `transformers`, live."""

import pytest

import bigbird_tf as bb
from tests.preprocessing.tokenizers.texts import assert_same, texts, training_texts

pytestmark = pytest.mark.parity

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
# Lower case, accents stripped, Chinese split, cleaned, longest word.
RULES = {
    "uncased": (True, None, True, True, 100),
    "cased": (False, None, True, True, 100),
    "uncased with accents": (True, False, True, True, 100),
    "cased without accents, Chinese whole": (False, True, False, True, 100),
    "not cleaned, short words": (True, True, True, False, 7),
}


def train(lower, strip, chinese, clean, limit, special=SPECIAL, vocab_size=700):
    """Trains a vocabulary with the library's own trainer."""
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=limit))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lower
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*special, AddedToken("[MASK]", lstrip=True)],
        show_progress=False,
    )
    backend.train_from_iterator(training_texts(), trainer)
    return backend


@pytest.fixture(scope="module", params=RULES, ids=str)
def case(request, tmp_path_factory):
    backend = train(*RULES[request.param])
    folder = tmp_path_factory.mktemp("tokenizer")
    backend.save(str(folder / "tokenizer.json"))
    return backend, folder


def test_ids_offsets_and_text(case):
    backend, folder = case
    ours = bb.Tokenizer.from_pretrained(folder)
    assert type(ours) is bb.WordPieceTokenizer
    assert_same(ours, backend, texts(5003))


def test_saved_for_transformers(case, tmp_path):
    """What each of the two saves, the other reads to the same ids."""
    from transformers import AutoTokenizer

    backend, folder = case
    ours = bb.Tokenizer.from_pretrained(folder)
    ours.save_pretrained(tmp_path / "ours")
    bb.BigBirdConfig().save_pretrained(tmp_path / "ours")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "ours")
    some = texts(501)[:501]
    expected = [encoding.ids for encoding in backend.encode_batch(some, add_special_tokens=False)]
    assert theirs(some, add_special_tokens=False).input_ids == expected
    pairs = ours(some[:31], some[31:62], max_length=23)
    found = theirs(
        some[:31], some[31:62], max_length=23, truncation=True, padding=True, return_tensors="np"
    )
    for name, value in pairs.items():
        assert value.numpy().tolist() == found[name].tolist(), name
    theirs.save_pretrained(tmp_path / "theirs")
    again = bb.Tokenizer.from_pretrained(tmp_path / "theirs")
    assert type(again) is bb.WordPieceTokenizer
    assert again.tokenize(some).to_list() == expected
    assert again.config_fields == ours.config_fields


def test_added_tokens(tmp_path):
    """With and without what they take, as they are written and as the rules make them."""
    from tokenizers import AddedToken

    backend = train(*RULES["uncased"])
    backend.add_tokens(
        [
            AddedToken("NewTok", normalized=True),
            AddedToken("<x y>", normalized=False, rstrip=True),
            AddedToken("ÉA", normalized=True, lstrip=True),
            AddedToken("猫x", normalized=True),
            AddedToken("solo", normalized=False, single_word=True),
            AddedToken("<x", normalized=False),
        ]
    )
    backend.save(str(tmp_path / "tokenizer.json"))
    changes = {"river": "NewTok", "stone": "<x y>", "bird": "ÉA", "the": " solo", "green": "newtok"}
    changed = texts(5003)
    for word, other in {**changes, "한국어": "猫x", "a": "ea"}.items():
        changed = [text.replace(word, other) for text in changed]
    ours = bb.Tokenizer.from_pretrained(tmp_path)
    assert_same(ours, backend, changed)
    ours.save_pretrained(tmp_path / "again")
    assert_same(bb.Tokenizer.from_pretrained(tmp_path / "again"), backend, changed[:211])


def test_every_character():
    """What is dropped, made small, decomposed and split at, for all code points."""
    from tokenizers import normalizers, pre_tokenizers

    from bigbird_tf.preprocessing.tokenizers import bert_characters

    # Beyond, but for these, there are no characters.
    points = [*range(1, 0xD800), *range(0xE000, 0x20000), *range(0x2A600, 0x2FB00)]
    points += [*range(0xE0000, 0xE0200), *range(0xFFF00, 0x100100), 0x10FFFD, 0x10FFFE]
    text = "".join(f"a{chr(point)}" for point in points)
    for strip, lower in ((True, True), (False, True), (True, False), (False, False)):
        rules = bert_characters.CharacterRules(True, True, strip, lower)
        theirs = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=strip, lowercase=lower
        )
        assert rules.apply(text) == theirs.normalize_str(text)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    alone = {word for word, _ in split if len(word) == 1 and word != "a"}
    table = bert_characters.is_punctuation()
    assert alone == {chr(point) for point in points if table[point]}
