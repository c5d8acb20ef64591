import gc
import json
import random

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from tests.preprocessing.conftest import WORDS, sentencepiece_ids, train_vocabulary

SCRIPTS = (
    *("שלום", "مرحبا", "हिन्दी", "한국어", "ไทย", "ქართული", "አማርኛ"),
    *("中文字", "ひらがな", "カタカナ", "Việt", "ñandú"),
)
FRAGMENTS = (
    *(word.encode() for word in WORDS),
    *(b"[CLS] [SEP] [MASK] <s> </s> <pad> <unk> <n> [ ] MASK ]] <sep_0> <|endoftext|>".split()),
    *(b" ", b"  ", b"     ", b"\t", b"\n", b"\r\n", b"\0", b"\x01", b"\x1b", b"\x7f", b""),
    *(c.encode() for c in "\u00a0\u200b\u200d\u2028\u3000\ufeff\ufffd\ufdd0▁_éßﬁ①½Å"),
    *(c.encode() for c in ("e\u0301", "👍", "👨‍👩‍👧", "🇨🇭", "❤️", "\U0010ffff", " \ufdd0")),
    *(word.encode() for word in SCRIPTS),
    *(
        b"\xff",
        b"\xe2\x28",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe6\x97",
        b"\x80",
    ),
)


def strings(count: int) -> list[bytes]:
    """Strings of many scripts, spaces, controls, special pieces and broken UTF-8, some empty."""
    rng = random.Random(23)
    made = [b"".join(rng.choices(FRAGMENTS, k=rng.randrange(13))) for _ in range(count)]
    # Any code point, alone and between letters.
    points = [p for p in range(1, 0x110000, 331) if not 0xD800 <= p < 0xE000]
    return made + [f"a{chr(p)}b {chr(p)}".encode() for p in points]


class TestEqualsSentencePiece:
    """Piece by piece what the library gives, on more than 20,000 strings for each vocabulary.

    The library knows no `[MASK]` that takes the space before it.
    """

    @pytest.fixture(params=["small", "identity", "scores_of_zero", "published"])
    def model(self, request):
        if request.param == "published":
            return request.getfixturevalue("published_vocabulary")
        if request.param == "small":
            return request.getfixturevalue("vocabulary")
        model = train_vocabulary(normalization_rule_name="identity")
        if request.param == "identity":
            return model
        # Google's vocabulary has a score of 0 for every piece: all segmentations are ties.
        proto = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(model)
        for piece in proto.pieces:
            piece.score = 0.0
        return proto.SerializeToString()

    def test_ids(self, model):
        texts = strings(20_011)
        assert len(texts) > 20_000
        expected = sentencepiece.SentencePieceProcessor(model_proto=model).encode(texts)
        actual = BigBirdTokenizer(model, lstrip=()).tokenize(texts).to_list()
        different = [
            (text, theirs, ours)
            for text, theirs, ours in zip(texts, expected, actual, strict=True)
            if theirs != ours
        ]
        assert not different, f"{len(different)} differ, e.g. {different[0]}"

    def test_a_megabyte(self, model):
        text = b" ".join(strings(24_001))[:1_000_000] + b"x" * 99_991
        expected = sentencepiece.SentencePieceProcessor(model_proto=model).encode(text)
        np.testing.assert_array_equal(BigBirdTokenizer(model, lstrip=()).tokenize(text), expected)

    def test_text_again(self, model):
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        tokenizer = BigBirdTokenizer(model)
        ids = [processor.encode(text) for text in strings(503)]
        expected = [processor.decode(row).encode() for row in ids]
        assert tokenizer.detokenize(ids).numpy().tolist() == expected

    def test_vocabulary(self, model):
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        tokenizer = BigBirdTokenizer(model)
        assert tokenizer.vocab_size == processor.vocab_size()
        for index in range(0, tokenizer.vocab_size, 7):
            piece = processor.id_to_piece(index)
            assert tokenizer.id_to_token(index) == piece
            assert tokenizer.token_to_id(piece) == index


class TestOffsets:
    def test_pieces_cover_the_text_in_order(self, tokenizer):
        texts = strings(3001)
        ids, starts, ends = tokenizer.tokenize_with_offsets(texts)
        np.testing.assert_array_equal(ids.flat_values, tokenizer.tokenize(texts).flat_values)
        for text, row_starts, row_ends in zip(texts, starts.to_list(), ends.to_list(), strict=True):
            assert all(s <= e <= len(text) for s, e in zip(row_starts, row_ends, strict=True))
            # No byte belongs to two pieces, and what lies between pieces is space to be dropped.
            assert all(e <= s for e, s in zip(row_ends, row_starts[1:], strict=False))

    def test_bytes_not_characters(self, tokenizer):
        text = "Zürich naïve 日本語"
        ids, starts, ends = tokenizer.tokenize_with_offsets(text)
        pieces = [tokenizer.id_to_token(int(i)).replace("▁", "") for i in ids]
        surfaces = [
            text.encode()[s:e].decode().strip()
            for s, e in zip(starts.numpy(), ends.numpy(), strict=True)
        ]
        assert surfaces == pieces

    def test_ragged_input(self, tokenizer):
        ids, starts, ends = tokenizer.tokenize_with_offsets([["the river"], [], ["a", "bird"]])
        assert ids.shape.rank == starts.shape.rank == ends.shape.rank == 3
        assert ids.dtype == starts.dtype == ends.dtype == tf.int32
        assert [len(row) for row in ids.to_list()] == [1, 0, 2]


class TestCall:
    def test_layout_by_hand(self, tokenizer):
        the, of, and_ = (tokenizer.token_to_id(f"▁{word}") for word in ("the", "of", "and"))
        cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
        inputs = tokenizer(["the of", "and"], ["and", "of the and"])
        assert {k: v.dtype for k, v in inputs.items()} == {
            "input_ids": tf.int32,
            "attention_mask": tf.int32,
            "token_type_ids": tf.int32,
        }
        expected = [
            [cls, the, of, sep, and_, sep, pad],
            [cls, and_, sep, of, the, and_, sep],
        ]
        np.testing.assert_array_equal(inputs["input_ids"], expected)
        np.testing.assert_array_equal(
            inputs["attention_mask"], [[1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1]]
        )
        np.testing.assert_array_equal(
            inputs["token_type_ids"], [[0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1, 1]]
        )

    def test_a_list_of_tuples_is_pairs(self, tokenizer):
        expected = tokenizer(["the bird", "a"], ["a stone", "of"], max_length=17)
        for pairs in (
            [("the bird", "a stone"), ("a", "of")],
            (("the bird", b"a stone"), (b"a", "of")),
        ):
            for key, value in tokenizer(pairs, max_length=17).items():
                np.testing.assert_array_equal(value, expected[key])
        # Lists could be words as well.
        with pytest.raises(ValueError, match="`text_pair`"):
            tokenizer([["the bird", "a stone"], ["a", "of"]])

    def test_one_string_has_no_batch_dimension(self, tokenizer):
        batch = tokenizer(["the bird"], ["a stone"])
        for single in (tokenizer("the bird", "a stone"), tokenizer(b"the bird", b"a stone")):
            for key, value in single.items():
                np.testing.assert_array_equal(value, batch[key][0])

    @pytest.mark.parametrize(
        ("lengths", "max_length", "kept"),
        [
            ((5, 3), 11, (5, 3)),
            ((5, 3), 10, (4, 3)),
            ((5, 3), 9, (3, 3)),
            ((5, 3), 8, (3, 2)),
            ((3, 5), 8, (2, 3)),
            ((4, 4), 8, (2, 3)),
            ((9, 1), 7, (3, 1)),
            ((0, 9), 7, (0, 4)),
            ((2, 2), 3, (0, 0)),
        ],
    )
    def test_the_longer_text_is_cut_first(self, tokenizer, lengths, max_length, kept):
        text, pair = (" ".join([word] * n) for word, n in zip(("the", "of"), lengths, strict=True))
        inputs = tokenizer(text, pair, max_length=max_length)
        ids = inputs["input_ids"].numpy()
        found = tuple(int((ids == tokenizer.token_to_id(piece)).sum()) for piece in ("▁the", "▁of"))
        # An odd place goes to the longer text; of two equally long ones, to the second.
        assert found == kept
        assert ids[0] == tokenizer.cls_token_id
        assert ids[-1] == tokenizer.sep_token_id

    @pytest.mark.parametrize(
        ("arguments", "length"),
        [
            ({}, 7),
            ({"max_length": 6}, 6),
            ({"max_length": 31}, 7),
            ({"max_length": 31, "padding": "max_length"}, 31),
            ({"pad_to_multiple_of": 11}, 11),
            ({"pad_to_multiple_of": 7}, 7),
            ({"pad_to_multiple_of": 11, "max_length": 10}, 10),
            ({"max_length": 5, "truncation": False}, 7),
            ({"max_length": 5, "truncation": False, "padding": "max_length"}, 7),
        ],
    )
    def test_padded_length(self, tokenizer, arguments, length):
        inputs = tokenizer(["the the the the the", "of"], **arguments)
        assert {value.shape for value in inputs.values()} == {(2, length)}
        np.testing.assert_array_equal(
            inputs["attention_mask"], inputs["input_ids"].numpy() != tokenizer.pad_token_id
        )

    def test_empty_texts_and_batches(self, tokenizer):
        ids = tokenizer(["", "  \n "])["input_ids"].numpy()
        assert ids[0, :2].tolist() == [tokenizer.cls_token_id, tokenizer.sep_token_id]
        for empty in ([], np.zeros([0], object), tf.zeros([0], tf.string)):
            assert tokenizer(empty)["input_ids"].shape[0] == 0

    def test_kinds_of_input(self, tokenizer):
        texts = ["the café", "naïve 猫"]
        expected = tokenizer(texts)["input_ids"]
        for same in (
            tuple(texts),
            np.array(texts),
            np.array(texts, object),
            [text.encode() for text in texts],
            tf.constant(texts),
        ):
            np.testing.assert_array_equal(tokenizer(same)["input_ids"], expected)


class TestInGraphs:
    TEXTS = ("the river", "", "naïve [MASK] birds 猫 \n x", "a")

    @pytest.fixture
    def expected(self, tokenizer):
        return tokenizer(list(self.TEXTS), max_length=17, padding="max_length")

    def test_tf_data(self, tokenizer, expected):
        def tokenize(text):
            return tokenizer(text, max_length=17, padding="max_length")

        texts = tf.data.Dataset.from_tensor_slices(list(self.TEXTS))
        for dataset in (texts.batch(3).map(tokenize).unbatch(), texts.map(tokenize)):
            assert dataset.element_spec["input_ids"].shape == (17,)
            rows = next(dataset.batch(4).as_numpy_iterator())
            for key, value in expected.items():
                np.testing.assert_array_equal(rows[key], value)

    def test_made_inside_a_map(self, vocabulary, expected):
        def tokenize(text):
            made_here = BigBirdTokenizer(vocabulary)
            return made_here(text, max_length=17, padding="max_length")

        dataset = tf.data.Dataset.from_tensor_slices([list(self.TEXTS)]).map(tokenize)
        rows = next(dataset.as_numpy_iterator())
        np.testing.assert_array_equal(rows["input_ids"], expected["input_ids"])

    def test_saved_model_in_a_fresh_process(self, tokenizer, saved_model_process):
        """Plain TensorFlow and tensorflow_text load it; of any batch size."""
        module = tf.Module()
        module.tokenizer = tokenizer
        module.encode = tf.function(
            lambda text: tokenizer(text, pad_to_multiple_of=5),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )
        module.decode = tf.function(
            tokenizer.detokenize, input_signature=[tf.TensorSpec([None, None], tf.int32)]
        )
        for count in (1, 3):
            texts = tf.constant(self.TEXTS[:count])
            expected = tokenizer(texts, pad_to_multiple_of=5)
            outputs = saved_model_process.run(module, "encode", texts)
            for mine, theirs in zip(outputs, tf.nest.flatten(expected), strict=True):
                np.testing.assert_array_equal(mine, theirs)
        (decoded,) = saved_model_process.run(module, "decode", expected["input_ids"])
        assert decoded.tolist() == tokenizer.detokenize(expected["input_ids"]).numpy().tolist()


class TestLifetime:
    """tensorflow/text, issue 570: what drops eager kernels used to take the vocabulary along."""

    @pytest.fixture
    def expected(self, tokenizer):
        return tokenizer.tokenize("the naïve bird").numpy()

    def test_setting_a_seed(self, vocabulary, expected):
        tokenizer = BigBirdTokenizer(vocabulary)
        compiled = tf.function(tokenizer.tokenize)
        for text in ("the naïve bird", tf.constant("the naïve bird")):
            np.testing.assert_array_equal(compiled(text), expected)
            keras.utils.set_random_seed(3)
            np.testing.assert_array_equal(compiled(text), expected)
            np.testing.assert_array_equal(tokenizer.tokenize(text), expected)

    def test_another_tokenizer_of_the_same_vocabulary_goes(self, vocabulary, expected):
        tokenizer, other = BigBirdTokenizer(vocabulary), BigBirdTokenizer(vocabulary)
        del other
        gc.collect()
        tf.random.set_seed(3)
        np.testing.assert_array_equal(tokenizer.tokenize("the naïve bird"), expected)

    def test_vocabularies_do_not_mix(self, vocabulary, expected):
        other = train_vocabulary(vocab_size=97)
        tokenizers = [BigBirdTokenizer(model) for model in (vocabulary, other, vocabulary)]
        tf.random.set_seed(3)
        rows = [tokenizer.tokenize("the naïve bird").numpy().tolist() for tokenizer in tokenizers]
        assert rows[0] == rows[2] == expected.tolist()
        assert rows[1] == sentencepiece_ids(other, "the naïve bird") != rows[0]

    def test_dataset_outlives_the_tokenizer(self, vocabulary, expected):
        dataset = tf.data.Dataset.from_tensors("the naïve bird").repeat(2)
        dataset = dataset.map(BigBirdTokenizer(vocabulary).tokenize)
        gc.collect()
        tf.random.set_seed(3)
        for row in dataset.as_numpy_iterator():
            np.testing.assert_array_equal(row, expected)


class TestSaving:
    def test_keras_file_needs_nothing_else(self, tokenizer, vocabulary, tmp_path):
        keras.saving.save_model(tokenizer, tmp_path / "tokenizer.keras")
        loaded = keras.saving.load_model(tmp_path / "tokenizer.keras")
        assert type(loaded) is BigBirdTokenizer
        assert loaded.save_vocabulary(tmp_path).read_bytes() == vocabulary
        text = "the [MASK] naïve birds"
        np.testing.assert_array_equal(loaded(text)["input_ids"], tokenizer(text)["input_ids"])

    def test_config(self, tokenizer):
        config = json.loads(json.dumps(tokenizer.get_config()))
        assert {"name", "model"} <= set(config)
        empty = BigBirdTokenizer.from_config(config)
        assert empty.get_config() == tokenizer.get_config()
        with pytest.raises(ValueError, match="has no vocabulary"):
            empty.tokenize("the")
        with pytest.raises(ValueError, match="has no vocabulary"):
            empty("the")

    def test_pretrained_directory(self, tokenizer, vocabulary, tmp_path):
        tokenizer.save_pretrained(tmp_path / "new" / "folder")
        assert (tmp_path / "new/folder/spiece.model").read_bytes() == vocabulary
        config = json.loads((tmp_path / "new/folder/tokenizer_config.json").read_text())
        assert config["tokenizer_class"] == "BigBirdTokenizer"
        assert config["mask_token"] == "[MASK]"
        loaded = BigBirdTokenizer.from_pretrained(tmp_path / "new" / "folder")
        assert loaded.tokenize("a bird").numpy().tolist() == sentencepiece_ids(vocabulary, "a bird")

    def test_path_and_bytes_are_one(self, vocabulary, tokenizer, tmp_path):
        path = tokenizer.save_vocabulary(tmp_path)
        for model in (path, str(path), vocabulary):
            assert BigBirdTokenizer(model).vocab_size == tokenizer.vocab_size
