"""What causal LM's signatures compute, against `generate`."""

import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import export_saved_model, make_servable
from tests.serving.conftest import small_config


@pytest.mark.parametrize(
    ("generation", "message"),
    [
        ({"num_beam": 2}, "`generation` takes arguments.*num_beams.*Received: num_beam"),
        ({"num_return_sequences": 2}, "Greedy decoding"),
        ({"min_new_tokens": 8}, "at most `max_new_tokens`"),
    ],
    ids=str,
)
def test_bad_options(tokenizer, generation, message):
    model = models.BigBirdForCausalLM(small_config(num_hidden_layers=0))
    with pytest.raises(ValueError, match=message):
        make_servable(model, tokenizer, max_new_tokens=7, generation=generation)


@pytest.mark.slow
class TestCausalLM:
    @pytest.mark.parametrize("family", ["BigBird", "BigBirdPegasus"])
    def test_equals_generate(self, exported, family):
        lm = exported(f"{family}ForCausalLM")
        texts = ["", "A bird", "the river house"]
        found = lm.run(text=texts)
        for i, text in enumerate(texts):
            expected = lm.model.generate(
                [text], 7, stop_token_ids=[], tokenizer=lm.tokenizer
            ).numpy()
            assert found["continuation"][i] == expected[0]

    def test_prompt_too_long(self, exported):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must have at most 54 pieces"):
            exported("BigBirdForCausalLM").run(text=["short", "bird " * 99])

    def test_several_continuations(self, exported, tokenizer, tmp_path):
        lm = exported("BigBirdForCausalLM")
        rules = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "min_new_tokens": 3}
        generation = {**rules, "num_beams": 3, "num_return_sequences": 2}
        options = {"max_new_tokens": 5, "stop_token_ids": [7, 8, 9]}
        folder = export_saved_model(lm.model, tmp_path, tokenizer, **options, generation=generation)
        # Of different lengths, so that rows run in groups and come back in order.
        texts = ["", "the river house of eleven birds and a green stone house", "A bird"]
        found = tf.saved_model.load(str(folder)).signatures["serving_default"](
            text=tf.constant(texts)
        )
        assert found["tokens"].shape == (3, 2, 5)
        assert found["continuation"].shape == (3, 2)
        options |= {"tokenizer": lm.tokenizer, **generation}
        for i, text in enumerate(texts):
            expected = lm.model.generate(text, **options).numpy().tolist()
            assert found["continuation"][i].numpy().tolist() == expected

    def test_sampling_draws_anew_each_time(self, exported, tokenizer, tmp_path):
        lm = exported("BigBirdForCausalLM")
        options = {"max_new_tokens": 5, "generation": {"do_sample": True}, "stop_token_ids": []}
        folder = export_saved_model(lm.model, tmp_path, tokenizer, **options)
        loaded = tf.saved_model.load(str(folder))
        run = loaded.signatures["serving_default"]
        drawn = [run(text=tf.constant(["a"] * 4))["tokens"].numpy() for _ in range(2)]
        assert (drawn[0] != drawn[1]).any()
        assert (drawn[0][0] != drawn[0][1:]).any()
