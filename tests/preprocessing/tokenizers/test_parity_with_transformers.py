"""The same `spiece.model` in transformers' BigBirdTokenizer, and where the two part.

Theirs is a rewriting on the `tokenizers` library and not `sentencepiece` itself, and knows no rules
of normalisation. In words between single spaces both agree, under a vocabulary without such rules.
The known differences are pinned below.
"""

import random

import numpy as np
import pytest

from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from tests.preprocessing.conftest import WORDS, train_vocabulary

pytestmark = pytest.mark.parity


@pytest.fixture(params=["small", "published"])
def ours(request):
    if request.param == "published":
        return BigBirdTokenizer(request.getfixturevalue("published_vocabulary"))
    return BigBirdTokenizer(train_vocabulary(normalization_rule_name="identity"))


@pytest.fixture
def theirs(ours, tmp_path):
    from transformers import BigBirdTokenizer as TransformersTokenizer

    ours.save_pretrained(tmp_path / "ours")
    return TransformersTokenizer.from_pretrained(tmp_path / "ours")


def sentences(count):
    rng = random.Random(31)
    words = [
        *WORDS,
        "unbelievably",
        "xyzzy",
        "tokenization?",
        "(like",
        "this)",
        "…",
        "Ünïcödé",
        "👍",
    ]
    return [" ".join(rng.choices(words, k=rng.randrange(1, 23))) for _ in range(count)]


def test_ids(ours, theirs):
    texts = sentences(2003)
    expected = theirs(texts, add_special_tokens=False).input_ids
    assert ours.tokenize(texts).to_list() == expected


def test_inputs(ours, theirs):
    first, second = sentences(211), sentences(419)[208:]
    for max_length in (None, 7, 16, 37):
        expected = theirs(
            first,
            second,
            max_length=max_length,
            truncation=max_length is not None,
            padding=True,
            return_token_type_ids=True,
            return_tensors="np",
        )
        actual = ours(first, second, max_length=max_length)
        for key, value in actual.items():
            np.testing.assert_array_equal(value, expected[key])


def test_special_pieces(ours, theirs):
    assert ours.vocab_size == len(theirs)
    for name in ["cls", "sep", "mask", "pad", "unk", "bos", "eos"]:
        assert getattr(ours, f"{name}_token_id") == getattr(theirs, f"{name}_token_id")
    text = "the [MASK] bird [SEP]"
    assert ours.tokenize(text).numpy().tolist() == theirs(text, add_special_tokens=False).input_ids


MASKED = (
    *("the [MASK] sings", "the  [MASK]   sings", "the\n[MASK] of", "the \n\t [MASK]", "x[MASK]"),
    *("[MASK]", " [MASK] of", "[MASK] of", "the [MASK]", "\t[MASK]", "the\u00a0[MASK] of"),
    *("[MASK] [MASK]", "the [MASK][MASK]", "the [MASK]  [MASK] of", "a. [MASK] of", "猫 [MASK]"),
    *(
        "the [SEP] [MASK] of",
        "the [MASK] [SEP] of",
        "the [CLS] [MASK]",
        "a [SEP][MASK]",
        "(  [MASK]",
    ),
    *("the [SEP] of", "the [CLS] [SEP]", "the [MASK", "the MASK]", "the [mask] of"),
)


def test_mask_takes_the_space_before_it(ours, theirs, tmp_path):
    """In what each of the two saves, too."""
    expected = theirs(list(MASKED), add_special_tokens=False).input_ids
    assert ours.tokenize(MASKED).to_list() == expected
    assert ours.token_to_id("▁") not in ours.tokenize(MASKED[0]).numpy()
    theirs.save_pretrained(tmp_path / "theirs")
    assert BigBirdTokenizer.from_pretrained(tmp_path / "theirs").tokenize(MASKED).to_list() == (
        expected
    )


def test_mask_takes_no_space(ours, tmp_path):
    """What a file says otherwise is done otherwise, here and there."""
    from transformers import BigBirdTokenizer as TransformersTokenizer

    plain = BigBirdTokenizer(ours.save_vocabulary(tmp_path), lstrip=(), rstrip=["[MASK]"])
    plain.save_pretrained(tmp_path / "plain")
    theirs = TransformersTokenizer.from_pretrained(tmp_path / "plain")
    # They begin no text with a space whose first piece is special.
    texts = [text for text in MASKED if not text.lstrip().startswith("[MASK]")]
    expected = theirs(texts, add_special_tokens=False).input_ids
    assert plain.tokenize(texts).to_list() == expected != ours.tokenize(texts).to_list()


def test_saved_by_transformers_loads_here(ours, theirs, tmp_path):
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = BigBirdTokenizer.from_pretrained(tmp_path / "theirs")
    texts = sentences(503)
    assert loaded.tokenize(texts).to_list() == ours.tokenize(texts).to_list()


@pytest.mark.parametrize(
    ("text", "mine", "other"),
    [
        # They keep a space at the end.
        ("the bird ", "▁the▁bird", "▁the▁bird▁"),
        ("  ", "", "▁"),
        # They begin no text with a space whose first piece is special, and add one behind such.
        ("[SEP]of", "▁[SEP]of", "[SEP]▁of"),
        ("the [MASK].", "▁the[MASK].", "▁the [MASK]▁."),
        ("the [MASK]s", "▁the[MASK]s", "▁the [MASK]▁s"),
    ],
)
def test_known_differences(ours, theirs, text, mine, other):
    assert "".join(ours.id_to_token(i) for i in ours.tokenize(text).numpy()) == mine
    assert "".join(theirs.tokenize(text)) == other


def test_control_pieces_in_text(ours, theirs):
    """Written in a text, `<pad>` is six letters here, and padding in theirs."""
    assert ours.pad_token_id not in ours.tokenize("the <pad> bird").numpy()
    assert theirs.pad_token_id in theirs("the <pad> bird").input_ids
