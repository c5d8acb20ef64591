"""`generate` of strings."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForCausalLM
from bigbird_tf.models.prompts import (
    padded_behind,
    prompt_pieces,
    read_prompts,
    to_dense,
    to_text,
)
from bigbird_tf.preprocessing import BigBirdTokenizer
from tests.contract import (
    randomize,
    tiny_config,
)
from tests.models.big_bird.test_big_bird_for_causal_lm import PROMPTS
from tests.preprocessing.conftest import train_vocabulary


def test_padding_from_the_left_to_the_right():
    ids = np.array([[0, 0, 5, 7], [3, 4, 5, 6], [9, 9, 9, 8]], "int32")
    mask = np.array([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]], "int32")
    moved, mask = (np.asarray(x) for x in padded_behind(ids, mask))
    assert moved.tolist() == [[5, 7, 0, 0], [3, 4, 5, 6], [8, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


@pytest.mark.parametrize("is_known", [True, False])
def test_room_for_new_tokens_to_the_token(is_known):
    config = tiny_config(max_position_embeddings=13)
    ids = np.full((2, 8), 9, "int32")

    def positions(ids, count):
        return read_prompts(ids, config, None, count).positions

    def positions_in_graph(ids, count):
        specs = [tf.TensorSpec((None, None), tf.int32)]
        return tf.function(lambda ids: positions(ids, count), specs)(ids)

    call = positions if is_known else positions_in_graph
    np.testing.assert_array_equal(call(ids, 5), [range(8)] * 2)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="must fit into"):
        call(ids, 6)


def test_what_of_the_tokens_is_text():
    """Not what ends or pads them, nor rows of embeddings that no piece has."""
    tokenizer = SimpleNamespace(
        pad_token_id=3, vocab_size=11, detokenize=lambda ids: [*map(list, ids.to_list())]
    )
    tokens = tf.constant([[0, 10, 7, 3, 11], [9, 5, 12, 8, 4]])
    assert to_text(tokens, tokenizer, (7, 8)) == [[0, 10], [9, 5, 4]]
    assert to_text(tokens, tokenizer, ()) == [[0, 10, 7], [9, 5, 8, 4]]


@pytest.mark.parametrize(("bos", "first"), [(6, 6), (None, 4), (0, 0)])
def test_what_stands_before_a_prompt(bos, first):
    tokenizer = SimpleNamespace(
        bos_token_id=bos,
        cls_token_id=4,
        tokenize=lambda texts: tf.ragged.constant([[7, 8], [], [9]], tf.int32),
    )
    pieces = prompt_pieces(["a", "", "b"], tokenizer)
    assert pieces.to_list() == [[first, 7, 8], [first], [first, 9]]
    assert pieces.dtype == tf.int32
    dense = to_dense(pieces, 5)
    assert dense["input_ids"].numpy().tolist() == [[first, 7, 8], [first, 5, 5], [first, 9, 5]]
    assert dense["attention_mask"].numpy().tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]


def test_token_types_of_prompts():
    """All 0, the type of the tokens that are added."""
    ids = np.full((1, 4), 9)
    read = {"input_ids": ids, "token_type_ids": np.zeros((1, 4), "int32")}
    np.testing.assert_array_equal(read_prompts(read, tiny_config(), None, 2).ids, ids)
    read["token_type_ids"][0, 2] = 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="`token_type_ids` of a prompt must"):
        read_prompts(read, tiny_config(), None, 2)
    with pytest.raises(ValueError, match=r"from the mask. Received besides: \['position_ids"):
        read_prompts({"input_ids": ids, "position_ids": ids}, tiny_config(), None, 2)


@pytest.fixture(scope="module")
def tokenizer():
    return BigBirdTokenizer(train_vocabulary())


@pytest.fixture(scope="module")
def text_model(tokenizer):
    fields = {"eos_token_id": tokenizer.eos_token_id, "num_hidden_layers": 1}
    model = BigBirdForCausalLM(tiny_config(vocab_size=tokenizer.vocab_size, **fields))
    randomize(model)
    return model


class TestStrings:
    texts = ("the river sings", "of sparse attention and random tokens", "")

    def test_as_by_ids(self, text_model, tokenizer):
        outputs = text_model.generate(self.texts, 6, tokenizer=tokenizer, stop_token_ids=[])
        assert outputs.dtype == tf.string
        assert outputs.shape == (3,)
        for text, output in zip(self.texts, outputs.numpy(), strict=True):
            pieces = tokenizer.tokenize(text).numpy().tolist()
            ids = np.array([[tokenizer.bos_token_id, *pieces]], "int32")
            tokens = text_model.generate(ids, 6, stop_token_ids=[])
            assert output == tokenizer.detokenize(tokens)[0].numpy()
        assert any(outputs.numpy())

    def test_one_string(self, text_model, tokenizer):
        output = text_model.generate(self.texts[0], 6, tokenizer=tokenizer)
        assert output.shape == ()
        batch = text_model.generate([self.texts[0]], 6, tokenizer=tokenizer)
        assert output.numpy() == batch[0].numpy()

    def test_several_of_a_string(self, text_model, tokenizer):
        options = {"tokenizer": tokenizer, "num_beams": 3, "num_return_sequences": 2}
        texts = text_model.generate(self.texts, 6, **options)
        assert texts.shape == (6,)
        alone = text_model.generate(self.texts[1], 6, **options)
        assert alone.numpy().tolist() == texts.numpy()[2:4].tolist()

    def test_what_stops_is_no_text(self, text_model, tokenizer):
        pieces = tokenizer.tokenize(self.texts[1]).numpy().tolist()
        ids = np.array([[tokenizer.bos_token_id, *pieces]], "int32")
        tokens = text_model.generate(ids, 6, stop_token_ids=[])[0].numpy().tolist()
        stop = tokens[3]
        output = text_model.generate(self.texts[1], 6, tokenizer=tokenizer, stop_token_ids=[stop])
        expected = tokenizer.detokenize([tokens[: tokens.index(stop)]])[0]
        assert output.numpy() == expected.numpy()

    @pytest.mark.slow
    def test_in_a_graph(self, text_model, tokenizer):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def serve(texts):
            return text_model.generate(texts, 4, tokenizer=tokenizer)

        expected = text_model.generate(self.texts, 4, tokenizer=tokenizer)
        assert (serve(tf.constant(self.texts)) == expected).numpy().all()

    def test_ids_in_and_text_out(self, text_model, tokenizer):
        ids = text_model.generate(PROMPTS, 4)
        expected = to_text(ids, tokenizer, text_model.stop_tokens(None))
        texts = text_model.generate(PROMPTS, 4, tokenizer=tokenizer)
        assert (texts == expected).numpy().all()

    def test_texts_of_texts(self, text_model, tokenizer):
        with pytest.raises(ValueError, match="must be one string or strings"):
            text_model.generate([["a bird"]], 4, tokenizer=tokenizer)
