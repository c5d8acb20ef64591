import pytest

from bigbird_tf.preprocessing.tokenizers.special_tokens import BERT_TOKENS, find_special_ids

IDS = {"[PAD]": 0, "[SEP]": 3, "[CLS]": 5}


def test_ids_by_name():
    found = find_special_ids(BERT_TOKENS, IDS, argument="model", num_tokens=3)
    assert found == dict.fromkeys(BERT_TOKENS) | {"pad_token": 0, "sep_token": 3, "cls_token": 5}


def test_what_must_be_there():
    message = r"`model` must have the sep_token, '\[SEP\]'.* Pass `sep_token`. Received: 7 tokens"
    with pytest.raises(ValueError, match=message):
        find_special_ids(BERT_TOKENS, {"[PAD]": 0, "[CLS]": 5}, argument="model", num_tokens=7)
    with pytest.raises(ValueError, match=r"`vocabulary` must have the pad_token, None"):
        find_special_ids(
            BERT_TOKENS | {"pad_token": None}, IDS, argument="vocabulary", num_tokens=3
        )


def test_others_may_be_required():
    with pytest.raises(ValueError, match="must have the unk_token"):
        find_special_ids(
            BERT_TOKENS, IDS, argument="vocabulary", num_tokens=3, required=("unk_token",)
        )
