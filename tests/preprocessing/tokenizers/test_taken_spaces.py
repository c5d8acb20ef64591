"""`[MASK]` takes the spaces before it."""

import json

import hypothesis
import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import strategies

from bigbird_tf.preprocessing import BigBirdTokenizer, MaskedLMPreprocessor
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.tokenizers.test_big_bird_tokenizer import strings

MODELS = [train_vocabulary(), train_vocabulary(normalization_rule_name="identity")]
TOKENIZERS = [BigBirdTokenizer(model) for model in MODELS]


@pytest.fixture(params=TOKENIZERS, ids=["nmt_nfkc", "identity"])
def tokenizer(request):
    return request.param


def pieces_of(tokenizer, text):
    ids = tokenizer.tokenize(text).numpy()
    return "|".join(tokenizer.id_to_token(int(index)) for index in ids)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("the [MASK] sings", "▁the|[MASK]|▁sings"),
        ("the   [MASK] sings", "▁the|[MASK]|▁sings"),
        ("the \n\t [MASK]", "▁the|[MASK]"),
        ("the\u00a0\u3000[MASK]", "▁the|[MASK]"),
        ("the▁[MASK]", "▁the|[MASK]"),
        ("the[MASK]", "▁the|[MASK]"),
        ("[MASK]", "[MASK]"),
        ("  [MASK] the", "[MASK]|▁the"),
        ("the [MASK]", "▁the|[MASK]"),
        ("the [MASK].", "▁the|[MASK]|."),
        ("[MASK][MASK] [MASK]", "[MASK]|[MASK]|[MASK]"),
        ("the [SEP] [MASK] [SEP]", "▁the|▁|[SEP]|[MASK]|▁|[SEP]"),
        ("[CLS] the", "▁|[CLS]|▁the"),
    ],
)
def test_by_hand(tokenizer, text, pieces):
    assert pieces_of(tokenizer, text) == pieces


def test_what_training_hides_is_what_a_text_with_masks_becomes(tokenizer):
    text = "the bird sings in the green house"
    words = text.split()
    preprocessor = MaskedLMPreprocessor(
        tokenizer,
        max_length=13,
        padding="longest",
        mask_rate=0.3,
        mask_token_rate=1.0,
        random_token_rate=0.0,
    )
    x, _, weights = preprocessor([text] * 3, [1, 2, 3])
    assert len(tokenizer.tokenize(text)) == len(words)
    for ids, positions, weight in zip(
        x["input_ids"], x["masked_positions"].numpy(), weights.numpy(), strict=True
    ):
        hidden = {int(position) - 1 for position in positions[weight > 0]}
        assert len(hidden) == 2
        served = " ".join("[MASK]" if i in hidden else word for i, word in enumerate(words))
        np.testing.assert_array_equal(tokenizer(served)["input_ids"], ids)


# Unicode's White_Space, which has not all that Python takes for space.
SPACES = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")
SPACES += "▁"


def expected_ids(processor, text):
    """The library's pieces without those of spaces alone that end before `[MASK]`."""
    found = []
    for piece in processor.encode(text, return_type="proto").pieces:
        if piece.piece == "[MASK]":
            while found and not found[-1][1].strip(SPACES):
                found.pop()
        found.append((piece.id, piece.surface if piece.id == 6 else piece.piece))
    return [index for index, _ in found]


def assert_as_expected(tokenizer, texts):
    model = MODELS[TOKENIZERS.index(tokenizer)]
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids, starts, ends = tokenizer.tokenize_with_offsets(texts)
    for text, row in zip(texts, ids.to_list(), strict=True):
        assert row == expected_ids(processor, text), text
    np.testing.assert_array_equal(tokenizer.tokenize(texts).flat_values, ids.flat_values)
    is_mask = ids.flat_values.numpy() == tokenizer.mask_token_id
    rows = ids.value_rowids().numpy()[is_mask]
    spans = zip(starts.flat_values.numpy()[is_mask], ends.flat_values.numpy()[is_mask], strict=True)
    for row, (start, end) in zip(rows, spans, strict=True):
        # Characters that the vocabulary drops belong to a piece beside them.
        assert b"[MASK]" in texts[row].encode()[start:end]
    return is_mask.sum()


def test_many_strings(tokenizer):
    texts = [text.decode("utf-8", "ignore").replace("\0", "") for text in strings(1009)]
    texts = [text.replace("[SEP]", " [MASK]") for text in texts]
    assert assert_as_expected(tokenizer, texts) > 100


@pytest.mark.slow
@hypothesis.given(
    strategies.lists(
        strategies.sampled_from(["[MASK]", "the", "x", "[SEP]", "½", "\u200b", "\u200e", *SPACES])
        | strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        max_size=12,
    )
)
def test_any_string(fragments):
    for tokenizer in TOKENIZERS:
        assert_as_expected(tokenizer, ["".join(fragments)])


def test_others_may_take_spaces():
    model = MODELS[1]
    both = BigBirdTokenizer(model, lstrip=["[MASK]", "[SEP]"], rstrip=["[CLS]"])
    assert pieces_of(both, "the [SEP] [CLS]   [MASK] of") == "▁the|[SEP]|▁|[CLS]|[MASK]|▁of"
    assert pieces_of(both, "[CLS]   of") == "▁|[CLS]|▁of"
    none = BigBirdTokenizer(model, lstrip=())
    assert pieces_of(none, "the [MASK] of") == "▁the|▁|[MASK]|▁of"


def test_texts_of_any_rank(tokenizer):
    texts = tf.constant([[["the [MASK]", "a"], ["[MASK]", ""]]])
    ids = tokenizer.tokenize(texts)
    assert ids.shape.rank == 4
    flat = tokenizer.tokenize(tf.reshape(texts, [-1])).to_list()
    assert [row for two in ids.to_list()[0] for row in two] == flat
    ragged = tf.ragged.constant([["the [MASK]"], [], ["a", "[MASK]"]])
    assert [len(row) for two in tokenizer.tokenize(ragged).to_list() for row in two] == [2, 1, 1]


def test_kept_in_saved_files(tmp_path):
    tokenizer = BigBirdTokenizer(MODELS[0], lstrip=["[SEP]"], rstrip=["[MASK]"])
    expected = pieces_of(tokenizer, "the [MASK] [SEP]")
    assert expected == "▁the|▁|[MASK]|[SEP]"
    keras.saving.save_model(tokenizer, tmp_path / "tokenizer.keras")
    tokenizer.save_pretrained(tmp_path)
    for loaded in (
        keras.saving.load_model(tmp_path / "tokenizer.keras"),
        BigBirdTokenizer.from_pretrained(tmp_path),
    ):
        assert pieces_of(loaded, "the [MASK] [SEP]") == expected


@pytest.mark.parametrize(
    ("mask", "pieces"),
    [
        ("[MASK]", "▁the|[MASK]"),
        ({"content": "[MASK]", "lstrip": True}, "▁the|[MASK]"),
        ({"content": "[MASK]", "lstrip": False}, "▁the|▁|[MASK]"),
    ],
)
def test_configs_of_older_versions(tmp_path, mask, pieces):
    """Before there was a list of added tokens, each stood by its own name."""
    (tmp_path / "spiece.model").write_bytes(MODELS[0])
    config = {"tokenizer_class": "BigBirdTokenizer", "mask_token": mask}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert pieces_of(BigBirdTokenizer.from_pretrained(tmp_path), "the [MASK]") == pieces


@pytest.mark.parametrize("content", ["no json", "[1]", '{"added_tokens_decoder": 3}'])
def test_broken_config(tmp_path, content):
    (tmp_path / "spiece.model").write_bytes(MODELS[0])
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(ValueError, match=r"must be a tokenizer_config\.json"):
        BigBirdTokenizer.from_pretrained(tmp_path)


def test_bad_arguments():
    with pytest.raises(TypeError, match="`lstrip` must be a list"):
        BigBirdTokenizer(MODELS[0], lstrip="[MASK]")
    with pytest.raises(ValueError, match="`rstrip` must be pieces of the vocabulary"):
        BigBirdTokenizer(MODELS[0], rstrip=["[NONE]"])
