import json
import random
import re

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf import preprocessing
from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer, DnaTokenizer, Tokenizer
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.preprocessor_test_case import assert_same

IUPAC = {"U": "T", **dict.fromkeys("RYSWKMBDHV", "N")}


def bases(count: int, seed: int = 5, letters: str = "ACGT") -> str:
    """Random bases in which some words come often."""
    rng = random.Random(seed)
    words = ["TATAAT", "TTGACA", "AGGAGG", *letters]
    return "".join(rng.choices(words, k=count))[:count]


def read(text: str) -> str:
    return "".join(IUPAC.get(letter, letter) for letter in text.upper())


@pytest.fixture(scope="module")
def learnt():
    return DnaTokenizer.train([bases(9000), bases(3001, 7) + "NN" + bases(211)], vocab_size=61)


@pytest.fixture(scope="module")
def kinds(learnt):
    return {
        "learnt": learnt,
        "3-mers": DnaTokenizer(k=3),
        "overlapping 4-mers": DnaTokenizer(k=4, overlapping=True),
    }


@pytest.fixture(params=["learnt", "3-mers", "overlapping 4-mers"])
def tokenizer(request, kinds):
    return kinds[request.param]


def tokens(tokenizer, text):
    return [tokenizer.id_to_token(int(index)) for index in tokenizer.tokenize(text)]


def stretches(text: str) -> list[str]:
    """Stretches of bases, and what is between them: special tokens, and each N."""
    return re.findall(r"\[\w+\]|N|[ACGT]+", text)


def kmers(text: str, k: int, overlapping: bool) -> list[str]:
    """The documented rule, one letter after the other."""
    found = []
    for part in stretches(text):
        if part[0] in "[N" or len(part) < k:
            found += [part] if part[0] == "[" else list(part)
        elif overlapping:
            found += [part[i : i + k] for i in range(len(part) - k + 1)]
        else:
            whole = len(part) // k * k
            found += [part[i : i + k] for i in range(0, whole, k)] + list(part[whole:])
    return found


SEQUENCES = (
    *("", "N", "A", "AC", "ACG", "ACGT", "NNACGTN", "[MASK]", "[MASK][MASK]ACGTA[SEP]NN"),
    *("ACGN[CLS]ACGTAC[MASK]AC", "NANCNGNT", "[SEP]AAAAAAAAA"),
    *(bases(n, n, "ACGTN") for n in (17, 29, 101, 997)),
)


class TestKmers:
    @pytest.mark.parametrize("k", [3, 4, 6])
    @pytest.mark.parametrize("overlapping", [False, True])
    def test_the_rule(self, k, overlapping):
        tokenizer = DnaTokenizer(k=k, overlapping=overlapping)
        assert tokenizer.vocab_size == 12 + 4**k
        rows = tokenizer.tokenize(list(SEQUENCES)).to_list()
        for text, row in zip(SEQUENCES, rows, strict=True):
            found = [tokenizer.id_to_token(index) for index in row]
            assert found == kmers(text, k, overlapping), text

    def test_impossible(self):
        for k in (2, 7, 3.0, True, "3"):
            with pytest.raises(ValueError, match=r"`k` must be an integer from 3 to 6. Received"):
                DnaTokenizer(k=k)
        with pytest.raises(ValueError, match="`overlapping` is of k-mers"):
            DnaTokenizer(overlapping=True)
        with pytest.raises(ValueError, match="`model` and `k` must not both"):
            DnaTokenizer(b"model", k=3)


class TestLearnt:
    def test_equals_the_library(self, learnt, tmp_path):
        """Piece by piece what `sentencepiece` finds in the letters as they are read."""
        model = learnt.save_vocabulary(tmp_path).read_bytes()
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        texts = [text for text in SEQUENCES if "[" not in text]
        assert learnt.tokenize(texts).to_list() == processor.encode(texts)

    def test_pieces(self, learnt):
        assert learnt.vocab_size == 61
        found = {learnt.id_to_token(i) for i in range(4, 61)}
        assert {*"ACGTN", "AGGAGG"} <= found
        # N is in no other piece, and there are no signs for spaces.
        assert not [piece for piece in found if set(piece) > {"N"} and "N" in piece]
        assert all(set(piece) <= set("ACGTN") or piece[0] == "[" for piece in found)

    def test_all_bases_are_pieces(self):
        assert tokens(DnaTokenizer.train(["AAAA" * 9], vocab_size=20), "CGNTN") == list("CGNTN")
        with pytest.raises(ValueError, match="must have A, C, G, T and N as pieces"):
            DnaTokenizer(train_vocabulary())

    def test_the_same_again(self, learnt, tmp_path):
        again = DnaTokenizer.train([bases(9000), bases(3001, 7) + "NN" + bases(211)], 61)
        texts = [bases(n, n) for n in (31, 499)]
        assert again.tokenize(texts).to_list() == learnt.tokenize(texts).to_list()

    def test_draws_chunks_of_long_sequences(self):
        """What is drawn is spread over all of it, and is the seed's."""
        sequence = "".join(bases(4000, n) for n in range(9))
        made = [DnaTokenizer.train([sequence], 90, max_bases=8000, seed=s) for s in (1, 1, 2)]
        pieces = [[t.id_to_token(i) for i in range(t.vocab_size)] for t in made]
        assert pieces[0] == pieces[1] != pieces[2]

    def test_what_cannot_be_learnt_from(self):
        with pytest.raises(TypeError, match=r"pass \[sequence\]"):
            DnaTokenizer.train("ACGT")
        with pytest.raises(TypeError, match="sequence 1 must be a string or bytes"):
            DnaTokenizer.train(["ACGT", 5])
        with pytest.raises(ValueError, match=r"Received: X at base 2 .* of sequence 1"):
            DnaTokenizer.train(["ACGT", "ACXT"])
        for nothing in ([], ["NNN", ""]):
            with pytest.raises(ValueError, match="stretches of A, C, G and T"):
                DnaTokenizer.train(nothing)
        for name in ("vocab_size", "max_bases"):
            with pytest.raises(
                ValueError, match=f"`{name}` must be (an|a positive) integer.*Received: {name}="
            ):
                DnaTokenizer.train(["ACGT"], **{name: 0})


class TestLetters:
    def test_are_read_alike(self, tokenizer):
        written = "acgtnACGTNuURYSWKMBDHVryswkmbdhv" + bases(53).lower() + "[MASK]acg[SEP]"
        plain = read(written[:-14]) + "[MASK]ACG[SEP]"
        assert tokens(tokenizer, written) == tokens(tokenizer, plain)
        rows = tokenizer.tokenize_with_offsets(written)[1:]
        expected = tokenizer.tokenize_with_offsets(plain)[1:]
        for mine, theirs in zip(rows, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    @pytest.mark.parametrize(
        ("sequences", "shown"),
        [
            (["ACGT", "", "ACX"], "X at base 2 of sequence 2"),
            (["AC GT"], "byte 32 at base 2 of sequence 0"),
            (["", "-ACG"], "- at base 0 of sequence 1"),
            (["ACG\n"], "byte 10 at base 3"),
            (["ACGé"], "byte 195 at base 3"),
            (["ACG\0"], "byte 0 at base 3"),
            (["[MASK"], r"\[ at base 0"),
            (["AC[mask]"], r"\[ at base 2"),
        ],
    )
    def test_others_are_refused(self, kinds, sequences, shown):
        for tokenizer in kinds.values():
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"Received: {shown}"):
                tokenizer.tokenize(tf.constant(sequences))

    def test_others_are_refused_in_graphs(self, learnt):
        tokenize = tf.function(learnt.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
        assert tokenize(tf.constant(["AC", ""])).nrows() == 2
        with pytest.raises(tf.errors.InvalidArgumentError, match="X at base 1 of sequence 1"):
            tokenize(tf.constant(["AC", "AX"]))


def test_offsets_are_bases(tokenizer):
    """Every piece is what stands at its bases, and all bases are there."""
    ids, starts, ends = (v.to_list() for v in tokenizer.tokenize_with_offsets(list(SEQUENCES)))
    for text, *row in zip(SEQUENCES, ids, starts, ends, strict=True):
        covered = set()
        for index, start, end in zip(*row, strict=True):
            assert text[start:end] == tokenizer.id_to_token(index)
            covered |= set(range(start, end))
        assert covered == set(range(len(text)))
        assert row[1] == sorted(row[1])
        if not tokenizer.overlapping:
            assert row[2] == [*row[1][1:], len(text)][: len(row[1])]


def test_sequences_again(tokenizer):
    texts = list(SEQUENCES)
    rows = tokenizer.tokenize(texts)
    assert [text.decode() for text in tokenizer.detokenize(rows).numpy()] == texts
    assert tokenizer.detokenize(rows[8]).numpy().decode() == texts[8]
    padded = tokenizer(texts)["input_ids"]
    decoded = [text.decode() for text in tokenizer.detokenize(padded).numpy()]
    assert decoded == [f"[CLS]{text}[SEP]" for text in texts]
    nested = tokenizer.detokenize(tf.expand_dims(rows, 0))
    assert nested.to_list() == [[text.encode() for text in texts]]


def test_long_sequences(kinds):
    """A chromosome's worth, letters of one kind among it, in a time that grows with the length."""
    for text in (bases(400_000), "N" * 400_000, "A" * 399_999, "acgtn" * 80_000):
        for tokenizer in kinds.values():
            ids, _, ends = tokenizer.tokenize_with_offsets(text)
            assert int(ends[-1]) == len(text)
            assert not np.isin(ids, tokenizer.unk_token_id).any()


def test_special_ids_and_fields(tokenizer):
    assert tokenizer.config_fields == {
        "vocab_size": tokenizer.vocab_size,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "sep_token_id": 5,
    }
    assert tokenizer.mask_token == "[MASK]"
    assert tokenizer.begins_word.all()
    assert tokenizer.begins_word.shape == (tokenizer.vocab_size,)
    assert not tokenizer.has_words
    assert tokens(tokenizer, tokenizer.example_word * 7) == ["N"] * 7


class TestSaving:
    def test_directory(self, tokenizer, tmp_path):
        tokenizer.save_pretrained(tmp_path)
        for kind in (Tokenizer, DnaTokenizer):
            again = kind.from_pretrained(tmp_path)
            assert type(again) is DnaTokenizer
            assert_same(again(list(SEQUENCES)), tokenizer(list(SEQUENCES)))
        with pytest.raises(ValueError, match="tokenizer_class='DnaTokenizer'"):
            BigBirdTokenizer.from_pretrained(tmp_path)

    def test_model_of_another_tool(self, learnt, tmp_path):
        """`spiece.model` alone, as SentencePiece writes it."""
        path = learnt.save_vocabulary(tmp_path)
        for again in (DnaTokenizer(path), DnaTokenizer.from_pretrained(tmp_path)):
            assert tokens(again, "acgtn" * 5) == tokens(learnt, "ACGTN" * 5)

    def test_keras_file(self, tokenizer, tmp_path):
        keras.saving.save_model(tokenizer, tmp_path / "tokenizer.keras")
        again = keras.saving.load_model(tmp_path / "tokenizer.keras")
        assert type(again) is DnaTokenizer
        assert_same(again(list(SEQUENCES)), tokenizer(list(SEQUENCES)))
        config = json.loads(json.dumps(tokenizer.get_config()))
        assert (config["k"], config["overlapping"]) == (tokenizer.k, tokenizer.overlapping)
        assert DnaTokenizer.from_config(config).get_config() == config

    @pytest.mark.slow
    def test_saved_model_in_a_fresh_process(self, kinds, saved_model_process):
        module = tf.Module()
        for number, tokenizer in enumerate(kinds.values()):
            setattr(module, f"tokenizer{number}", tokenizer)

        def encode(text):
            return [tokenizer(text)["input_ids"] for tokenizer in kinds.values()]

        module.encode = tf.function(encode, input_signature=[tf.TensorSpec([None], tf.string)])
        outputs = saved_model_process.run(module, "encode", tf.constant(SEQUENCES))
        expected = tf.nest.flatten(encode(tf.constant(SEQUENCES)))
        for mine, theirs in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


THREE = [bases(n, n) for n in (19, 41, 60)]
WORDS = [["ACG", "TTG", ""], ["A", "CCC", "TTGACA"], ["GAT", "", ""]]
# Each preprocessor but that of summaries, which is of Pegasus, and of questions: a kind of pieces,
# and arguments for three sequences.
PREPROCESSED = {
    "MaskedLMPreprocessor": ("learnt", (THREE, [0, 1, 2])),
    "PreTrainingPreprocessor": ("overlapping 4-mers", (THREE, THREE[::-1], [0, 1, 2])),
    "SequenceClassificationPreprocessor": ("3-mers", (THREE, [2, 0, 1])),
    "TokenClassificationPreprocessor": (
        "learnt",
        (WORDS, [[1, 0, -100], [0, 2, 1], [2, -100, -100]]),
    ),
    "MultipleChoicePreprocessor": ("3-mers", (THREE, [["ACG", "T"]] * 3, [1, 0, 1])),
}


@pytest.mark.parametrize("name", PREPROCESSED)
def test_preprocessors(kinds, name, tmp_path):
    kind, arguments = PREPROCESSED[name]
    layer = getattr(preprocessing, name)(kinds[kind], max_length=37)
    arguments = tuple(tf.constant(argument) for argument in arguments)
    expected = layer(*arguments)
    dataset = tf.data.Dataset.from_tensor_slices(arguments).batch(3).map(layer)
    assert_same(next(iter(dataset)), expected)
    keras.saving.save_model(layer, tmp_path / "layer.keras")
    assert_same(keras.saving.load_model(tmp_path / "layer.keras")(*arguments), expected)


def test_questions(learnt):
    """A place in a sequence is what is asked for, as in a text."""
    layer = bb.QuestionAnsweringPreprocessor(learnt, max_length=48, max_question_length=8)
    _, y = layer("TATAAT", bases(9) + "TTGACA", "TTGACA", 9)
    assert int(y["start_logits"][0]) > 0


def test_masks_are_single_pieces(learnt):
    """There are no words that would have to be hidden as one."""
    layer = bb.MaskedLMPreprocessor(learnt, max_length=400, mask_rate=0.15)
    x, _, weight = layer(tf.constant([bases(2000)]), tf.constant([3]))
    places = np.sort(x["masked_positions"].numpy()[0][weight.numpy()[0] > 0])
    assert len(places) > 30
    assert (np.diff(places) > 1).mean() > 0.5
