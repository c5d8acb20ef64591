"""Special pieces of `BigBirdTokenizer`, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from tests.preprocessing.conftest import train_vocabulary


class TestSpecialPieces:
    def test_ids(self, tokenizer):
        names = ["pad", "eos", "bos", "cls", "sep", "mask", "unk"]
        assert [getattr(tokenizer, f"{name}_token_id") for name in names] == list(range(7))
        assert tokenizer.all_special_ids == list(range(7))

    def test_fields_of_a_config(self, tokenizer):
        config = BigBirdConfig(**tokenizer.config_fields)
        assert config.vocab_size == tokenizer.vocab_size
        for name in ("pad", "bos", "eos", "sep"):
            assert getattr(config, f"{name}_token_id") == getattr(tokenizer, f"{name}_token_id")

    def test_mask_of_special_pieces(self, tokenizer):
        ids = tokenizer("the [MASK] bird \U0010ffff", max_length=13, padding="max_length")[
            "input_ids"
        ]
        expected = [int(i < 7) for i in ids.numpy()]
        assert 0 in expected
        mask = tokenizer.get_special_tokens_mask(ids)
        assert mask.dtype == tf.int32
        assert mask.numpy().tolist() == expected
        ragged = tf.ragged.constant([[0, 11], [], [7, 6, 3]])
        assert tokenizer.get_special_tokens_mask(ragged).to_list() == [[1, 0], [], [0, 1, 1]]

    def test_unknown_token(self, tokenizer):
        assert tokenizer.token_to_id("no such piece") == tokenizer.unk_token_id

    def test_vocabulary_without_mask(self):
        model = train_vocabulary(user_defined_symbols=["[CLS]", "[SEP]"], unk_id=5)
        tokenizer = BigBirdTokenizer(model)
        assert tokenizer.mask_token_id is None
        assert None not in tokenizer.all_special_ids

    @pytest.mark.parametrize("missing", ["[CLS]", "[SEP]", "<pad>"])
    def test_missing_piece_is_named(self, missing):
        options = {
            "user_defined_symbols": [p for p in ("[CLS]", "[SEP]") if p != missing],
            "unk_id": 3,
            "pad_id": -1 if missing == "<pad>" else 0,
        }
        with pytest.raises(ValueError, match="user_defined_symbols") as error:
            BigBirdTokenizer(train_vocabulary(**options))
        assert missing in str(error.value)


class TestBadInput:
    def test_no_such_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="from_pretrained"):
            BigBirdTokenizer(tmp_path / "spiece.model")
        with pytest.raises(FileNotFoundError, match="from_pretrained"):
            BigBirdTokenizer(tmp_path)

    def test_directory_without_vocabulary(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"spiece\.model"):
            BigBirdTokenizer.from_pretrained(tmp_path)

    @pytest.mark.parametrize("model", [b"", b"no model at all", b"\0" * 97])
    def test_broken_model(self, model):
        with pytest.raises(ValueError, match="`model`"):
            BigBirdTokenizer(model)

    def test_truncated_model(self, vocabulary):
        with pytest.raises(ValueError, match="`model`"):
            BigBirdTokenizer(vocabulary[:-101])

    def test_model_of_a_wrong_type(self):
        with pytest.raises(TypeError, match="`model`"):
            BigBirdTokenizer(7)

    @pytest.mark.parametrize("text", [7, [1.5], ["a", None], None, "\ud800", ["a", 3]])
    def test_text_of_a_wrong_type(self, tokenizer, text):
        with pytest.raises(TypeError, match="`text`"):
            tokenizer(text)

    def test_shapes(self, tokenizer):
        with pytest.raises(ValueError, match="batch of strings"):
            tokenizer([["a"], ["b"]])
        with pytest.raises(ValueError, match="`text_pair`"):
            tokenizer("a", ["b"])
        with pytest.raises(ValueError, match="`text_pair`"):
            tokenizer(["a", "b", "c"], ["d", "e"])

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"max_length": 1}, "max_length"),
            ({"max_length": 2, "text_pair": "b"}, "max_length"),
            ({"max_length": 5.0}, "max_length"),
            ({"padding": "max_length"}, "max_length"),
            ({"padding": True}, "padding"),
            ({"pad_to_multiple_of": 0}, "pad_to_multiple_of"),
        ],
    )
    def test_arguments_of_length(self, tokenizer, arguments, name):
        with pytest.raises(ValueError, match=f"`{name}"):
            tokenizer("a", **arguments)

    @pytest.mark.parametrize("ids", [[-1], [[3], [10**6]], np.array([[5, 10**6]])])
    def test_ids_outside_of_the_vocabulary(self, tokenizer, ids):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`ids` must be in"):
            tokenizer.detokenize(ids)

    def test_the_piece_of_the_kernel_alone_is_no_id(self, tokenizer):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`ids` must be in"):
            tokenizer.detokenize([tokenizer.vocab_size])
        with pytest.raises(ValueError, match="token_id"):
            tokenizer.id_to_token(tokenizer.vocab_size)
