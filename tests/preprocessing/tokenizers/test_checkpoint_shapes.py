"""Checkpoints of the shapes that people have, made by `transformers`: from texts to logits."""

import json

import numpy as np
import pytest

import bigbird_tf as bb
from bigbird_tf.serving import make_servable
from tests.preprocessing.tokenizers.test_fast_tokenizer import train as train_json
from tests.preprocessing.tokenizers.test_word_piece_parity import train as train_word_piece
from tests.preprocessing.tokenizers.texts import training_texts

pytestmark = pytest.mark.parity

UNCASED, CASED = (True, None, True, True, 100), (False, None, True, True, 100)
TEXTS = ["the river [MASK] Zürich's birds", "한국어 문장입니다, 中文字符测试。", "a"]


class Shape:
    """A tokenizer's files as a checkpoint of this shape has them.

    Args:
        special: Special tokens in the order of their ids, by name.
        rules: Of WordPiece: lower case, accents, Chinese, cleaned, longest word.
        config: What `tokenizer_config.json` says besides.
        kind: Of a vocabulary that is no WordPiece.
        model: What `config.json` says of special ids; where it disagrees, the tokenizer wins.
        file: `"vocab.txt"`, or `"tokenizer.json"`.
    """

    def __init__(self, special, rules=None, config=None, kind=None, model=None, file="vocab.txt"):
        self.special, self.rules, self.config = special, rules, config
        self.kind, self.model, self.file = kind, model or {}, file

    def write(self, folder):
        from tokenizers import processors

        if self.kind is not None:
            train_json(self.kind).save(str(folder / "tokenizer.json"))
        else:
            # `[MASK]` stands behind the others, as the trainer is given them.
            order = [token for token in self.special.values() if token != "[MASK]"]
            backend = train_word_piece(*self.rules, special=order)
            backend.post_processor = processors.BertProcessing(
                *((token, backend.token_to_id(token)) for token in ("[SEP]", "[CLS]"))
            )
            if self.file == "vocab.txt":
                backend.model.save(str(folder))
            else:
                backend.save(str(folder / self.file))
        if self.config is not None:
            special = {name: token for name, token in self.special.items() if name.islower()}
            said = {**special, **self.config}
            (folder / "tokenizer_config.json").write_text(json.dumps(said, ensure_ascii=False))


MASK = {"__type": "AddedToken", "content": "[MASK]", "lstrip": True, "special": True}
BERT = {"tokenizer_class": "BertTokenizer"}
SHAPES = {
    # Separator 3, begin 5, end 6; two more rows than tokens.
    "KoBigBird": Shape(
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "X": "[unused]",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "mask_token": "[MASK]",
        },
        CASED,
        {**BERT, "do_lower_case": False, "mask_token": MASK},
        model={"sep_token_id": 3, "bos_token_id": 5, "eos_token_id": 6},
    ),
    "Korean, padding 1 and separator 2": Shape(
        {
            "cls_token": "[CLS]",
            "pad_token": "[PAD]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        },
        CASED,
        {**BERT, "do_lower_case": False, "bos_token": "[CLS]", "eos_token": "[SEP]"},
        model={"pad_token_id": 1, "sep_token_id": 2},
    ),
    # Its config says nothing of its tokenizer, or something else.
    "Chinese": Shape(
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        UNCASED,
        BERT,
        model={"sep_token_id": 66},
    ),
    "Persian": Shape(
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        (False, False, True, True, 100),
        {**BERT, "do_lower_case": False, "strip_accents": False},
        file="tokenizer.json",
    ),
    "Turkish": Shape(
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        (True, False, True, True, 100),
        {**BERT, "do_lower_case": True, "strip_accents": False},
    ),
    # Padding 3 beside a config that says 0.
    "codons": Shape(
        {
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "mask_token": "[MASK]",
        },
        (True, False, False, False, 100),
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        model={"pad_token_id": 0},
        file="tokenizer.json",
    ),
    # Byte-pair encoding, padding 3, separator 2, and a config that says nothing.
    "GENA": Shape(
        {
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "mask_token": "[MASK]",
        },
        config={"tokenizer_class": "PreTrainedTokenizerFast"},
        kind="gena",
    ),
    "3-mers": Shape(
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        config={"tokenizer_class": "PreTrainedTokenizerFast"},
        kind="3-mers",
    ),
}


@pytest.fixture(params=SHAPES)
def shape(request, tmp_path):
    SHAPES[request.param].write(tmp_path)
    return request.param, SHAPES[request.param], tmp_path


def test_from_texts_to_logits(shape):
    from transformers import AutoTokenizer

    name, about, folder = shape
    ours = bb.Tokenizer.from_pretrained(folder)
    peer = save_peer(folder, ours.vocab_size + 2, about.model)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert type(ours).in_graph == (about.kind is None), name
    for token in ("cls", "sep", "mask", "pad", "unk", "bos", "eos"):
        expected = getattr(theirs, f"{token}_token_id")
        assert getattr(ours, f"{token}_token_id") == expected, (name, token)
    texts = [*TEXTS, *training_texts()[:211], "ACGT ACG acg ATGGCC", "ACG TTT [MASK] GGG"]
    found = theirs(texts, padding=True, return_tensors="np", return_token_type_ids=True)
    mine = ours(texts)
    for key, value in mine.items():
        np.testing.assert_array_equal(value, found[key], err_msg=f"{name}: {key}")
    assert ours.vocab_size == len(theirs)
    rows = theirs(texts, add_special_tokens=False).input_ids
    decoded = [theirs.decode(row, clean_up_tokenization_spaces=False) for row in rows]
    assert [text.decode() for text in ours.detokenize(rows).numpy()] == decoded
    assert_same_logits(peer, bb.BigBirdForMaskedLM.from_pretrained(folder), mine)


def save_peer(folder, vocab_size, fields):
    """Saves a model of `transformers` with random weights, and returns it."""
    import torch
    import transformers

    torch.manual_seed(3)
    config = transformers.BigBirdConfig(
        vocab_size=vocab_size,
        hidden_size=24,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=20,
        max_position_embeddings=128,
        attention_type="original_full",
        initializer_range=0.3,
        **fields,
    )
    peer = transformers.BigBirdForMaskedLM(config).eval()
    peer.save_pretrained(folder)
    return peer


def assert_same_logits(peer, model, inputs):
    import torch

    rows = {key: value.numpy()[:7, :128] for key, value in inputs.items()}
    with torch.no_grad():
        tensors = {key: torch.tensor(value, dtype=torch.long) for key, value in rows.items()}
        expected = peer(**tensors).logits.numpy()
    is_real = rows["attention_mask"] == 1
    found = np.asarray(model(rows))
    assert np.abs(found - expected)[is_real].max() <= 1e-4


def test_the_tokenizer_wins(shape):
    """Where the config says another separator, and a warning has both."""
    name, about, folder = shape
    tokenizer = bb.Tokenizer.from_pretrained(folder)
    fields = {"vocab_size": tokenizer.vocab_size + 2, "pad_token_id": 0, **about.model}
    fields.setdefault("sep_token_id", tokenizer.mask_token_id)
    config = bb.BigBirdConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
        block_size=4,
        **fields,
    )
    model = bb.BigBirdForQuestionAnswering(config)
    if config.sep_token_id == tokenizer.sep_token_id:
        servable = make_servable(model, tokenizer)
    else:
        said = f"config.sep_token_id={config.sep_token_id}, tokenizer.sep_token_id"
        with pytest.warns(UserWarning, match=f"{said}={tokenizer.sep_token_id}"):
            servable = make_servable(model, tokenizer)
    assert servable.config.sep_token_id == tokenizer.sep_token_id, name
    x = servable.preprocessor(["ACG"], ["ACG TTT"])
    assert int(x["input_ids"][0, 0]) == tokenizer.cls_token_id
    assert (x["input_ids"].numpy() == tokenizer.sep_token_id).sum() == 2
    padding = x["input_ids"].numpy()[x["attention_mask"].numpy() == 0]
    assert (padding == tokenizer.pad_token_id).all()
