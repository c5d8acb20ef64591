"""How texts are laid out, and a warning where we do it otherwise."""

import json
import warnings

import pytest

import bigbird_tf as bb
from bigbird_tf.preprocessing.tokenizers.post_processor import cls_and_sep, warn_of_layout


def template(single, pair):
    def entry(token):
        kind = "Sequence" if token in ("A", "B") else "SpecialToken"
        return {kind: {"id": token, "type_id": 0}}

    return {
        "type": "TemplateProcessing",
        "single": [entry(token) for token in single.split()],
        "pair": [entry(token) for token in pair.split()],
    }


BERT = {"type": "BertProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2]}
ENDS = {"cls_token": "<s>", "sep_token": "</s>"}


@pytest.mark.parametrize(
    ("processor", "ends", "told"),
    [
        (None, {}, None),
        (BERT, ENDS, None),
        (template("<s> A </s>", "<s> A </s> B </s>"), ENDS, None),
        (
            {"type": "Sequence", "processors": [{"type": "ByteLevel"}, BERT]},
            ENDS,
            None,
        ),
        (
            {**BERT, "type": "RobertaProcessing"},
            ENDS,
            "out as <s> A </s> and <s> A </s> </s> B </s>;",
        ),
        (template("A </s>", "A </s> B </s>"), {"sep_token": "</s>"}, "out as A </s> and A </s> B"),
        (template("<s> A", "<s> A <s> B"), {"cls_token": "<s>"}, "out as <s> A and <s> A <s> B"),
        (template("<s> A </s>", "<s> A B </s>"), ENDS, "and <s> A B </s>"),
        (template("<s> A </s>", "<s> B </s> A </s>"), ENDS, "and <s> B </s> A </s>"),
        (template("", ""), {}, "out as nothing and nothing"),
        ({"type": "ByteLevel"}, {}, "out as A and A B"),
    ],
)
def test_layouts(processor, ends, told):
    content = {"post_processor": processor}
    assert cls_and_sep(content) == ends
    if told is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_layout(content, "there")
    else:
        with pytest.warns(UserWarning, match=told):
            warn_of_layout(content, "there")


def test_a_tokenizer_warns(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"]
    bb.WordPieceTokenizer(tokens).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["post_processor"] = template("[CLS] A [SEP]", "[CLS] A [SEP] [SEP] B [SEP]")
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    # Its class lays them out itself.
    bb.Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.warns(UserWarning, match=r"\[CLS\] A \[SEP\] \[SEP\] B \[SEP\]"):
        bb.Tokenizer.from_pretrained(tmp_path)
