"""`BigBirdForCausalLM` with block-sparse attention: the same logits and tokens with a cache."""

import json
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird_tf import BigBirdForCausalLM
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.generation.decode import decode, repeat_rows
from tests.backends import compiled, value_and_gradients
from tests.contract import LONGEST, VOCABULARY, assert_close, random_ids, randomize, tiny_config
from tests.graph_walk import all_tensors
from tests.models.big_bird import test_big_bird_for_causal_lm as full

# Nine blocks of four stay in the cache: with the new tokens, its window blocks take several turns.
PROMPT, NEW = 34, 23
PROMPTS = random_ids(seed=29, batch=3, length=PROMPT)
MASK = np.ones((3, PROMPT), "int32")
MASK[0, 21:] = 0
MASK[1, :31] = 0
EXPLICIT = {"input_ids": PROMPTS, "attention_mask": MASK}
SPARSE = {"causal_attention_type": "block_sparse", "eos_token_id": None}


@pytest.mark.slow
class TestContract(full.TestContract):
    config_fields: ClassVar[dict] = {
        **full.TestContract.config_fields,
        "causal_attention_type": "block_sparse",
    }


@pytest.fixture(scope="module")
def model():
    model = BigBirdForCausalLM(tiny_config(**SPARSE))
    randomize(model)
    return model


def decode_without_cache(model, seed=None, **options):
    """Decodes with a whole call for each token, of rows without any padding before them."""
    lengths = MASK.sum(axis=1)
    start = np.zeros((3, LONGEST), "int32")
    for row in range(3):
        start[row, : lengths[row]] = PROMPTS[row][MASK[row] == 1]
    rows = options.get("num_beams", options.get("num_return_sequences", 1))
    lengths_of_rows = repeat_rows(ops.convert_to_tensor(lengths.astype("int32")), rows)
    logits = np.asarray(model(start))[np.arange(3), lengths - 1]

    def step(tokens, t, cache):
        place = ops.arange(LONGEST, dtype="int32") == (lengths_of_rows + t)[:, None]
        ids = ops.where(place, tokens[:, None], cache)
        logits = model(ids)
        places = ops.cast(place, "float32")
        return ops.sum(logits * places[:, :, None], axis=1), ids

    run = compiled(
        lambda logits, start: decode(
            step,
            logits,
            start,
            prompts=PROMPTS,
            is_prompt=MASK,
            seed=seed,
            pad_token_id=0,
            max_new_tokens=NEW,
            stop_token_ids=(),
            **options,
        ),
        jit_compile=False,
    )
    return np.asarray(run(ops.convert_to_tensor(logits), ops.convert_to_tensor(start)))


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.7},
        {"num_beams": 3, "num_return_sequences": 3, "repetition_penalty": 1.7},
        {"do_sample": True, "seed": 5, "top_k": 9, "num_return_sequences": 2},
    ],
    ids=["greedy", "beams", "sampling"],
)
def test_generate_is_as_without_cache(model, options):
    found = np.asarray(model.generate(EXPLICIT, NEW, **options))
    options.pop("do_sample", None)
    np.testing.assert_array_equal(found, decode_without_cache(model, **options))
    assert len(np.unique(found)) > 5


def test_padding_on_either_side_changes_nothing(model):
    expected = np.asarray(model.generate(EXPLICIT, 6))
    for row in range(2):
        real = PROMPTS[row][MASK[row] == 1][None]
        padding = PROMPT - real.shape[1]
        for before in (0, padding):
            sides = ((0, 0), (before, padding - before))
            prompt = {
                "input_ids": np.pad(real, sides, constant_values=7),
                "attention_mask": np.pad(np.ones_like(real), sides),
            }
            np.testing.assert_array_equal(np.asarray(model.generate(prompt, 6))[0], expected[row])


@pytest.mark.slow
def test_in_xla(model):
    expected = model.generate(EXPLICIT, NEW)
    generate = compiled(lambda ids, mask: model._decode_in_graph(
        ids, mask, None, None, max_new_tokens=NEW, num_return_sequences=1, pad_token_id=0,
        stop_token_ids=(),
    ))  # fmt: skip
    # As `read_prompts` has them: with their padding on the left.
    order = np.argsort(MASK, axis=1, kind="stable")
    ids, mask = (np.take_along_axis(x, order, axis=1) for x in (PROMPTS, MASK))
    np.testing.assert_array_equal(generate(ids, mask), expected)


def loop_tensors(model, options, max_new_tokens):
    """Returns the float tensors of the loop of decoding, the cache among them."""
    ids = tf.TensorSpec([3, None], tf.int32)
    generate = tf.function(
        lambda ids: model.generate(ids, max_new_tokens, **options), input_signature=[ids]
    )
    concrete = generate.get_concrete_function()
    tensors = [x for x in all_tensors(concrete) if "while_body" in x.graph.name]
    return [x for x in tensors if x.dtype == tf.float32]


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"num_beams": 2}, marks=pytest.mark.slow)], ids=str
)
def test_a_step_writes_the_cache_in_place_and_is_the_same_at_any_length(model, options):
    """Nothing makes another cache but beams that move, and nothing grows with the length."""
    attention = model.backbone.encoder.blocks[0].attention
    room = 9 * attention.block_size
    tensors = loop_tensors(model, options, 5)
    rows = 3 * options.get("num_beams", 1)
    size = rows * attention.num_heads * room * attention.key_dim
    caches = [x for x in tensors if None not in x.shape and x.shape.num_elements() == size]
    kinds = {x.op.type for x in caches}
    free = {"Placeholder", "Identity", "Reshape", "EnsureShape"}
    moves = {"GatherV2"} if options else set()
    assert kinds - free == {"ScatterNdNonAliasingAdd"} | moves
    if not options:
        longer = loop_tensors(model, options, 25)
        assert sorted(str(x.shape) for x in tensors) == sorted(str(x.shape) for x in longer)


def test_the_future_is_not_seen(model):
    """A loss at one token sends nothing back to what comes later: zero, not almost."""
    embedded = np.random.default_rng(2).normal(size=(1, LONGEST, 21))
    embedded = ops.convert_to_tensor(embedded, "float32")
    encoder = model.backbone.encoder
    for token in (0, 15, 30, 31, 47):
        grad = ops.one_hot(np.full((1,), token), LONGEST)[:, :, None] * ops.ones((1, 1, 21))
        _, gradient = value_and_gradients(lambda x: encoder(x)[0], [embedded], grad)
        size = np.abs(np.asarray(gradient)).max(axis=(0, 2))
        assert (size[: token + 1] > 0).sum() > token * 0.6
        assert (size[token + 1 :] == 0).all()


def test_the_config_says_so_and_keeps_it(model, tmp_path):
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["causal_attention_type"] == "block_sparse"
    again = BigBirdForCausalLM.from_pretrained(tmp_path)
    assert again.config.causal_attention_type == "block_sparse"
    ids = random_ids(length=LONGEST)
    assert_close(again(ids), model(ids), 1e-6)
    # A decoder of `transformers` says nothing of it, and is full.
    del saved["causal_attention_type"]
    saved["attention_type"] = "block_sparse"
    (tmp_path / "config.json").write_text(json.dumps(saved))
    plain = BigBirdForCausalLM.from_pretrained(tmp_path)
    assert plain.config.causal_attention_type == "original_full"
    assert np.abs(np.asarray(plain(ids)) - np.asarray(model(ids))).max() > 1e-3
    asked = BigBirdForCausalLM.from_pretrained(tmp_path, causal_attention_type="block_sparse")
    assert_close(asked(ids), model(ids), 1e-6)
    with pytest.raises(ValueError, match="`causal_attention_type` must be one of 'original_full'"):
        BigBirdConfig(causal_attention_type="sparse")


@pytest.mark.slow
def test_saved_model(model, tmp_path):
    module = tf.Module()
    module.model = model
    spec = tf.TensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[spec, spec])
    def generate(input_ids, attention_mask):
        prompts = {"input_ids": input_ids, "attention_mask": attention_mask}
        return {
            "greedy": model.generate(prompts, NEW),
        }

    module.generate = generate
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    outputs = loaded.generate(tf.constant(PROMPTS), tf.constant(MASK))
    assert_close(outputs["greedy"], model.generate(EXPLICIT, NEW))
    # Other lengths, shorter than a block too: nothing is fixed in the graph.
    for length in (1, 5, 20):
        ids = tf.constant(PROMPTS[2:, :length])
        short = loaded.generate(ids, tf.ones_like(ids))
        assert_close(short["greedy"], model.generate(ids, NEW))


def test_half_precision():
    model = BigBirdForCausalLM(tiny_config(**SPARSE, num_hidden_layers=1), dtype="mixed_bfloat16")
    assert model.generate(EXPLICIT, NEW).shape == (3, NEW)
    assert np.asarray(model.generate(EXPLICIT, NEW)).max() < VOCABULARY
