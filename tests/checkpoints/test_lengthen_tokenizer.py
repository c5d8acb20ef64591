"""The tokenizer of a checkpoint comes along when it is lengthened."""

import json

import pytest

from bigbird_tf.checkpoints import lengthen
from bigbird_tf.models import (
    BigBirdModel,
)
from tests.checkpoints.test_lengthen import LONGEST, make_original, write_bert, write_roberta
from tests.preprocessing.conftest import train_vocabulary

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "bird", "##s"]


def test_the_tokenizer_comes_along(tmp_path):
    """BERT's; and `transformers`, too, is told that it is none of BigBird's own."""
    bb = pytest.importorskip("bigbird_tf.preprocessing")
    original = make_original(BigBirdModel, "bert")
    write_bert(original, tmp_path / "bert")
    (tmp_path / "bert/vocab.txt").write_text("\n".join(VOCAB))
    said = {"do_lower_case": False, "model_max_length": LONGEST}
    (tmp_path / "bert/tokenizer_config.json").write_text(json.dumps(said))
    lengthen(tmp_path / "bert", 64, output_dir=tmp_path / "big")
    expected = {**said, "tokenizer_class": "BertTokenizer", "model_max_length": 64}
    assert json.loads((tmp_path / "big/tokenizer_config.json").read_text()) == expected
    tokenizer = bb.Tokenizer.from_pretrained(tmp_path / "big")
    assert tokenizer.tokenize(["the birds The"]).to_list() == [[5, 6, 7, 1]]
    assert bb.Tokenizer.from_pretrained(tmp_path / "bert").vocab_size == tokenizer.vocab_size


def test_sentencepiece_comes_along(tmp_path):
    """Read as the original's is; its config says nothing of BERT's words."""
    bb = pytest.importorskip("bigbird_tf.preprocessing")
    write_bert(make_original(BigBirdModel, "bert", num_hidden_layers=1), tmp_path / "bert")
    (tmp_path / "bert/spiece.model").write_bytes(train_vocabulary())
    lengthen(tmp_path / "bert", 64, output_dir=tmp_path / "big")
    tokenizers = [bb.Tokenizer.from_pretrained(tmp_path / name) for name in ("bert", "big")]
    before, after = (t.tokenize(["the river"]).to_list() for t in tokenizers)
    assert before == after
    said = json.loads((tmp_path / "big/tokenizer_config.json").read_text())
    assert said == {"model_max_length": 64}


def test_a_tokenizer_config_that_is_broken(tmp_path):
    write_bert(make_original(BigBirdModel, "bert"), tmp_path / "bert")
    (tmp_path / "bert/tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json.* must be a JSON object"):
        lengthen(tmp_path / "bert", 64, output_dir=tmp_path / "big")
    assert not (tmp_path / "big").exists()


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*lays one text and two out:UserWarning")
def test_the_tokenizer_of_roberta_comes_along(tmp_path):
    import transformers

    from bigbird_tf.preprocessing import FastTokenizer, Tokenizer
    from tests.preprocessing.tokenizers.test_fast_tokenizer import train
    from tests.preprocessing.tokenizers.texts import training_texts

    write_roberta(make_original(BigBirdModel, "roberta"), tmp_path / "roberta")
    train("roberta").model.save(str(tmp_path / "roberta"))
    original = transformers.RobertaTokenizer.from_pretrained(tmp_path / "roberta")
    lengthen(tmp_path / "roberta", 64, output_dir=tmp_path / "big")
    texts = training_texts()[:101]
    expected = original(texts, padding=True).input_ids
    ours = Tokenizer.from_pretrained(tmp_path / "big")
    assert type(ours) is FastTokenizer
    assert ours(texts)["input_ids"].numpy().tolist() == expected
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "big")
    assert theirs(texts, padding=True).input_ids == expected
