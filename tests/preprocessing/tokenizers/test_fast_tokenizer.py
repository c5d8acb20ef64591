"""`FastTokenizer`: vocabularies for which the graph has no operation, by the library itself."""

import itertools
import random
import sys

import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.serving import make_servable
from tests.contract import tiny_config
from tests.preprocessing.test_functional_models import check_in_a_fresh_process, functional_model
from tests.preprocessing.tokenizers.texts import assert_same, texts, training_texts

# RoBERTa's has two separators between two texts, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*lays one text and two out:UserWarning")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_without_the_library(tmp_path, monkeypatch):
    (tmp_path / "tokenizer.json").write_text(
        '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'
    )
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'bigbird-tf\[tokenizers\]'"):
        bb.Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("model", ['{"type": "BPE", "merges": []}', '{"type": "BPE", "vocab": 3}'])
def test_no_vocabulary(tmp_path, model):
    (tmp_path / "tokenizer.json").write_text(f'{{"model": {model}}}')
    with pytest.raises(ValueError, match=r"must be one that the library `tokenizers` writes"):
        bb.Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(("name", "is_heeded"), [("Roberta", True), ("PreTrained", False)])
def test_space_before_a_text(tmp_path, name, is_heeded):
    """As in `transformers`: classes that say nothing of rules go by `tokenizer.json` alone."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "Ġ", "Ġa"]
    ids = {token: index for index, token in enumerate(vocabulary)}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=ids, merges=[("Ġ", "a")]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    backend.save(str(tmp_path / "tokenizer.json"))
    config = f'{{"tokenizer_class": "{name}TokenizerFast", "add_prefix_space": true}}'
    (tmp_path / "tokenizer_config.json").write_text(config)
    ours = bb.Tokenizer.from_pretrained(tmp_path)
    assert ours.tokenize("a").numpy().tolist() == [7 if is_heeded else 5]
    ours.save_pretrained(tmp_path / "again")
    again = bb.Tokenizer.from_pretrained(tmp_path / "again")
    assert again.tokenize("a").numpy().tolist() == [7 if is_heeded else 5]


def dna(rng, length):
    return "".join(rng.choices("ACGT", k=length))


def train(kind):
    """Trains a vocabulary of the kind of GENA-LM (BPE), of 3-mers (WordLevel), or RoBERTa's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    rng = random.Random(47)
    if kind == "gena":
        backend = Tokenizer(models.BPE(unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
        backend.train_from_iterator([dna(rng, 700) for _ in range(11)], trainer)
        ends = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        backend.post_processor = processors.BertProcessing(ends[1], ends[0])
    elif kind == "3-mers":
        words = ["".join(letters) for letters in itertools.product("ACGT", repeat=3)]
        vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
        backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        backend.add_special_tokens(SPECIAL)
        backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    else:
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        trainer = trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(training_texts(), trainer)
        backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    backend.enable_truncation(9)
    backend.enable_padding(length=9)
    return backend


@pytest.fixture(scope="module", params=["gena", "3-mers", "roberta"])
def case(request, tmp_path_factory):
    backend = train(request.param)
    folder = tmp_path_factory.mktemp("tokenizer")
    backend.save(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()
    if request.param == "roberta":
        config = '{"tokenizer_class": "RobertaTokenizer"}'
        (folder / "tokenizer_config.json").write_text(config)
    return bb.Tokenizer.from_pretrained(folder), backend


@pytest.mark.parity
class TestParity:
    def test_ids_offsets_and_text(self, case):
        ours, backend = case
        assert type(ours) is bb.FastTokenizer
        rng = random.Random(53)
        genes = [dna(rng, rng.randrange(1, 90)) for _ in range(701)]
        mers = [" ".join(dna(rng, 3) for _ in range(11)) for _ in range(701)]
        special = ("[MASK]", "[SEP]", "<mask>", "</s>")
        assert_same(ours, backend, texts(5003, special) + genes + mers)

    def test_saved_for_transformers(self, case, tmp_path):
        from transformers import AutoTokenizer

        ours, backend = case
        ours.save_pretrained(tmp_path / "ours")
        bb.BigBirdConfig().save_pretrained(tmp_path / "ours")
        theirs = AutoTokenizer.from_pretrained(tmp_path / "ours")
        some = texts(401)[:401]
        expected = [e.ids for e in backend.encode_batch(some, add_special_tokens=False)]
        assert theirs(some, add_special_tokens=False).input_ids == expected
        again = bb.Tokenizer.from_pretrained(tmp_path / "ours")
        assert again.tokenize(some).to_list() == expected
        assert again.config_fields == ours.config_fields
        assert theirs.pad_token_id == ours.pad_token_id
        assert theirs.sep_token_id == ours.sep_token_id

    def test_data_sets_and_graphs(self, case):
        ours, _ = case
        some = ["ACG TTT", "", "acgé [MASK] 猫x ACG", "ACGTACGT" * 9]
        expected = [value.to_list() for value in ours.tokenize_with_offsets(some)]
        dataset = tf.data.Dataset.from_tensor_slices(some).batch(3).map(ours.tokenize_with_offsets)
        found = [[value.to_list() for value in batch] for batch in dataset]
        joined = [list(itertools.chain(*parts)) for parts in zip(*found, strict=True)]
        assert joined == expected
        one = tf.function(lambda text: ours(text, max_length=7, padding="max_length"))(some[0])
        assert one["input_ids"].shape == (7,)
        assert int(one["input_ids"][0]) == ours.cls_token_id

    def test_bytes_that_are_no_utf8(self, case):
        ours, _ = case
        text = b"ACG\xff \xe7\x8c ACG"
        ids, starts, ends = (x.numpy() for x in ours.tokenize_with_offsets(tf.constant(text)))
        assert len(ids)
        assert (starts <= ends).all()
        assert ends.max() == len(text)

    def test_training_and_keras_files(self, case, loader_process, tmp_path):
        ours, _ = case
        preprocessor = bb.MaskedLMPreprocessor(ours, max_length=17, mask_rate=0.5, seed=3)
        _x, y, weights = preprocessor(["ACG TTT ACG", "ACGTACGTTT"])
        assert weights.numpy().sum() > 0
        assert not np.isin(y.numpy()[weights.numpy() > 0], ours.all_special_ids).any()
        arguments = [["ACG TTT", "", "acgé 猫 [MASK]"]]
        model = functional_model(lambda x: ours(x, max_length=9, padding="max_length"), arguments)
        check_in_a_fresh_process(model, arguments, loader_process, tmp_path)

    def test_no_saved_model(self, case, tmp_path):
        """Refused with what to do instead; within this process the signatures work."""
        ours, _ = case
        model = bb.BigBirdModel(tiny_config(num_hidden_layers=1, vocab_size=ours.vocab_size))
        with pytest.raises(ValueError, match=r"cannot hold.*export_saved_model\(model, path\)"):
            bb.export_saved_model(model, tmp_path / "out", ours)
        assert not list(tmp_path.iterdir())
        module = tf.Module()
        module.tokenizer = ours
        with pytest.raises(ValueError, match="cannot hold"):
            tf.saved_model.save(module, str(tmp_path / "module"))
        embed = make_servable(model, ours).signatures()["serving_default"]
        vectors = embed(text=tf.constant(["ACG TTT", "ACGACG"]))["mean"].numpy()
        ids = ours(["ACG TTT", "ACGACG"])
        mask = ids["attention_mask"].numpy()[..., None]
        hidden = model(ids)["last_hidden_state"].numpy()
        expected = (hidden * mask).sum(1) / mask.sum(1)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
        folder = bb.export_saved_model(model, tmp_path / "ids")
        serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
        found = serve(**ids)["last_hidden_state"].numpy()
        np.testing.assert_allclose(found * mask, hidden * mask, atol=1e-5)


@pytest.mark.parity
def test_a_word_of_40_kilobytes(tmp_path):
    backend = train("gena")
    backend.save(str(tmp_path / "tokenizer.json"))
    ours = bb.Tokenizer.from_pretrained(tmp_path)
    text = dna(random.Random(59), 40_000)
    ids, starts, ends = ours.tokenize_with_offsets(text)
    assert starts[0] == 0
    assert ends[-1] == len(text)
    assert (starts[1:].numpy() == ends[:-1].numpy()).all()
    assert ours.detokenize(ids).numpy().decode().replace(" ", "") == text


@pytest.mark.parity
def test_the_older_files_of_roberta(tmp_path):
    """`vocab.json` and `merges.txt`, as before there was a `tokenizer.json`."""
    from transformers import RobertaTokenizer

    backend = train("roberta")
    backend.no_truncation()
    backend.no_padding()
    backend.model.save(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merges.txt", "vocab.json"]
    ours = bb.Tokenizer.from_pretrained(tmp_path)
    theirs = RobertaTokenizer.from_pretrained(tmp_path)
    some = texts(701, ("<mask>", "</s>"))[:701]
    assert ours.tokenize(some).to_list() == theirs(some, add_special_tokens=False).input_ids
    assert ours.config_fields["pad_token_id"] == theirs.pad_token_id == 1
    assert ours.mask_token == "<mask>"
    found = theirs(some[:9], padding=True, return_tensors="np")
    assert ours(some[:9])["input_ids"].numpy().tolist() == found["input_ids"].tolist()
