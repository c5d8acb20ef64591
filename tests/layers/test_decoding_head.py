"""Logits of a step of generation are those of whole sequences, by whichever product."""

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.layers import LanguageModelHead, VocabularyHead, decoding_head
from tests.contract import tiny_config, tiny_pegasus_config

ROWS = 5
HEADS = {LanguageModelHead: tiny_config, VocabularyHead: tiny_pegasus_config}


def logits_and_products(
    cls, policy="float32", of_table="float32", quantized=False, monkeypatch=None
):
    """Returns logits of rows alone, of the same as a sequence, and if rows took another way."""
    config = HEADS[cls]()
    table = keras.layers.ReversibleEmbedding(config.vocab_size, config.hidden_size, dtype=of_table)
    table.build()
    rng = np.random.default_rng(3)
    table.set_weights([rng.normal(size=table.embeddings.shape)])
    head = cls(config, dtype=policy)
    head.build((None, None, config.hidden_size))
    head.bias.assign(rng.normal(size=config.vocab_size))
    if quantized:
        table.quantize("int8")
    rows = ops.cast(rng.normal(size=(ROWS, config.hidden_size)), head.compute_dtype)
    calls, product = [], decoding_head._product_with_rows
    monkeypatch.setattr(
        decoding_head, "_product_with_rows", lambda *x: calls.append(1) or product(*x)
    )
    alone = head(rows, word_embeddings=table)
    by_rows = bool(calls)
    sequence = head(rows[None], word_embeddings=table)[0]
    assert len(calls) == by_rows
    values = [ops.convert_to_numpy(ops.cast(x, "float32")) for x in (alone, sequence)]
    return *values, by_rows


@pytest.mark.parametrize("cls", HEADS)
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.05)])
def test_rows_are_those_of_a_sequence(cls, policy, tolerance, monkeypatch):
    alone, sequence, by_rows = logits_and_products(cls, policy, policy, monkeypatch=monkeypatch)
    assert by_rows
    assert alone.shape == sequence.shape == (ROWS, HEADS[cls]().vocab_size)
    assert sequence.std() > 1
    np.testing.assert_allclose(alone, sequence, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "options", [{"quantized": True}, {"policy": "mixed_bfloat16", "of_table": "float32"}]
)
def test_a_table_that_is_more_than_rows_computes_by_itself(options, monkeypatch):
    alone, sequence, by_rows = logits_and_products(
        VocabularyHead, **options, monkeypatch=monkeypatch
    )
    assert not by_rows
    np.testing.assert_allclose(alone, sequence, rtol=0.02, atol=0.02)
