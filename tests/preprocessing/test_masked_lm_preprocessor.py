import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.masked_lm_preprocessor import MaskedLMPreprocessor
from bigbird_tf.preprocessing.masking import MaskingRates, MaskingVocabulary, mask_words
from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase, assert_same
from tests.preprocessing.test_question_answering_preprocessor import long_text

TEXTS = [long_text(seed, words) for seed, words in enumerate((0, 1, 3, 17, 97, 211))]


class TestContract(PreprocessorTestCase):
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return MaskedLMPreprocessor(tokenizer, max_length=61, mask_rate=0.2, max_masked=11, seed=5)

    @pytest.fixture
    def arguments(self):
        return tf.constant(TEXTS), tf.constant([3, 0, 0, 1, 4, 1], tf.int64)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("mask_rate", 1.5),
            ("mask_token_rate", -0.1),
            ("random_token_rate", "x"),
            ("random_token_rate", 0.3),
            ("max_masked", 0),
            ("seed", -1),
            ("seed", 0.5),
        ],
    )
    def test_impossible_rates(self, tokenizer, name, value):
        with pytest.raises(ValueError, match=f"`{name}`"):
            MaskedLMPreprocessor(tokenizer, **{name: value})


def unpack(result):
    return tf.nest.map_structure(lambda value: value.numpy(), result)


class TestTargets:
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return MaskedLMPreprocessor(tokenizer, max_length=101)

    def test_are_the_pieces_of_the_text(self, tokenizer, preprocessor):
        """Putting the targets back gives the text's own pieces; nothing else was changed."""
        x, y, weight = unpack(preprocessor(TEXTS))
        expected = tokenizer(TEXTS, max_length=101, padding="max_length")
        ids = x["input_ids"].copy()
        for row, (positions, pieces, used) in enumerate(
            zip(x["masked_positions"], y, weight > 0, strict=True)
        ):
            assert (np.diff(positions[used]) > 0).all()
            assert not positions[~used].any()
            assert not pieces[~used].any()
            changed = np.flatnonzero(ids[row] != expected["input_ids"].numpy()[row])
            assert set(changed) <= set(positions[used])
            ids[row, positions[used]] = pieces[used]
        np.testing.assert_array_equal(ids, expected["input_ids"])
        for key in ("attention_mask", "token_type_ids"):
            np.testing.assert_array_equal(x[key], expected[key])

    def test_shapes_and_dtypes(self, preprocessor):
        x, y, weight = preprocessor(TEXTS)
        assert x["masked_positions"].shape == y.shape == weight.shape == (6, 16)
        assert (x["masked_positions"].dtype, y.dtype, weight.dtype) == (
            tf.int32,
            tf.int32,
            tf.float32,
        )

    def test_special_pieces_are_never_chosen(self, tokenizer):
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=53, mask_rate=1.0)
        text = "[MASK] the [SEP] bird \U0010ffff [CLS] <s> sings"
        x, y, weight = unpack(preprocessor([text, ""]))
        special = tokenizer.get_special_tokens_mask(tokenizer(text, max_length=53)["input_ids"])
        chosen = x["masked_positions"][0][weight[0] > 0]
        np.testing.assert_array_equal(chosen, np.flatnonzero(special.numpy() == 0))
        assert not set(y[weight > 0]) & set(tokenizer.all_special_ids)
        assert weight[1].sum() == 0

    def test_whole_words(self, tokenizer):
        texts = ["swallow linnet warbler " * 5] * 20
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=201, mask_rate=0.3)
        x, _, weight = unpack(preprocessor(texts, np.arange(20)))
        ids = tokenizer(texts[0], max_length=201, padding="max_length")["input_ids"].numpy()
        assert tokenizer.unk_token_id not in ids
        begins = np.array([tokenizer.id_to_token(int(i)).startswith("▁") for i in ids])
        word = np.cumsum(begins | (ids < 7))
        assert 4 < np.bincount(word).max() <= 10
        partly = 0
        for positions, used in zip(x["masked_positions"], weight > 0, strict=True):
            chosen = np.isin(np.arange(201), positions[used])
            for number in set(word[chosen]):
                partly += not chosen[word == number].all()
            assert chosen.any()
        assert partly == 0

    def test_text_without_spaces_is_no_single_word(self, tokenizer):
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=401)
        _, _, weight = preprocessor("日本語猫" * 90)
        assert 40 < weight.numpy().sum() < 62

    def test_shares(self, tokenizer):
        """15 percent; of those 80, 10 and 10 (a random piece can be the piece itself)."""
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=2003)
        text = long_text(3, 3000)
        x, y, weight = unpack(preprocessor([text] * 23, np.arange(23)))
        used = weight > 0
        assert 0.14 < used.sum() / (23 * 2001) < 0.151
        hidden = np.take_along_axis(x["input_ids"], x["masked_positions"], axis=1)[used]
        mask_share = (hidden == tokenizer.mask_token_id).mean()
        same_share = (hidden == y[used]).mean()
        assert 0.78 < mask_share < 0.82
        assert 0.085 < same_share < 0.115
        drawn = hidden[(hidden != tokenizer.mask_token_id) & (hidden != y[used])]
        assert not set(drawn) & set(tokenizer.all_special_ids)
        assert len(set(drawn)) > 0.8 * (tokenizer.vocab_size - 7)

    @pytest.mark.parametrize(("name", "hidden_by"), [("mask_token_rate", "mask"), (None, "self")])
    def test_one_way_alone(self, tokenizer, name, hidden_by):
        rates = {"mask_token_rate": 0.0, "random_token_rate": 0.0, **({name: 1.0} if name else {})}
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=101, **rates)
        x, y, weight = unpack(preprocessor(TEXTS))
        hidden = np.take_along_axis(x["input_ids"], x["masked_positions"], axis=1)[weight > 0]
        expected = y[weight > 0] if hidden_by == "self" else tokenizer.mask_token_id
        assert (hidden == expected).all()

    def test_every_piece_is_chosen_at_times(self, tokenizer):
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=47)
        x, _, weight = unpack(preprocessor([TEXTS[4]] * 499, np.arange(499)))
        counts = np.bincount(x["masked_positions"][weight > 0], minlength=47)
        assert counts[0] == counts[46] == 0
        assert counts[1:46].min() > 20
        assert counts.max() < 160

    def test_at_least_one_piece(self, tokenizer):
        preprocessor = MaskedLMPreprocessor(tokenizer, max_length=101, mask_rate=0.01)
        _, _, weight = preprocessor(TEXTS)
        np.testing.assert_array_equal(weight.numpy().sum(1) > 0, [False] + [True] * 5)


class TestReproducibility:
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return MaskedLMPreprocessor(tokenizer, max_length=67, seed=3)

    def test_texts_not_batches_decide(self, preprocessor):
        together = preprocessor(TEXTS)
        assert_same(preprocessor(TEXTS), together)
        for row, text in enumerate(TEXTS):
            alone = preprocessor(text)
            assert_same(alone, tf.nest.map_structure(lambda value, row=row: value[row], together))

    def test_seed_and_draw(self, tokenizer, preprocessor):
        text = TEXTS[4]
        other_seed = MaskedLMPreprocessor(tokenizer, max_length=67, seed=4)
        results = [preprocessor(text, draw) for draw in (0, 1, 2)]
        results += [other_seed(text, draw) for draw in (0, 1, 2)]
        positions = {tuple(x["masked_positions"].numpy()) for x, _, _ in results}
        assert len(positions) == 6

    def test_parallel_pipeline_with_an_epoch_counter(self, preprocessor):
        """Every epoch hides other words, and every run the same."""
        texts = tf.data.Dataset.from_tensor_slices(TEXTS[3:]).repeat(4)
        dataset = tf.data.Dataset.zip(texts, tf.data.Dataset.counter())
        first = list(dataset.map(preprocessor, num_parallel_calls=3))
        again = list(dataset.batch(5).map(preprocessor, num_parallel_calls=2).unbatch())
        for row, same in zip(first, again, strict=True):
            assert_same(row, same)
        positions = {tuple(x["masked_positions"].numpy()) for x, _, _ in first}
        assert len(positions) == 12

    def test_padding_changes_nothing(self, tokenizer):
        options = {"max_length": 67, "max_masked": 11, "seed": 3}
        longest = MaskedLMPreprocessor(tokenizer, padding="longest", **options)
        x, y, weight = unpack(longest(TEXTS[3]))
        padded, *targets = unpack(MaskedLMPreprocessor(tokenizer, **options)(TEXTS[3]))
        length = len(x["input_ids"])
        assert length < 67
        np.testing.assert_array_equal(padded["input_ids"][:length], x["input_ids"])
        np.testing.assert_array_equal(padded["masked_positions"], x["masked_positions"])
        np.testing.assert_array_equal(targets, [y, weight])


def test_mask_words_by_hand(tokenizer):
    """Words of 1, 2 and 3 pieces, ordered by given numbers: 3 before 1; 2 would go beyond K."""
    begins = [i for i in range(7, tokenizer.vocab_size) if tokenizer.id_to_token(i)[0] == "▁"][:3]
    inner = [i for i in range(7, tokenizer.vocab_size) if tokenizer.id_to_token(i)[0] != "▁"][:3]
    cls, sep, mask = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id
    a, b, c = begins
    ids = tf.constant([[cls, a, b, inner[0], c, inner[1], inner[2], sep, 0]])
    order = [0.0, 0.5, 0.9, 0.1, 0.2, 0.3, 0.4, 0.0, 0.0]  # of words 0 to 8: [CLS], a, b.., c..
    way = [0.1, 0.1, 0.1, 0.1, 0.85, 0.79, 0.95, 0.1, 0.1]
    choice = [0.0] * 9
    uniform = tf.stack([order, way, choice], axis=-1)[tf.newaxis]
    hidden, masked = mask_words(
        ids, uniform, MaskingVocabulary.of(tokenizer), MaskingRates(1.0, 0.8, 0.1), max_masked=5
    )
    ordinary = 7
    np.testing.assert_array_equal(
        hidden, [[cls, mask, b, inner[0], ordinary, mask, inner[2], sep, 0]]
    )
    np.testing.assert_array_equal(masked["masked_positions"], [[1, 4, 5, 6, 0]])
    np.testing.assert_array_equal(masked["masked_ids"], [[a, c, inner[1], inner[2], 0]])
    np.testing.assert_array_equal(masked["masked_weights"], [[1, 1, 1, 1, 0]])


def test_vocabulary_without_mask():
    model = train_vocabulary(user_defined_symbols=["[CLS]", "[SEP]"], unk_id=5)
    with pytest.raises(ValueError, match=r"\[MASK\]"):
        MaskedLMPreprocessor(BigBirdTokenizer(model))
