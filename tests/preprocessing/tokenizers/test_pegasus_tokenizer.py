import io
import json
import random

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer, PegasusTokenizer, Tokenizer
from tests.preprocessing.conftest import (
    SHARED_VOCABULARY,
    WORDS,
    sentencepiece_ids,
    train_vocabulary,
)
from tests.preprocessing.preprocessor_test_case import assert_same

PAD, EOS, NEWLINE = 0, 1, 7
PUBLISHED = SHARED_VOCABULARY.with_name("pegasus.model")


def texts(count=97):
    """Words with spaces, line breaks and both between them; some unknown, some with accents."""
    rng = random.Random(29)
    words = [*WORDS, "xyzzy", "👍", "<n>", "</s>", "Ünïcödé", "ﬁ"]
    between = [" ", " ", " ", "\n", "\n\n", " \n ", "  "]
    rows = [
        "".join(rng.choice(words) + rng.choice(between) for _ in range(rng.randrange(9)))
        for _ in range(count)
    ]
    return ["", "\n", "\n\nand", "and\n", *rows]


@pytest.fixture(scope="module")
def plain_vocabulary():
    """Laid out as plain Pegasus': `<unk>` is the third piece."""
    return train_vocabulary(bos_id=-1, unk_id=2, user_defined_symbols=["<n>"])


@pytest.fixture(scope="module")
def plain(plain_vocabulary):
    return PegasusTokenizer(plain_vocabulary, offset=11)


@pytest.fixture(params=["small", "published"])
def both(request, pegasus_vocabulary):
    if request.param == "small":
        return pegasus_vocabulary
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published vocabulary at {PUBLISHED}")
    return PUBLISHED.read_bytes()


def test_ids_are_sentencepieces(both):
    processor = sentencepiece.SentencePieceProcessor(model_proto=both)
    expected = processor.encode([text.replace("\n", "<n>") for text in texts()])
    assert PegasusTokenizer(both).tokenize(texts()).to_list() == expected


def test_published():
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published vocabulary at {PUBLISHED}")
    tokenizer = PegasusTokenizer(PUBLISHED)
    assert tokenizer.vocab_size == 96103
    assert tokenizer("Hello\nworld")["input_ids"].numpy().tolist() == [8087, 106, 5150, EOS]
    assert tokenizer.config_fields == {
        "vocab_size": 96103,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "decoder_start_token_id": 2,
    }
    assert (tokenizer.unk_token_id, tokenizer.mask_token_id) == (105, 67)


def test_offsets_are_of_the_text_as_written(pegasus_tokenizer):
    """A line break is one byte of it, though three stand for it where it is cut."""
    tokens = pegasus_tokenizer.tokenize_with_offsets(texts())
    ids, starts, ends = (values.to_list() for values in tokens)
    for row, text in enumerate(texts()):
        data = text.encode()
        pieces = [
            (i, data[start:end])
            for i, start, end in zip(ids[row], starts[row], ends[row], strict=True)
        ]
        assert sum(i == NEWLINE for i, _ in pieces) == text.count("\n") + text.count("<n>")
        assert {part for i, part in pieces if i == NEWLINE} <= {b"\n", b"<n>"}
        assert [part for i, part in pieces if i != NEWLINE and b"\n" in part] == []
        # Nothing visible is lost, and nothing is there twice.
        assert b"".join(part for _, part in pieces).replace(b" ", b"") == data.replace(b" ", b"")


def test_line_breaks_come_back(pegasus_tokenizer):
    for text in ("the river\nof stone", "the\n\nriver", "\nthe", "the<n>river"):
        back = pegasus_tokenizer.detokenize(pegasus_tokenizer.tokenize(text)).numpy().decode()
        assert back == text.replace("<n>", "\n")
    rows = pegasus_tokenizer.tokenize(["the\nriver", "of"])
    assert pegasus_tokenizer.detokenize(rows).numpy().tolist() == [b"the\nriver", b"of"]
    nested = pegasus_tokenizer.detokenize(tf.expand_dims(rows, 0))
    assert nested.to_list() == [[b"the\nriver", b"of"]]


def test_without_a_piece_for_line_breaks():
    model = train_vocabulary()
    text = "the\nriver"
    assert PegasusTokenizer(model).tokenize(text).numpy().tolist() == sentencepiece_ids(model, text)


class TestLayout:
    def test_ends(self, pegasus_tokenizer):
        first, second = (
            pegasus_tokenizer.tokenize(t).numpy().tolist() for t in ("the", "river of")
        )
        single = pegasus_tokenizer(["the", "river of"])
        assert sorted(single) == ["attention_mask", "input_ids"]
        assert {value.dtype for value in single.values()} == {tf.int32}
        padding = len(second) - len(first)
        assert single["input_ids"].numpy().tolist() == [
            [*first, EOS, *[PAD] * padding],
            [*second, EOS],
        ]
        assert single["attention_mask"].numpy().tolist() == [
            [1] * (len(first) + 1) + [0] * padding,
            [1] * (len(second) + 1),
        ]
        pair = pegasus_tokenizer("the", "river of")["input_ids"]
        assert pair.numpy().tolist() == [*first, *second, EOS]

    def test_cut(self, pegasus_tokenizer):
        ids = pegasus_tokenizer.tokenize("the river of stone walks").numpy().tolist()
        cut = pegasus_tokenizer("the river of stone walks", max_length=4)["input_ids"]
        assert cut.numpy().tolist() == [*ids[:3], EOS]
        assert pegasus_tokenizer("the", max_length=1)["input_ids"].numpy().tolist() == [EOS]

    def test_documents_without_an_end(self, pegasus_vocabulary):
        tokenizer = PegasusTokenizer(pegasus_vocabulary, add_eos_token=False)
        ids = tokenizer.tokenize("the river of stone").numpy().tolist()
        assert tokenizer("the river of stone")["input_ids"].numpy().tolist() == ids
        cut = tokenizer("the river of stone", max_length=2)["input_ids"]
        assert cut.numpy().tolist() == ids[:2]


class TestPlain:
    """Ids of plain Pegasus: those of the model and the offset, but for the first two."""

    def test_ids(self, plain, plain_vocabulary):
        for text in ("the river", "xyzzy", "the\nriver"):
            expected = sentencepiece_ids(plain_vocabulary, text.replace("\n", "<n>"))
            assert plain.tokenize(text).numpy().tolist() == [index + 11 for index in expected]
        processor = sentencepiece.SentencePieceProcessor(model_proto=plain_vocabulary)
        assert plain.vocab_size == processor.vocab_size() + 11
        for index in range(2, processor.vocab_size()):
            assert plain.id_to_token(index + 11) == processor.id_to_piece(index)

    def test_special_pieces(self, plain):
        special = ["<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{i}>" for i in range(2, 11))]
        assert [plain.id_to_token(index) for index in range(13)] == special
        assert (plain.unk_token_id, plain.mask_token) == (13, "<mask_2>")
        assert plain.all_special_ids == list(range(14))
        assert plain.cls_token_id is plain.bos_token_id is None
        # Without `<s>` a decoder begins with padding, as Pegasus' does.
        assert plain.config_fields["decoder_start_token_id"] == PAD
        assert "bos_token_id" not in plain.config_fields
        assert plain.tokenize("the<mask_2>").numpy()[-1] == 3


class TestFiles:
    def write(self, folder, vocabulary, tokenizer=None, model=None):
        (folder / "spiece.model").write_bytes(vocabulary)
        for name, content in (("tokenizer_config.json", tokenizer), ("config.json", model)):
            if content is not None:
                (folder / name).write_text(json.dumps(content))

    def test_the_class_is_found(self, tmp_path, pegasus_vocabulary):
        self.write(
            tmp_path,
            pegasus_vocabulary,
            {"tokenizer_class": "PegasusTokenizer", "offset": 0, "mask_token": "[MASK]"},
        )
        # That of `transformers` 4, whose rules are others.
        (tmp_path / "tokenizer.json").write_text("{}")
        tokenizer = bb.Tokenizer.from_pretrained(tmp_path)
        assert type(tokenizer) is bb.PegasusTokenizer
        assert (tokenizer.offset, tokenizer.add_eos_token) == (0, True)
        with pytest.raises(ValueError, match=r"`tokenizer_class`.*'PegasusTokenizer'"):
            BigBirdTokenizer.from_pretrained(tmp_path)

    @pytest.mark.parametrize("model_type", ["bigbird_pegasus", "pegasus"])
    def test_by_the_model(self, tmp_path, pegasus_vocabulary, model_type):
        self.write(tmp_path, pegasus_vocabulary, model={"model_type": model_type})
        assert type(Tokenizer.from_pretrained(tmp_path)) is PegasusTokenizer

    def test_vocabularies_of_others(self, tmp_path, pegasus_vocabulary):
        self.write(tmp_path, pegasus_vocabulary)
        assert type(Tokenizer.from_pretrained(tmp_path)) is BigBirdTokenizer
        # Asked for by name, it is what nothing contradicts.
        assert type(PegasusTokenizer.from_pretrained(tmp_path)) is PegasusTokenizer
        self.write(tmp_path, pegasus_vocabulary, {"tokenizer_class": "BigBirdTokenizer"})
        with pytest.raises(ValueError, match=r"whose rules `bb.PegasusTokenizer` has.*'BigBirdTok"):
            PegasusTokenizer.from_pretrained(tmp_path)

    def test_offsets(self, tmp_path, pegasus_vocabulary, plain_vocabulary):
        said = {"tokenizer_class": "PegasusTokenizerFast"}
        self.write(tmp_path, plain_vocabulary, {**said, "offset": 5})
        assert Tokenizer.from_pretrained(tmp_path).offset == 5
        # As in old files: the default of `transformers`, where the model does not say otherwise.
        self.write(tmp_path, plain_vocabulary, said)
        assert Tokenizer.from_pretrained(tmp_path).offset == 103
        self.write(tmp_path, pegasus_vocabulary, said)
        assert Tokenizer.from_pretrained(tmp_path).offset == 0

    @pytest.mark.parametrize("kind", ["bigbird", "plain"])
    def test_round_trip(self, tmp_path, kind, pegasus_vocabulary, plain):
        added = ["<extra>"]
        tokenizer = plain
        if kind == "bigbird":
            tokenizer = PegasusTokenizer(
                pegasus_vocabulary, add_eos_token=False, lstrip=["[MASK]"], added_tokens=added
            )
        tokenizer.save_pretrained(tmp_path)
        again = Tokenizer.from_pretrained(tmp_path)
        assert type(again) is PegasusTokenizer
        assert again.vocab_size == tokenizer.vocab_size
        for name in ("offset", "add_eos_token", "lstrip", "all_special_ids", "config_fields"):
            assert getattr(again, name) == getattr(tokenizer, name), name
        rows = ["the [MASK] river<extra>", "of <mask_1>\nstone"]
        assert_same(again(rows), tokenizer(rows))
        saved = json.loads((tmp_path / "tokenizer_config.json").read_text())
        assert saved["tokenizer_class"] == "PegasusTokenizer"
        assert saved["mask_token_sent"] == (None if kind == "bigbird" else "<mask_1>")

    def test_keras_file(self, tmp_path, plain):
        keras.saving.save_model(plain, tmp_path / "tokenizer.keras")
        loaded = keras.saving.load_model(tmp_path / "tokenizer.keras")
        assert type(loaded) is PegasusTokenizer
        assert_same(loaded(texts()), plain(texts()))


def test_in_graphs(pegasus_tokenizer, saved_model_process):
    expected = pegasus_tokenizer(texts(), max_length=13, padding="max_length")
    dataset = tf.data.Dataset.from_tensor_slices(texts())

    def of(text):
        return pegasus_tokenizer(text, max_length=13, padding="max_length")

    assert_same(next(iter(dataset.batch(5).map(of).unbatch().batch(200))), expected)
    assert_same(next(iter(dataset.map(of).batch(200))), expected)
    module = tf.Module()
    module.tokenizer = pegasus_tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def there_and_back(text):
        ids, starts, ends = pegasus_tokenizer.tokenize_with_offsets(text)
        return {
            "text": pegasus_tokenizer.detokenize(ids),
            "starts": starts.flat_values,
            "ends": ends.flat_values,
        }

    module.run = there_and_back
    outputs = saved_model_process.run(module, "run", tf.constant(texts()))
    ids, starts, ends = pegasus_tokenizer.tokenize_with_offsets(texts())
    for mine, theirs in zip(
        outputs,
        (ends.flat_values, starts.flat_values, pegasus_tokenizer.detokenize(ids)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("offset", [1, -1, 2.5, True, None])
def test_impossible_offsets(pegasus_vocabulary, offset):
    with pytest.raises(ValueError, match="`offset` must be 0, or an integer from 2 on"):
        PegasusTokenizer(pegasus_vocabulary, offset)


def test_impossible_vocabularies(pegasus_vocabulary):
    with pytest.raises(ValueError, match="`model` must begin with the pieces <pad> and </s>"):
        PegasusTokenizer(train_vocabulary(pad_id=1, eos_id=0))
    with pytest.raises(ValueError, match="`offset` adds pieces that `model` has already: <mask_1>"):
        PegasusTokenizer(train_vocabulary(user_defined_symbols=["<mask_1>"], unk_id=3), 103)
    with pytest.raises(ValueError, match="`model` must be a SentencePiece model"):
        PegasusTokenizer(io.BytesIO(b"x").getvalue())
