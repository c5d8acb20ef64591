import json

import pytest
import tensorflow as tf

from bigbird_tf import BigBirdPegasusConfig
from bigbird_tf.preprocessing import BigBirdTokenizer, PegasusTokenizer, SummarizationPreprocessor
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase

DOCUMENTS = ["the river of stone\nwalks with birds", "and", "", "a green house " * 9]
SUMMARIES = ["the river", "birds sing to the stone house of Zürich", "", "house\ngreen"]
SEQUENCE, TARGET = 23, 7
START, PAD, EOS = 2, 0, 1


class TestContract(PreprocessorTestCase):
    @pytest.fixture
    def tokenizer(self, pegasus_tokenizer):
        return pegasus_tokenizer

    @pytest.fixture
    def preprocessor(self, tokenizer):
        return SummarizationPreprocessor(tokenizer, SEQUENCE, TARGET)

    @pytest.fixture
    def arguments(self):
        return tf.constant(DOCUMENTS), tf.constant(SUMMARIES)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sequence_length", 1),
            ("sequence_length", None),
            ("target_length", 1),
            ("target_length", True),
            ("padding", "always"),
            ("pad_to_multiple_of", -1),
        ],
    )
    def test_impossible_lengths(self, preprocessor, tokenizer, name, value):
        config = {**preprocessor.get_config(), "tokenizer": tokenizer, name: value}
        with pytest.raises(ValueError, match=f"`{name}`"):
            SummarizationPreprocessor(**config)


def rows_of(tokenizer, texts, length):
    """Each text's pieces and `</s>`, padded, in lists; and the number of them."""
    rows = [[*tokenizer.tokenize(t).numpy().tolist()[: length - 1], EOS] for t in texts]
    return [[*row, *[PAD] * (length - len(row))] for row in rows], [len(row) for row in rows]


def mask_of(counts, length):
    return [[1] * count + [0] * (length - count) for count in counts]


def test_by_hand(pegasus_tokenizer):
    preprocessor = SummarizationPreprocessor(pegasus_tokenizer, SEQUENCE, TARGET)
    x, y, weights = preprocessor(DOCUMENTS, SUMMARIES)
    documents, counts = rows_of(pegasus_tokenizer, DOCUMENTS, SEQUENCE)
    # One of each is cut, and one is empty.
    assert max(counts) == SEQUENCE
    assert min(counts) == 1
    assert x["input_ids"].numpy().tolist() == documents
    assert x["attention_mask"].numpy().tolist() == mask_of(counts, SEQUENCE)
    summaries, counts = rows_of(pegasus_tokenizer, SUMMARIES, TARGET)
    assert (max(counts), min(counts)) == (TARGET, 1)
    assert y.numpy().tolist() == summaries
    assert weights.numpy().tolist() == mask_of(counts, TARGET)
    assert weights.dtype == tf.float32
    assert x["decoder_attention_mask"].numpy().tolist() == mask_of(counts, TARGET)
    # The end is to be predicted, but not read.
    assert x["decoder_input_ids"].numpy().tolist() == [
        [START, *row[: count - 1], *[PAD] * (TARGET - count)]
        for row, count in zip(summaries, counts, strict=True)
    ]


def test_one_string(pegasus_tokenizer):
    preprocessor = SummarizationPreprocessor(pegasus_tokenizer, SEQUENCE, TARGET)
    alone = preprocessor(DOCUMENTS[0], SUMMARIES[0])
    batch = preprocessor(DOCUMENTS[:1], SUMMARIES[:1])
    for mine, theirs in zip(tf.nest.flatten(alone), tf.nest.flatten(batch), strict=True):
        assert mine.numpy().tolist() == theirs[0].numpy().tolist()


def test_without_summaries(pegasus_tokenizer):
    preprocessor = SummarizationPreprocessor(pegasus_tokenizer, SEQUENCE, TARGET)
    x = preprocessor(DOCUMENTS)
    assert sorted(x) == ["attention_mask", "input_ids"]
    assert x["input_ids"].shape == (4, SEQUENCE)
    assert preprocessor(DOCUMENTS[0])["input_ids"].shape == (SEQUENCE,)


def test_longest(pegasus_tokenizer):
    preprocessor = SummarizationPreprocessor(
        pegasus_tokenizer, SEQUENCE, TARGET, padding="longest", pad_to_multiple_of=4
    )
    x, y, _ = preprocessor(["the river of", "and"], ["the", ""])
    pieces = len(pegasus_tokenizer.tokenize("the river of")) + 1
    assert x["input_ids"].shape == (2, -(-pieces // 4) * 4)
    assert y.shape == x["decoder_input_ids"].shape == (2, 4)


def test_google_ends_summaries_only(pegasus_vocabulary):
    tokenizer = PegasusTokenizer(pegasus_vocabulary, add_eos_token=False)
    x, y, _ = SummarizationPreprocessor(tokenizer, SEQUENCE, TARGET)("the river", "the")
    assert EOS not in x["input_ids"].numpy()
    assert y.numpy().tolist()[: y.numpy().tolist().index(PAD)][-1] == EOS


def test_start(pegasus_tokenizer):
    preprocessor = SummarizationPreprocessor(pegasus_tokenizer, 5, 5, decoder_start_token_id=9)
    assert preprocessor("the", "river")[0]["decoder_input_ids"].numpy()[0] == 9


def test_other_tokenizers(vocabulary):
    with pytest.raises(TypeError, match=r"`tokenizer` must be a `PegasusTokenizer`.*BigBirdTok"):
        SummarizationPreprocessor(BigBirdTokenizer(vocabulary))


def test_shapes_that_differ(pegasus_tokenizer):
    preprocessor = SummarizationPreprocessor(pegasus_tokenizer, SEQUENCE, TARGET)
    for summary in ("the", ["the"]):
        with pytest.raises(ValueError, match="`document` and `summary` must be two strings or two"):
            preprocessor(DOCUMENTS, summary)


class TestStart:
    """The token that decoders read first, of a model's folder."""

    @pytest.fixture
    def folder(self, pegasus_tokenizer, tmp_path):
        pegasus_tokenizer.save_pretrained(tmp_path)
        fields = {**pegasus_tokenizer.config_fields, "decoder_start_token_id": PAD}
        BigBirdPegasusConfig(**fields).save_pretrained(tmp_path)
        return tmp_path

    def test_the_config_has_it(self, folder):
        preprocessor = SummarizationPreprocessor.from_pretrained(folder, target_length=TARGET)
        x, _, _ = preprocessor(DOCUMENTS, SUMMARIES)
        assert x["decoder_input_ids"][:, 0].numpy().tolist() == [PAD] * 4
        message = "must be that of the model's config.*, 0. Received: decoder_start_token_id=2"
        with pytest.raises(ValueError, match=message):
            SummarizationPreprocessor.from_pretrained(folder, decoder_start_token_id=START)

    def test_that_of_the_generation_config_counts_more(self, folder):
        """As for models; without one there, the config's."""
        file = folder / "generation_config.json"
        for settings, start in (({"decoder_start_token_id": 7}, 7), ({"num_beams": 2}, PAD)):
            file.write_text(json.dumps(settings))
            preprocessor = SummarizationPreprocessor.from_pretrained(folder)
            assert preprocessor.decoder_start_token_id == start
        file.unlink()

    def test_a_vocabulary_alone(self, folder):
        (folder / "config.json").unlink()
        preprocessor = SummarizationPreprocessor.from_pretrained(folder, target_length=TARGET)
        x, _, _ = preprocessor("a", "b")
        assert x["decoder_input_ids"][0] == START

    @pytest.mark.parametrize("start", [-1, 10**6, 1.0, True])
    def test_impossible_ones(self, pegasus_tokenizer, start):
        with pytest.raises(ValueError, match="`decoder_start_token_id` must be an id of the voc"):
            SummarizationPreprocessor(pegasus_tokenizer, decoder_start_token_id=start)


def test_an_empty_document_is_its_end(pegasus_vocabulary):
    """Also where documents have none: a model reads one token at least."""
    bare = PegasusTokenizer(pegasus_vocabulary, add_eos_token=False)
    preprocessor = SummarizationPreprocessor(bare, SEQUENCE, TARGET, padding="longest")
    x = preprocessor(["", "birds", ""])
    birds = bare.tokenize("birds").numpy().tolist()
    rest = [PAD] * (len(birds) - 1)
    assert x["input_ids"].numpy().tolist() == [[EOS, *rest], birds, [EOS, *rest]]
    assert x["attention_mask"].numpy().sum(1).tolist() == [1, len(birds), 1]
    assert preprocessor("")["input_ids"].numpy().tolist() == [EOS]
