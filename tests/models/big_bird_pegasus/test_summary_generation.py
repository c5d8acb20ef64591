from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import (
    BigBirdPegasusForConditionalGeneration,
    BigBirdTokenizer,
    PegasusTokenizer,
)
from bigbird_tf.models.special_ids import adopt_special_ids
from tests.backends import tensorflow_alone
from tests.contract import (
    LONGEST,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_pegasus_config,
)
from tests.graph_walk import all_tensors
from tests.preprocessing.conftest import train_vocabulary

START, PAD, EOS = 2, 0, 1
IDS, MASK = random_ids(), mask_of()
DOCUMENTS = {"input_ids": IDS, "attention_mask": MASK}
BATCH = len(IDS)


@pytest.fixture(scope="module")
def model():
    # With words of its own for the logits, or each token would be as the one before.
    config = tiny_pegasus_config(eos_token_id=None, tie_word_embeddings=False)
    model = BigBirdPegasusForConditionalGeneration(config)
    randomize(model)
    return model


def log_probs_after(model, row, tokens):
    """Of the next token, with a whole call and no cache."""
    real = IDS[row][MASK[row] == 1]
    read = {"input_ids": real[None], "decoder_input_ids": np.array([[START, *tokens]], "int32")}
    logits = np.asarray(model(read))[0, -1].astype("float64")
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def test_greedy_is_as_without_cache(model):
    found = model.generate(DOCUMENTS, 7).numpy()
    assert (found.dtype, found.shape) == (np.int32, (BATCH, 7))
    for row in range(BATCH):
        tokens = []
        for _ in range(7):
            tokens.append(int(log_probs_after(model, row, tokens).argmax()))
        assert found[row].tolist() == tokens
    assert len(set(found[0].tolist())) > 3


@pytest.mark.parametrize("rule", ["transformers", "google"])
def test_beams_are_as_without_cache(model, rule):
    """Written for one document, without ends: the best three sequences go on."""
    found = model.generate(DOCUMENTS, 4, num_beams=3, length_rule=rule, num_return_sequences=2)
    for row in range(BATCH):
        beams = [(0.0, [])]
        for _ in range(4):
            wider = [
                (score + p, [*tokens, i])
                for score, tokens in beams
                for i, p in enumerate(log_probs_after(model, row, tokens))
            ]
            beams = sorted(wider, reverse=True)[:3]
        expected = [tokens for _, tokens in beams[:2]]
        assert found.numpy()[2 * row : 2 * row + 2].tolist() == expected


def test_stops_and_rules(model):
    free = model.generate(DOCUMENTS, 7).numpy()
    stop = int(free[0, 2])
    stopped = model.generate(DOCUMENTS, 7, stop_token_ids=stop).numpy()
    assert stopped[0].tolist() == [*free[0, :3], *[PAD] * 4]
    longer = model.generate(DOCUMENTS, 7, stop_token_ids=stop, min_new_tokens=5).numpy()
    assert stop not in longer[0, :5]
    once = model.generate(DOCUMENTS, 7, no_repeat_ngram_size=1).numpy()
    # The start token is one of the tokens before, as in `transformers`.
    assert all(len({START, *row}) == 8 for row in once.tolist())


def test_the_config_completes_it(model):
    """What is not given is the config's; its lengths count the start token."""
    said = {"num_beams": 3, "length_penalty": 0.8, "no_repeat_ngram_size": 2, "max_length": 6}
    said |= {"early_stopping": True, "min_length": 4}
    config = tiny_pegasus_config(eos_token_id=9, tie_word_embeddings=False, extra=said)
    other = BigBirdPegasusForConditionalGeneration(config)
    other.set_weights(model.get_weights())
    options = {"stop_token_ids": 9, "length_penalty": 0.8, "no_repeat_ngram_size": 2}
    expected = model.generate(
        DOCUMENTS, 5, num_beams=3, early_stopping=True, min_new_tokens=3, **options
    )
    assert expected.shape == (BATCH, 5)
    assert_close(other.generate(DOCUMENTS), expected)
    # What is given counts.
    greedy = model.generate(DOCUMENTS, 2, stop_token_ids=[])
    given = {"num_beams": 1, "no_repeat_ngram_size": 0, "stop_token_ids": []}
    assert_close(other.generate(DOCUMENTS, 2, **given), greedy)
    drawn = other.generate(DOCUMENTS, 4, do_sample=True, top_k=1, **{**given, "num_beams": None})
    assert_close(drawn[:, :2], greedy)


def test_kinds_of_documents(model):
    expected = model.generate(DOCUMENTS, 3)
    rows = [ids[mask == 1].tolist() for ids, mask in zip(IDS, MASK, strict=True)]
    assert_close(model.generate(tf.ragged.constant(rows), 3), expected)
    assert_close(model.generate(IDS[:1], 3), model.generate({"input_ids": IDS[:1]}, 3))
    assert_close(model.generate(IDS[:1].tolist(), 3), expected[:1])


def test_several_are_drawn(model):
    options = {"do_sample": True, "seed": 4, "temperature": 2.0, "num_return_sequences": 3}
    drawn = model.generate(DOCUMENTS, 4, **options).numpy()
    assert drawn.shape == (3 * BATCH, 4)
    assert len(np.unique(drawn[:3], axis=0)) == 3
    np.testing.assert_array_equal(model.generate(DOCUMENTS, 4, **options), drawn)


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}], ids=str)
def test_what_a_step_writes(model, options):
    """The cache in place, and of documents nothing: beams share what blocks read of them."""
    generate = tf.function(lambda x: model.generate(x, 6, **options), autograph=False)
    concrete = generate.get_concrete_function({k: tf.constant(v) for k, v in DOCUMENTS.items()})
    width, heads = model.config.d_model, model.config.decoder_attention_heads
    rows = BATCH * options.get("num_beams", 1)
    body = [x.op for x in all_tensors(concrete) if "while_body" in x.graph.name]

    def kinds(sizes):
        return {
            operation.type
            for operation in body
            for x in operation.outputs
            if x.dtype == tf.float32 and x.shape.num_elements() in sizes
        } - {"Placeholder", "Identity", "Reshape", "EnsureShape", "Transpose"}

    moves = {"GatherV2"} if options else set()
    assert heads
    assert kinds({rows * 6 * width}) == {"ScatterNdNonAliasingAdd"} | moves
    length = IDS.shape[1]
    assert kinds({BATCH * length * width, rows * length * width}) == set()


@pytest.mark.slow
def test_in_xla_and_saved(model, tmp_path):
    options = {"num_beams": 3, "length_penalty": 0.8, "no_repeat_ngram_size": 2}

    def generate(input_ids, attention_mask):
        documents = {"input_ids": input_ids, "attention_mask": attention_mask}
        return {
            "greedy": model.generate(documents, 5),
            "beams": model.generate(documents, 5, **options),
        }

    expected = generate(IDS, MASK)
    tensors = tf.constant(IDS), tf.constant(MASK)
    compiled = tf.function(generate, jit_compile=True)(*tensors)
    module = tf.Module()
    module.model = model
    spec = tf.TensorSpec((None, None), tf.int32)
    module.generate = tf.function(generate, input_signature=[spec, spec])
    tf.saved_model.save(module, str(tmp_path))
    # Its variables live as long as it does.
    saved = tf.saved_model.load(str(tmp_path))
    loaded = saved.generate(*tensors)
    for name, tokens in expected.items():
        np.testing.assert_array_equal(compiled[name], tokens)
        np.testing.assert_array_equal(loaded[name], tokens)


def test_strings():
    tokenizer = PegasusTokenizer(
        train_vocabulary(user_defined_symbols=["[CLS]", "[SEP]", "[MASK]", "<n>"])
    )
    config = tiny_pegasus_config(**tokenizer.config_fields, tie_word_embeddings=False)
    model = BigBirdPegasusForConditionalGeneration(config)
    randomize(model)
    texts = ["the river of stone", "birds"]
    tokens = model.generate(tokenizer(texts), 6)
    found = model.generate(texts, 6, tokenizer=tokenizer)
    written = [[i for i in row if i not in (PAD, EOS)] for row in tokens.numpy().tolist()]
    assert found.numpy().tolist() == [tokenizer.detokenize(row).numpy() for row in written]
    assert any(found.numpy())
    alone = model.generate(texts[1], 6, tokenizer=tokenizer)
    assert alone.shape == ()
    assert alone == found[1]
    with pytest.raises(TypeError, match="strings need `tokenizer`, a `PegasusTokenizer`"):
        model.generate(texts, 6)
    with pytest.raises(TypeError, match="`tokenizer` must be a `PegasusTokenizer`"):
        model.generate(texts, 6, tokenizer=BigBirdTokenizer(train_vocabulary()))
    # What ends a summary is the tokenizer's from the first call on.
    fields = {**tokenizer.config_fields, "eos_token_id": tokenizer.bos_token_id}
    other = BigBirdPegasusForConditionalGeneration(
        tiny_pegasus_config(**fields, tie_word_embeddings=False)
    )
    other.set_weights(model.get_weights())
    with pytest.warns(UserWarning, match="The tokenizer's count") as caught:
        first = other.generate(texts, 6, tokenizer=tokenizer)
    assert [warning.filename for warning in caught] == [__file__]
    assert first.numpy().tolist() == found.numpy().tolist()


def test_an_id_among_several_that_end_is_the_tokenizers():
    model = SimpleNamespace(
        special_ids=("eos_token_id",), config=tiny_pegasus_config(eos_token_id=[1, 5])
    )
    adopt_special_ids(model, SimpleNamespace(eos_token_id=5))
    assert model.config.eos_token_id == (1, 5)


@tensorflow_alone  # What a server may get.
@pytest.mark.parametrize("num_beams", [1, 3])
def test_an_empty_batch(model, num_beams):
    assert model.generate(np.zeros((0, 5), "int32"), 3, num_beams=num_beams).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": LONGEST + 1}, f"`max_new_tokens` must be at most.*={LONGEST + 1}"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be a positive integer"),
        ({"early_stopping": "yes"}, "`early_stopping` must be True, False or 'never'"),
        ({"length_rule": "google", "early_stopping": True}, "run all steps"),
        ({"min_new_tokens": 4}, "`min_new_tokens` must be at most"),
    ],
    ids=str,
)
def test_bad_arguments(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.generate(DOCUMENTS, **{"max_new_tokens": 3, **arguments})


def test_bad_documents(model):
    with pytest.raises(tf.errors.InvalidArgumentError, match="`input_ids` must be in"):
        model.generate(IDS + 1000, 2)
    with pytest.raises(ValueError, match="max_position_embeddings"):
        model.generate(np.ones((1, LONGEST + 1), "int32"), 2)
    with pytest.raises(ValueError, match="keys"):
        model.generate({**DOCUMENTS, "token_type_ids": IDS}, 2)
