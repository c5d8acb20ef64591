"""Every argument of every preprocessor, with a value of its own, found again where it acts."""

import inspect

import pytest
import tensorflow as tf

from bigbird_tf import preprocessing
from bigbird_tf.preprocessing import masking_preprocessor
from bigbird_tf.preprocessing.masking import MaskingRates
from bigbird_tf.preprocessing.tokenizers import tokenizer as tokenizer_module
from tests.watching import watch

LENGTHS = {"max_length": 43, "padding": "longest", "pad_to_multiple_of": 5}
MASKING = {
    "mask_rate": 0.31,
    "mask_token_rate": 0.62,
    "random_token_rate": 0.23,
    "max_masked": 9,
    "seed": 3,
}
OWN = {
    "MaskedLMPreprocessor": MASKING,
    "MultipleChoicePreprocessor": {},
    "PreTrainingPreprocessor": {**MASKING, "other_rate": 0.71},
    "QuestionAnsweringPreprocessor": {
        "doc_stride": 7,
        "max_question_length": 11,
        "max_windows": 2,
        "offset_unit": "bytes",
        "construction": "etc",
        "max_paragraphs": 6,
    },
    "SequenceClassificationPreprocessor": {"labels": ["x", "y"]},
    "TokenClassificationPreprocessor": {"labels": ["x", "y"]},
}
INPUTS = {
    "MaskedLMPreprocessor": (["the bird sings"],),
    "MultipleChoicePreprocessor": (["the bird"], [["sings", "walks"]]),
    "PreTrainingPreprocessor": (["the bird sings"], ["the river"]),
    "SequenceClassificationPreprocessor": (["the bird sings"],),
    "TokenClassificationPreprocessor": ([["the", "bird"]],),
}


def make(name, tokenizer):
    return getattr(preprocessing, name)(tokenizer, **LENGTHS, **OWN[name])


def test_all_preprocessors_are_here():
    # That of summaries has two lengths: see `test_summarization_preprocessor`.
    others = {"SummarizationPreprocessor"}
    everything = {name for name in preprocessing.__all__ if name.endswith("Preprocessor")}
    assert set(OWN) == everything - others


@pytest.mark.parametrize("name", OWN)
def test_attributes_and_config(tokenizer, name):
    made = make(name, tokenizer)
    parameters = set(inspect.signature(type(made)).parameters) - {"tokenizer", "kwargs"}
    given = {**LENGTHS, **OWN[name]}
    assert parameters == set(given)
    assert {key: getattr(made, key) for key in given} == given
    assert {key: made.get_config()[key] for key in given} == given
    assert made.tokenizer is tokenizer
    # By position they are in the same order as by name.
    signature = inspect.signature(type(made))
    ordered = [key for key in signature.parameters if key in given]
    again = type(made)(tokenizer, *(given[key] for key in ordered))
    assert {key: getattr(again, key) for key in given} == given


@pytest.mark.parametrize("name", INPUTS)
def test_lengths_and_special_pieces(tokenizer, monkeypatch, name):
    calls = watch(monkeypatch, tokenizer_module, "pack_segments")
    make(name, tokenizer)(*map(tf.constant, INPUTS[name]))
    [call] = calls
    ids = {key: getattr(tokenizer, key) for key in ("cls_token_id", "sep_token_id", "pad_token_id")}
    assert len(set(ids.values())) == 3
    assert {key: call[key] for key in (*LENGTHS, *ids)} == {**LENGTHS, **ids}
    assert call.get("truncation", True)


@pytest.mark.parametrize("name", ["MaskedLMPreprocessor", "PreTrainingPreprocessor"])
def test_masking(tokenizer, monkeypatch, name):
    masks = watch(monkeypatch, masking_preprocessor, "mask_words")
    draws = watch(monkeypatch, masking_preprocessor, "draw_uniform")
    x, *_ = make(name, tokenizer)(*map(tf.constant, INPUTS[name]), tf.constant([17]))
    [mask], [draw] = masks, draws
    assert mask["rates"] == MaskingRates(0.31, 0.62, 0.23)
    assert mask["max_masked"] == x["masked_positions"].shape[1] == 9
    assert mask["vocabulary"].mask_token_id == tokenizer.mask_token_id
    assert draw["seed"] == 3
    assert int(draw["draw"][0]) == 17


def test_rate_of_other_documents(tokenizer):
    """Never and always; and which document the second segment is of."""
    arguments = tf.constant(["the bird sings"] * 5), tf.constant(["river stone"] * 5)
    river = set(tokenizer.tokenize(["river stone"]).flat_values.numpy().tolist())
    for rate in (0.0, 1.0):
        made = preprocessing.PreTrainingPreprocessor(tokenizer, max_length=23, other_rate=rate)
        x, y, _ = made(*arguments, tf.range(5))
        labels = y["seq_relationship_logits"].numpy()
        assert labels.tolist() == [rate] * 5
        second = set(x["input_ids"].numpy()[x["token_type_ids"].numpy() == 1].tolist())
        assert bool(second & river) == bool(rate)


def test_most_masked_pieces_by_default(tokenizer):
    """The rate of the length, rounded up, and one at least."""
    for rate, length, expected in ((0.15, 100, 15), (0.15, 101, 16), (0.01, 20, 1), (0.0, 20, 1)):
        made = preprocessing.MaskedLMPreprocessor(tokenizer, max_length=length, mask_rate=rate)
        assert made.max_masked == expected


class TestQuestionAnswering:
    def test_windows(self, tokenizer):
        layout = make("QuestionAnsweringPreprocessor", tokenizer).window_layout
        assert layout._asdict() == {
            "text_layout": (
                tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.sep_token_id,
            ),
            "pad_token_id": tokenizer.pad_token_id,
            "doc_stride": 7,
            "max_windows": 2,
            "max_question_length": 11,
            "max_paragraphs": 6,
            **LENGTHS,
        }  # fmt: skip

    @pytest.mark.parametrize(("unit", "start"), [("characters", 5), ("bytes", 6)])
    def test_units_of_offsets(self, tokenizer, unit, start):
        made = preprocessing.QuestionAnsweringPreprocessor(
            tokenizer, max_length=43, max_question_length=11, offset_unit=unit
        )
        _, y = made("who?", "café bird", "bird", start)
        assert int(y["start_logits"][0]) > 0
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"counted in {unit}"):
            made("who?", "café bird", "bird", 11 - start)

    def test_room_of_one_piece(self, tokenizer):
        """Eight pieces: three special ones, four of the question, and one of the context."""
        options = {"max_question_length": 4}
        made = preprocessing.QuestionAnsweringPreprocessor(tokenizer, max_length=8, **options)
        assert made.doc_stride == 1
        with pytest.raises(ValueError, match="must leave room for the context"):
            preprocessing.QuestionAnsweringPreprocessor(tokenizer, max_length=7, **options)

    def test_stride_by_default(self, tokenizer):
        for length, stride in ((19, 4), (20, 5), (21, 5)):
            made = preprocessing.QuestionAnsweringPreprocessor(
                tokenizer, max_length=length, max_question_length=8
            )
            assert made.doc_stride == stride
