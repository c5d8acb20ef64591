import json
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForCausalLM
from tests.backends import IS_TENSORFLOW, compiled
from tests.contract import (
    BATCH,
    LENGTH,
    LONGEST,
    VOCABULARY,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_config,
)
from tests.graph_walk import all_tensors
from tests.model_contract import ModelContract

PROMPT = 11
# Prompts with their padding to the right, to the left, and none.
PROMPTS = random_ids(seed=23, batch=3, length=PROMPT)
MASK = np.ones((3, PROMPT), "int32")
MASK[0, 7:] = 0
MASK[1, :3] = 0
RULES = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "min_new_tokens": 3}
EXPLICIT = {"input_ids": PROMPTS, "attention_mask": MASK}


class TestContract(ModelContract):
    model_class = BigBirdForCausalLM
    config_fields: ClassVar[dict] = {
        "num_hidden_layers": 1,
        "is_decoder": True,
        "attention_type": "original_full",
    }
    # The encoder's 5 + 16; dense and norm of the head, and its bias; the decoder is shared.
    trainable_weights = 21 + 4 + 1
    other_weights = 2
    states = 4
    # The encoder's with pooler; 21 * 21 + 21, 2 * 21 and 53.
    parameters = 5452 + 462 + 42 + 53

    def labels(self):
        return np.roll(random_ids(), -1, axis=1)

    def fit_arguments(self):
        return {"sample_weight": mask_of().astype("float32")}


@pytest.fixture(scope="module")
def model():
    model = BigBirdForCausalLM(tiny_config(eos_token_id=None))
    randomize(model)
    return model


def without_cache(model):
    """Returns a function of tokens that calls the whole model for the next one's logits."""
    call = compiled(model, jit_compile=False)

    def next_logits(tokens):
        # What comes later is not seen, so all calls have one length and share what is traced.
        ids = np.zeros((1, PROMPT + 9), "int32")
        ids[0, : len(tokens)] = tokens
        return np.array(call(ids))[0, len(tokens) - 1]

    return next_logits


@pytest.fixture(scope="module")
def next_logits(model):
    return without_cache(model)


def greedy(next_logits, tokens, count):
    """Appends the most likely token again and again, and returns what was appended."""
    tokens = list(tokens)
    for _ in range(count):
        tokens.append(int(next_logits(tokens).argmax()))
    return tokens[-count:]


def test_is_causal_whatever_the_config_says(tmp_path):
    model = BigBirdForCausalLM(tiny_config())
    assert model.config.is_decoder
    assert model.config.attention_type == "original_full"
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["is_decoder"] is True
    assert saved["attention_type"] == "original_full"
    assert saved["architectures"] == ["BigBirdForCausalLM"]


def test_the_future_is_not_seen(model):
    ids = random_ids()
    changed = ids.copy()
    changed[:, 20:] = (changed[:, 20:] + 1) % VOCABULARY
    before, after = (np.asarray(model(x)) for x in (ids, changed))
    np.testing.assert_allclose(after[:, :20], before[:, :20], atol=1e-5)
    assert np.abs(after[:, 20:] - before[:, 20:]).max(axis=-1).min() > 1e-3


def test_gradients_do_not_flow_from_the_future(model):
    embedded = tf.random.stateless_normal((BATCH, LENGTH, 21), seed=[1, 2])
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        hidden, _, _ = model.backbone.encoder(embedded, tf.ones((BATCH, LENGTH)))
        loss = tf.reduce_sum(hidden[:, 13] ** 2)
    size = np.abs(tape.gradient(loss, embedded)).max(axis=(0, 2))
    assert (size[:14] > 0).all()
    assert (size[14:] == 0).all()


class TestGenerate:
    def test_greedy_is_as_without_cache(self, model, next_logits):
        tokens = model.generate(EXPLICIT, 9)
        assert tokens.dtype == "int32"
        assert tokens.shape == (3, 9)
        for row in range(3):
            real = PROMPTS[row][MASK[row] == 1]
            assert tokens[row].numpy().tolist() == greedy(next_logits, real, 9)

    def test_beams_are_as_without_cache(self, model, next_logits):
        # A search written for one prompt, without ends: the best three sequences go on.
        for row, found in enumerate(model.generate(EXPLICIT, 5, num_beams=3).numpy()):
            real = PROMPTS[row][MASK[row] == 1].tolist()
            beams = [(0.0, real)]
            for _ in range(5):
                wider = []
                for score, tokens in beams:
                    logits = next_logits(tokens)
                    log_probs = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
                    wider += [(score + p, [*tokens, i]) for i, p in enumerate(log_probs)]
                beams = sorted(wider, reverse=True)[:3]
            assert found.tolist() == beams[0][1][-5:]

    def test_ids_alone(self, model):
        expected = model.generate({"input_ids": PROMPTS}, 4)
        assert_close(model.generate(PROMPTS, 4), expected)
        assert_close(model.generate(PROMPTS.tolist(), 4), expected)

    @pytest.mark.slow
    def test_prompts_do_not_disturb_each_other(self, model):
        for arguments in ({}, {"num_beams": 2}):
            together = model.generate(EXPLICIT, 6, **arguments).numpy()
            for row in range(3):
                alone = {name: value[row : row + 1] for name, value in EXPLICIT.items()}
                assert (model.generate(alone, 6, **arguments).numpy() == together[row]).all()

    def test_in_xla(self, model):
        """Also after a trace without it, whose operations XLA has not."""
        expected = model.generate(EXPLICIT, 4, num_beams=2)
        compiled = tf.function(lambda x: model.generate(x, 4, num_beams=2), jit_compile=True)
        tensors = {name: tf.constant(value) for name, value in EXPLICIT.items()}
        np.testing.assert_array_equal(compiled(tensors), expected)

    @pytest.mark.parametrize("options", [{}, {"num_beams": 2}], ids=str)
    def test_a_step_writes_the_cache_in_place(self, model, options):
        """Nothing but that, and beams that move, makes another cache of all the room."""
        room = PROMPT + 6
        generate = tf.function(lambda ids: model.generate(ids, 6, **options), autograph=False)
        concrete = generate.get_concrete_function(tf.constant(PROMPTS))
        rows = 3 * options.get("num_beams", 1)
        size = rows * model.config.num_attention_heads * room * model.config.head_size
        # In the body of the loop: outside of it the prompts' keys and values get their room.
        body = [x.op for x in all_tensors(concrete) if "while_body" in x.graph.name]
        kinds = {
            operation.type
            for operation in body
            for x in operation.outputs
            if x.dtype == tf.float32 and x.shape.num_elements() == size
        }
        moves = {"GatherV2"} if options else set()
        free = {"Placeholder", "Identity", "Reshape", "EnsureShape"}
        assert kinds - free == {"ScatterNdNonAliasingAdd", "Transpose"} | moves

    def test_stop_tokens(self, model):
        free = model.generate(EXPLICIT, 9).numpy()
        stop = int(free[0, 4])
        stopped = model.generate(EXPLICIT, 9, stop_token_ids=stop).numpy()
        expected = free.copy()
        for row in expected:
            if stop in row:
                row[row.tolist().index(stop) + 1 :] = 0
        assert (stopped == expected).all()
        # The config's own are used if none are given, and can be turned off.
        config = model.config.replace(eos_token_id=stop)
        other = BigBirdForCausalLM(config)
        other.set_weights(model.get_weights())
        assert (other.generate(EXPLICIT, 9).numpy() == expected).all()
        assert (other.generate(EXPLICIT, 9, stop_token_ids=[]).numpy() == free).all()

    def test_sampling_by_seed(self, model):
        options = {"do_sample": True, "top_k": 7, "top_p": 0.95, "temperature": 1.5}
        first = model.generate(EXPLICIT, 8, seed=5, **options).numpy()
        assert (model.generate(EXPLICIT, 8, seed=5, **options).numpy() == first).all()
        assert (model.generate(EXPLICIT, 8, seed=6, **options).numpy() != first).any()
        # 0 is a seed like any other.
        zero = [model.generate(EXPLICIT, 8, seed=0, **options).numpy() for _ in range(2)]
        assert (zero[0] == zero[1]).all()
        unseeded = [model.generate(EXPLICIT, 8, **options).numpy() for _ in range(2)]
        assert (unseeded[0] != unseeded[1]).any()

    def test_rules_are_as_without_cache(self, model, next_logits):
        # Row by row and token by token, with the rules written as loops.
        free = model.generate(EXPLICIT, 9).numpy()
        stop = int(free[0, 1])
        found = model.generate(EXPLICIT, 9, **RULES, stop_token_ids=stop).numpy()
        assert (found != free).any(axis=1).sum() > 1
        for row in range(3):
            tokens = PROMPTS[row][MASK[row] == 1].tolist()
            start = len(tokens)
            while len(tokens) < start + 9 and stop not in tokens[start + 2 :]:
                logits = next_logits(tokens)
                for token in set(tokens):
                    logits[token] *= 1.7 if logits[token] < 0 else 1 / 1.7
                for i in range(len(tokens) - 1):
                    if tokens[i] == tokens[-1]:
                        logits[tokens[i + 1]] = -np.inf
                if len(tokens) < start + 3:
                    logits[stop] = -np.inf
                tokens.append(int(logits.argmax()))
            new = tokens[start:]
            assert found[row].tolist() == [*new, *[0] * (9 - len(new))]

    def test_padding_does_not_count(self, model):
        # Ids of padding and its side change nothing, nor does the length of other prompts.
        options = {**RULES, "stop_token_ids": [], "no_repeat_ngram_size": 1}
        ids = np.where(MASK, PROMPTS, random_ids(seed=5, batch=3, length=PROMPT))
        beams = [{"num_beams": 2, "num_return_sequences": 2}] if IS_TENSORFLOW else []
        for arguments in ({}, *beams):
            expected = model.generate(EXPLICIT, 4, **options, **arguments)
            other = model.generate({**EXPLICIT, "input_ids": ids}, 4, **options, **arguments)
            assert_close(other, expected)
            alone = model.generate(PROMPTS[:1, :7], 4, **options, **arguments)
            assert_close(alone, expected[: len(alone)])

    def test_several_sequences(self, model):
        beams = model.generate(EXPLICIT, 5, num_beams=3, num_return_sequences=3).numpy()
        assert beams.shape == (9, 5)
        best = model.generate(EXPLICIT, 5, num_beams=3).numpy()
        assert (beams[::3] == best).all()
        assert all(len(np.unique(beams[i : i + 3], axis=0)) == 3 for i in (0, 3, 6))

        options = {"do_sample": True, "seed": 4, "temperature": 2.0}
        drawn = model.generate(EXPLICIT, 5, num_return_sequences=4, **options).numpy()
        assert drawn.shape == (12, 5)
        assert all(len(np.unique(drawn[i : i + 4], axis=0)) == 4 for i in (0, 4, 8))
        # Each is drawn of its own prompt: with one choice all are the prompt's greedy one.
        options |= {"temperature": 1.0, "top_k": 1}
        drawn = model.generate(EXPLICIT, 5, num_return_sequences=2, **options).numpy()
        assert (drawn == np.repeat(model.generate(EXPLICIT, 5).numpy(), 2, axis=0)).all()

    @pytest.mark.slow
    def test_rules_in_a_saved_model(self, model, tmp_path):
        module = tf.Module()
        module.model = model
        spec = tf.TensorSpec((None, None), tf.int32)
        several = {**RULES, "num_beams": 3, "num_return_sequences": 2}
        drawn = {**RULES, "do_sample": True, "seed": 3, "num_return_sequences": 2}

        @tf.function(input_signature=[spec, spec])
        def generate(input_ids, attention_mask):
            prompts = {"input_ids": input_ids, "attention_mask": attention_mask}
            return {
                "greedy": model.generate(prompts, 5, **RULES),
                "beams": model.generate(prompts, 5, **several),
                "sampled": model.generate(prompts, 5, **drawn),
            }

        module.generate = generate
        tf.saved_model.save(module, str(tmp_path))
        loaded = tf.saved_model.load(str(tmp_path))
        outputs = loaded.generate(tf.constant(PROMPTS), tf.constant(MASK))
        assert_close(outputs["greedy"], model.generate(EXPLICIT, 5, **RULES))
        assert_close(outputs["beams"], model.generate(EXPLICIT, 5, **several))
        assert_close(outputs["sampled"], model.generate(EXPLICIT, 5, **drawn))

    @pytest.mark.slow
    def test_saved_model(self, model, tmp_path):
        module = tf.Module()
        module.model = model
        spec = tf.TensorSpec((None, None), tf.int32)

        @tf.function(input_signature=[spec, spec])
        def generate(input_ids, attention_mask):
            prompts = {"input_ids": input_ids, "attention_mask": attention_mask}
            return {
                "greedy": model.generate(prompts, 5),
                "beams": model.generate(prompts, 5, num_beams=2),
                "sampled": model.generate(prompts, 5, do_sample=True, seed=3),
                "drawn": model.generate(prompts, 5, do_sample=True),
            }

        module.generate = generate
        tf.saved_model.save(module, str(tmp_path))
        loaded = tf.saved_model.load(str(tmp_path))
        outputs = loaded.generate(tf.constant(PROMPTS), tf.constant(MASK))
        assert_close(outputs["greedy"], model.generate(EXPLICIT, 5))
        assert_close(outputs["beams"], model.generate(EXPLICIT, 5, num_beams=2))
        assert_close(outputs["sampled"], model.generate(EXPLICIT, 5, do_sample=True, seed=3))
        again = loaded.generate(tf.constant(PROMPTS), tf.constant(MASK))
        assert (outputs["drawn"].numpy() != again["drawn"].numpy()).any()
        # One row of another length: nothing is fixed in the graph.
        short = loaded.generate(tf.constant(PROMPTS[2:, 4:]), tf.ones((1, 7), tf.int32))
        assert_close(short["greedy"], model.generate(PROMPTS[2:, 4:], 5))
        with pytest.raises(tf.errors.InvalidArgumentError, match="max_position_embeddings"):
            loaded.generate(*[tf.ones((1, LONGEST - 4), tf.int32)] * 2)

    def test_half_precision(self):
        model = BigBirdForCausalLM(tiny_config(), dtype="mixed_bfloat16")
        tokens = model.generate(EXPLICIT, 3)
        assert tokens.shape == (3, 3)

    def test_the_longest(self, model):
        tokens = model.generate(PROMPTS, LONGEST - PROMPT)
        assert tokens.shape == (3, LONGEST - PROMPT)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"max_new_tokens": 0}, "`max_new_tokens` must be a positive integer.*=0"),
            ({"max_new_tokens": LONGEST}, "a prompt of 11 tokens, max_new_tokens=61"),
            ({"num_beams": 0}, "`num_beams` must be a positive integer"),
            ({"do_sample": True, "top_k": 0}, "`top_k` must be a positive integer"),
            ({"do_sample": True, "top_p": 0.0}, r"`top_p` must be in \(0, 1\]"),
            ({"do_sample": True, "temperature": 0.0}, "`temperature` must be above 0"),
            ({"do_sample": True, "num_beams": 2}, "Beams are not sampled"),
            ({"top_k": 3}, "are of sampling: pass do_sample=True"),
            ({"top_p": "0.5"}, "`top_p` must be a number"),
            ({"num_return_sequences": 2}, "Greedy decoding.*do_sample=True or num_beams=2"),
            ({"num_return_sequences": 0}, "`num_return_sequences` must be a positive integer"),
            ({"num_return_sequences": 3, "num_beams": 2}, "at most `num_beams`.*=3, num_beams=2"),
            ({"repetition_penalty": 0.0}, "`repetition_penalty` must be above 0.*=0.0"),
            ({"repetition_penalty": None}, "`repetition_penalty` must be a number.*=None"),
            ({"length_penalty": float("nan")}, "`length_penalty` must be a number.*=nan"),
            ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` must be an integer, 0 or more"),
            ({"no_repeat_ngram_size": 1.5}, "`no_repeat_ngram_size` must be an integer, 0 or more"),
            ({"min_new_tokens": True}, "`min_new_tokens` must be an integer, 0 or more"),
            ({"min_new_tokens": 4}, "at most `max_new_tokens`.*min_new_tokens=4, max_new_tokens=3"),
        ],
        ids=str,
    )
    def test_bad_arguments(self, model, arguments, message):
        with pytest.raises(ValueError, match=message):
            model.generate(PROMPTS, **{"max_new_tokens": 3, **arguments})

    def test_kinds_of_ids(self, model):
        """Tensors, nested lists, ragged ids, and a tokenizer's dictionary are all prompts."""
        expected = model.generate(PROMPTS, 3, stop_token_ids=[])
        types = np.zeros_like(PROMPTS)
        for prompts in (
            tf.constant(PROMPTS),
            PROMPTS.tolist(),
            tf.RaggedTensor.from_tensor(PROMPTS),
            {"input_ids": PROMPTS, "attention_mask": types + 1, "token_type_ids": types},
        ):
            np.testing.assert_array_equal(model.generate(prompts, 3, stop_token_ids=[]), expected)
        ragged = tf.ragged.constant([PROMPTS[0].tolist(), PROMPTS[1, :4].tolist()])
        alone = model.generate(PROMPTS[1:2, :4], 3, stop_token_ids=[])
        np.testing.assert_array_equal(
            model.generate(ragged, 3, stop_token_ids=[]), np.stack([expected[0], alone[0]])
        )
        with pytest.raises(tf.errors.InvalidArgumentError, match="`token_type_ids` of a prompt"):
            model.generate({"input_ids": PROMPTS, "token_type_ids": types + 1}, 3)

    def test_bad_prompts(self, model):
        empty = np.array([[1, 1], [0, 0], [1, 0]])
        with pytest.raises(tf.errors.InvalidArgumentError, match="one token at least"):
            model.generate({"input_ids": PROMPTS[:, :2], "attention_mask": empty}, 2)
        with pytest.raises(ValueError, match="one token at least"):
            model.generate(np.zeros((2, 0), "int32"), 2)
        with pytest.raises(tf.errors.InvalidArgumentError, match="`input_ids` must be in"):
            model.generate(PROMPTS + VOCABULARY, 2)
        with pytest.raises(ValueError, match=r"follow from the mask.*position_ids"):
            model.generate({"input_ids": PROMPTS, "position_ids": PROMPTS}, 2)
        for prompts in ("a text", [b"a text"], np.array(["a text"]), tf.constant(["a text"])):
            with pytest.raises(TypeError, match="strings need `tokenizer`"):
                model.generate(prompts, 2)
