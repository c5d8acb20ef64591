import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.pre_training_preprocessor import PreTrainingPreprocessor
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase
from tests.preprocessing.test_question_answering_preprocessor import long_text

DOCUMENTS = [long_text(seed, words) for seed, words in enumerate((0, 1, 3, 17, 97, 211))]
OTHERS = [long_text(seed + 50, words) for seed, words in enumerate((7, 0, 211, 1, 97, 5))]


class TestContract(PreprocessorTestCase):
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return PreTrainingPreprocessor(tokenizer, max_length=61, max_masked=13, seed=5)

    @pytest.fixture
    def arguments(self):
        return tf.constant(DOCUMENTS), tf.constant(OTHERS), tf.constant([3, 0, 0, 1, 4, 1])

    def test_impossible_rate(self, tokenizer):
        with pytest.raises(ValueError, match="`other_rate`"):
            PreTrainingPreprocessor(tokenizer, other_rate=1.1)


def segments(x, y, tokenizer):
    """The ids of both segments of one row, with what was hidden put back."""
    ids = x["input_ids"].numpy().copy()
    weights = tf.not_equal(y["prediction_logits"], 0).numpy()
    ids[x["masked_positions"].numpy()[weights]] = y["prediction_logits"].numpy()[weights]
    real, types = x["attention_mask"].numpy() > 0, x["token_type_ids"].numpy()
    assert ids[0] == tokenizer.cls_token_id
    parts = ids[real & (types == 0)][1:], ids[real & (types == 1)]
    assert all(part[-1] == tokenizer.sep_token_id for part in parts)
    return [part[:-1].tolist() for part in parts]


def find(part, whole):
    """Where one list of ids is inside another."""
    places = [i for i in range(len(whole) - len(part) + 1) if whole[i : i + len(part)] == part]
    assert places, "no stretch of the document"
    return places[0]


def begins_word(tokenizer, piece):
    return tokenizer.id_to_token(piece).startswith("▁")


@pytest.mark.parametrize("row", [4, 5])
def test_following_segments_are_one_stretch(tokenizer, row):
    preprocessor = PreTrainingPreprocessor(tokenizer, max_length=61, other_rate=0.0)
    whole = tokenizer.tokenize(DOCUMENTS[row]).numpy().tolist()
    begins, cuts = set(), set()
    count = 19
    batch = preprocessor([DOCUMENTS[row]] * count, [OTHERS[row]] * count, np.arange(count))
    for x, y, weight in tf.data.Dataset.from_tensor_slices(batch):
        assert int(y["seq_relationship_logits"]) == 0
        assert float(weight["seq_relationship_logits"]) == 1.0
        first, second = segments(x, y, tokenizer)
        assert first
        assert second
        begin = find(first + second, whole)
        assert len(first) + len(second) == min(58, len(whole))
        # Both segments begin with a word.
        assert begins_word(tokenizer, first[0])
        assert begins_word(tokenizer, second[0])
        begins.add(begin)
        cuts.add(len(first))
    assert len(cuts) > 7
    assert len(begins) > 7


def test_a_document_of_one_word_has_pieces_on_both_sides(tokenizer):
    preprocessor = PreTrainingPreprocessor(tokenizer, max_length=23, other_rate=0.0)
    count = 19
    counts = set()
    for document in ("q", "bird", "qbirdq"):
        pieces = tokenizer.tokenize(document).shape[0]
        counts.add(pieces)
        lengths = {(first, pieces - first) for first in range(1, pieces)} or {(1, 0)}
        batch = preprocessor([document] * count, ["bird"] * count, np.arange(count))
        found = {
            tuple(map(len, segments(x, y, tokenizer)))
            for x, y, _ in tf.data.Dataset.from_tensor_slices(batch)
        }
        assert found <= lengths
    assert 2 in counts


def test_other_segments_are_the_other_documents(tokenizer):
    preprocessor = PreTrainingPreprocessor(tokenizer, max_length=61, other_rate=1.0)
    for draw in range(7):
        batch = tf.data.Dataset.from_tensor_slices(preprocessor(DOCUMENTS[1:], OTHERS[1:], draw))
        for document, other, (x, y, _) in zip(DOCUMENTS[1:], OTHERS[1:], batch, strict=True):
            assert int(y["seq_relationship_logits"]) == 1
            first, second = segments(x, y, tokenizer)
            find(first, tokenizer.tokenize(document).numpy().tolist())
            find(second, tokenizer.tokenize(other).numpy().tolist())
            assert len(first) + len(second) <= 58
            assert bool(second) == bool(other)


def test_shares_of_labels(tokenizer):
    preprocessor = PreTrainingPreprocessor(tokenizer, max_length=61, other_rate=0.3)
    count = 601
    _, y, _ = preprocessor(DOCUMENTS[3:4] * count, OTHERS[3:4] * count, np.arange(count))
    assert 0.24 < y["seq_relationship_logits"].numpy().mean() < 0.36


def test_outputs(tokenizer):
    preprocessor = PreTrainingPreprocessor(tokenizer, max_length=61, mask_rate=0.2)
    x, y, weight = preprocessor(DOCUMENTS, OTHERS)
    assert {key: (v.shape, v.dtype.name) for key, v in x.items()} == {
        "input_ids": ((6, 61), "int32"),
        "attention_mask": ((6, 61), "int32"),
        "token_type_ids": ((6, 61), "int32"),
        "masked_positions": ((6, 13), "int32"),
    }
    for values, dtype in ((y, "int32"), (weight, "float32")):
        assert {key: (v.shape, v.dtype.name) for key, v in values.items()} == {
            "prediction_logits": ((6, 13), dtype),
            "seq_relationship_logits": ((6,), dtype),
        }
    hidden = weight["prediction_logits"].numpy()
    assert hidden[4].sum() > 7
    ids = tf.gather(x["input_ids"], x["masked_positions"], batch_dims=1).numpy()
    assert (ids[hidden > 0] == tokenizer.mask_token_id).mean() > 0.5


def test_documents_that_do_not_fit(tokenizer):
    preprocessor = PreTrainingPreprocessor(tokenizer, max_length=61)
    for documents in (("a", ["b"]), (["a"], ["b", "c"])):
        with pytest.raises(ValueError, match="`document` and `other_document`"):
            preprocessor(*documents)
