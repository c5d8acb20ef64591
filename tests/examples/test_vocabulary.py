import pytest
import sentencepiece

from examples.docs_qa.vocabulary import train_vocabulary
from tests.examples.help_pages import library


def test_special_pieces_stand_where_bigbird_has_them(tokenizer):
    pieces = [tokenizer.id_to_token(index) for index in range(4)]
    assert pieces == ["<pad>", "</s>", "<s>", "<unk>"]
    assert tokenizer.vocab_size == 173
    assert None not in (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id)


def test_text_never_becomes_a_special_piece(tokenizer):
    ids = tokenizer.tokenize("[CLS] <pad> [SEP] [MASK] </s>").numpy()
    assert not set(ids) & {0, 1, 2, tokenizer.cls_token_id, tokenizer.sep_token_id}


def test_a_name_has_the_same_pieces_in_question_and_page(tokenizer):
    name = "dip_brush"
    alone = list(tokenizer.tokenize(name).numpy())
    inside = list(tokenizer.tokenize(f"     |  {name}(self, /, pot) -> x").numpy())
    assert any(inside[i : i + len(alone)] == alone for i in range(len(inside)))


def test_line_breaks_are_pieces(tokenizer):
    ids = list(tokenizer.tokenize("of the rows\n    of\n").numpy())
    assert ids.count(tokenizer.token_to_id("\n")) == 2
    assert tokenizer.unk_token_id not in ids


def test_training_is_deterministic_by_seed():
    first = train_vocabulary(library(), vocab_size=97, max_lines=60, seed=5)
    assert train_vocabulary(library()[::-1], vocab_size=97, max_lines=60, seed=5) == first
    pieces = [
        {p.id_to_piece(i) for i in range(97)}
        for p in (
            sentencepiece.SentencePieceProcessor(model_proto=first),
            sentencepiece.SentencePieceProcessor(
                model_proto=train_vocabulary(library(), vocab_size=97, max_lines=60, seed=6)
            ),
        )
    ]
    assert pieces[0] != pieces[1]


def test_too_little_text():
    with pytest.raises(ValueError, match="Received: vocab_size=9000"):
        train_vocabulary(library(), vocab_size=9000)
