"""Every option of every servable, with a value of its own, found again where it acts."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.preprocessing import AnswerCalibration
from bigbird_tf.serving import export, make_servable, masked_lm, question_answering, servable
from bigbird_tf.serving.export import SERVABLES
from tests.serving.conftest import small_config, small_pegasus_config
from tests.watching import watch

LONG = "stone river house " * 40


def make(name, tokenizer, extra=None, **options):
    """A servable of a model without layers, which knows all lengths of the config."""
    if name.startswith("BigBirdPegasus"):
        config = small_pegasus_config(encoder_layers=0, decoder_layers=1)
        return make_servable(getattr(models, name)(config), tokenizer, **options)
    config = small_config(num_hidden_layers=0, extra=extra or {})
    return make_servable(getattr(models, name)(config), tokenizer, **options)


class TestAllHeads:
    @pytest.mark.parametrize("name", SERVABLES)
    def test_max_length_and_weight_dtype(self, tokenizer, pegasus_tokenizer, name):
        is_pegasus = name.startswith("BigBirdPegasus")
        tokenizer = pegasus_tokenizer if is_pegasus else tokenizer
        options = {"max_new_tokens": 3} if "CausalLM" in name else {}
        made = make(name, tokenizer, max_length=23, weight_dtype="float16", **options)
        assert type(made) is SERVABLES[name]
        assert made.max_length == 23
        assert {weight.dtype for weight in made.model.weights} == {"float16"}
        assert {variable.dtype for variable in made.variables.values()} == {tf.float16}
        if "Conditional" in name:
            # Its documents are cut instead, and end all the same.
            ids, num_cut = made._read(tf.constant([LONG]))
            assert int(ids.row_lengths()[0]) == 22
            assert int(num_cut[0]) == len(tokenizer.tokenize(LONG)) - 22
        else:
            windows = made.text_windows(tf.constant([LONG]))
            assert int(tf.reduce_max(windows.lengths)) == 23
        plain = make(name, tokenizer, **options)
        assert plain.max_length == plain.config.max_position_embeddings
        assert {weight.dtype for weight in plain.model.weights} == {"float32"}

    def test_bounds_of_max_length(self, tokenizer):
        config = small_config()
        for value in (8, config.max_position_embeddings):
            assert make("BigBirdModel", tokenizer, max_length=value).max_length == value

    def test_lengths_of_groups(self, tokenizer, monkeypatch):
        """Steps are the config's blocks; full attention ends where the config says so."""
        calls = watch(monkeypatch, servable, "run_by_length")
        lengths, results = tf.constant([5]), {"x": tf.zeros([1])}

        def compute(rows):
            return rows, {"x": tf.ones([1])}

        made = make("BigBirdModel", tokenizer)
        made.run_by_length(compute, lengths, results)
        made.run_by_length(compute, lengths, results, tokens_at_once=77)
        # Attention of decoders is full at all lengths.
        decoder = make("BigBirdForCausalLM", tokenizer, max_new_tokens=3, max_length=59)
        decoder.run_by_length(compute, lengths, results)
        assert [(call["length_step"], call["same_up_to"]) for call in calls] == [
            (4, 28), (4, 28), (4, 59)
        ]  # fmt: skip
        assert [call.get("tokens_at_once") for call in calls] == [None, 77, None]

    def test_options_are_those_that_this_file_tests(self):
        shared = {"max_length", "weight_dtype"}
        own = {
            "BigBirdForCausalLM": {"max_new_tokens", "stop_token_ids", "generation"},
            "BigBirdPegasusForConditionalGeneration": {
                "max_new_tokens", "stop_token_ids", "generation", "too_long",
            },
            "BigBirdForMaskedLM": {"num_best"},
            "BigBirdForPreTraining": {"num_best"},
            "BigBirdForQuestionAnswering": {
                "doc_stride", "max_question_length", "max_windows", "max_answer_length",
                "num_best", "no_answer_threshold", "confidence_threshold", "construction",
                "max_paragraphs",
            },
        }  # fmt: skip
        for head in ("ForCausalLM", "ForQuestionAnswering"):
            own[f"BigBirdPegasus{head}"] = own[f"BigBird{head}"]
        for name, servable_class in SERVABLES.items():
            assert set(export._option_names(servable_class)) == shared | own.get(name, set())


class TestQuestionAnswering:
    def answers(self, made, monkeypatch, context=LONG, count=2):
        """Runs a signature's computation; gives what its two halves were called with."""
        calls = [
            watch(monkeypatch, question_answering, name)
            for name in ("best_spans", "choose_answers")
        ]
        made._answers(tf.constant(["who sings?"]), tf.constant([context]), count)
        spans, [choice] = calls
        return spans, choice

    def test_windows(self, tokenizer):
        made = make(
            "BigBirdForQuestionAnswering", tokenizer, max_length=41, doc_stride=7,
            max_question_length=5, max_windows=3,
        )  # fmt: skip
        layout = made.preprocessor.window_layout
        assert (layout.max_length, layout.doc_stride, layout.max_windows) == (41, 7, 3)
        assert (layout.padding, layout.pad_to_multiple_of) == ("longest", 4)
        separator = tokenizer.sep_token_id
        assert layout.text_layout == (tokenizer.cls_token_id, separator, separator)
        assert layout.pad_token_id == tokenizer.pad_token_id
        question_ids, _ = made.preprocessor.tokenize(tf.constant([LONG]), tf.constant([LONG]))
        assert question_ids.row_lengths().numpy().tolist() == [5]

    def test_questions_are_a_quarter_by_default_and_64_pieces_at_most(self, tokenizer):
        made = make("BigBirdForQuestionAnswering", tokenizer)
        assert made.preprocessor.max_question_length == 61 // 4
        config = small_config(num_hidden_layers=0, max_position_embeddings=300)
        model = models.BigBirdForQuestionAnswering(config)
        for max_length, expected in ((255, 63), (256, 64), (260, 64)):
            made = make_servable(model, tokenizer, max_length=max_length)
            assert made.preprocessor.max_question_length == expected

    def test_question_and_paragraphs_as_global_tokens(self, tokenizer):
        config = small_config(num_hidden_layers=0, construction="etc", num_global_tokens=8)
        model = models.BigBirdForQuestionAnswering(config)
        options = {"construction": "etc", "max_question_length": 5, "max_paragraphs": 3}
        made = make_servable(model, tokenizer, **options)
        assert made.preprocessor.construction == "etc"
        assert made.preprocessor.max_paragraphs == 3
        assert made.preprocessor.num_global_tokens == 8
        with pytest.raises(ValueError, match=r"max_paragraphs=4, config\.num_global_tokens=8"):
            make_servable(model, tokenizer, **{**options, "max_paragraphs": 4})

    def test_answers(self, tokenizer, monkeypatch):
        extra = {"answer_calibration": {"weight": 0.5, "bias": -0.25, "threshold": 0.125}}
        made = make(
            "BigBirdForQuestionAnswering", tokenizer, extra, max_answer_length=6, num_best=4,
            no_answer_threshold=-1.5, confidence_threshold=0.375,
        )  # fmt: skip
        spans, choice = self.answers(made, monkeypatch, count=2)
        assert {(call["max_answer_length"], call["count"]) for call in spans} == {(6, 2)}
        assert choice["no_answer_threshold"] == -1.5
        assert choice["confidence_threshold"] == 0.375
        assert choice["calibration"] == AnswerCalibration(0.5, -0.25, 0.125)
        assert made.num_best == 4

    @pytest.mark.parametrize(
        ("extra", "options", "expected"),
        [
            ({}, {}, (0.0, 0.0)),
            ({}, {"no_answer_threshold": None}, (None, 0.0)),
            ({"threshold": 0.125}, {}, (None, 0.125)),
            ({"threshold": 0.125}, {"no_answer_threshold": 0.5}, (0.5, 0.125)),
            ({"threshold": 0.125}, {"confidence_threshold": 0.0}, (None, 0.0)),
            ({"threshold": 0.125}, {"confidence_threshold": 0.25}, (None, 0.25)),
        ],
    )
    def test_thresholds_that_the_config_has(self, tokenizer, extra, options, expected):
        made = make(
            "BigBirdForQuestionAnswering",
            tokenizer,
            {"answer_calibration": extra} if extra else {},
            **options,
        )
        assert (made.no_answer_threshold, made.confidence_threshold) == expected
        assert (made.max_answer_length, made.num_best) == (30, 5)


class TestMaskedLM:
    @pytest.mark.parametrize("name", ["BigBirdForMaskedLM", "BigBirdForPreTraining"])
    def test_num_best(self, tokenizer, monkeypatch, name):
        calls = watch(monkeypatch, servable, "run_by_length")
        made = make(name, tokenizer, num_best=4)
        found = made._fill_masks(tf.constant(["the [MASK] sings [MASK]", "no mask"]))
        assert {key: tuple(value.shape) for key, value in found.items()} == {
            "tokens": (2, 2, 4), "scores": (2, 2, 4), "filled": (2, 2, 4)
        }  # fmt: skip
        assert calls[0]["tokens_at_once"] == masked_lm.TOKENS_AT_ONCE == 4096
        assert make(name, tokenizer).num_best == 5

    def test_as_many_as_there_are_pieces(self, tokenizer):
        most = tokenizer.vocab_size
        assert make("BigBirdForMaskedLM", tokenizer, num_best=most).num_best == most
        with pytest.raises(ValueError, match=f"`num_best` must be from 1 to {most}"):
            make("BigBirdForMaskedLM", tokenizer, num_best=most + 1)

    def test_what_filled_texts_may_take_to_the_byte(self, tokenizer, monkeypatch):
        """19 bytes, of which two masks make 38, and two tokens for each of them 76."""
        text = tf.constant(["[MASK] bird [MASK]!"])
        assert int(tf.strings.length(text)[0]) == 19
        made = make("BigBirdForMaskedLM", tokenizer, num_best=2)
        monkeypatch.setattr(masked_lm, "MAX_FILLED_BYTES", 76)
        assert made._fill_masks(text)["filled"].shape == (1, 2, 2)
        monkeypatch.setattr(masked_lm, "MAX_FILLED_BYTES", 75)
        with pytest.raises(tf.errors.InvalidArgumentError, match="The filled texts of a call"):
            made._fill_masks(text)


class TestSentenceEmbedding:
    def make(self, tokenizer, max_length=None, **options):
        config = small_config(num_hidden_layers=0)
        model = models.BigBirdForSentenceEmbedding(config, **options)
        return make_servable(model, tokenizer, max_length=max_length)

    def test_whose_length_it_is(self, tokenizer):
        """That of the export, else the model's, else all positions; and never more than these."""
        assert self.make(tokenizer, max_length=19, max_seq_length=23).max_length == 19
        assert self.make(tokenizer, max_seq_length=23).max_length == 23
        assert self.make(tokenizer).max_length == 61
        assert self.make(tokenizer, max_seq_length=62).max_length == 61

    def test_the_prompt_stands_before_each_text(self, tokenizer):
        made = self.make(tokenizer, prompt="river: ")
        assert made.prompt == "river: "
        prompted = made._embed(tf.constant(["bird"]))["sentence_embedding"].numpy()[0]
        made.prompt = self.make(tokenizer).prompt
        texts = tf.constant(["river: bird", "bird"])
        written_out, plain = made._embed(texts)["sentence_embedding"].numpy()
        np.testing.assert_allclose(prompted, written_out, rtol=1e-5, atol=1e-6)
        assert np.abs(prompted - plain).max() > 1e-3

    def test_what_is_beyond_is_cut_off(self, tokenizer):
        """Ten pieces are [CLS], eight of the text, and [SEP]."""
        made = self.make(tokenizer, max_length=10)
        pieces = tokenizer.tokenize([LONG])[0].numpy().tolist()
        cut, one_less = (tokenizer.detokenize([pieces[:count]]) for count in (8, 7))
        texts = tf.concat([[LONG], cut, one_less], axis=0)
        long, same, other = made._embed(texts)["sentence_embedding"].numpy()
        np.testing.assert_allclose(long, same, rtol=1e-5, atol=1e-6)
        assert np.abs(long - other).max() > 1e-4


class TestCausalLM:
    def test_all_options(self, tokenizer, monkeypatch):
        calls = []

        @functools.wraps(models.BigBirdForCausalLM.generate)
        def generate(self, prompts, max_new_tokens, **options):
            calls.append((max_new_tokens, options))
            return tf.fill([2 * tf.shape(prompts["input_ids"])[0], max_new_tokens], 9)

        monkeypatch.setattr(models.BigBirdForCausalLM, "generate", generate)
        generation = {
            "do_sample": True, "temperature": 0.5, "top_k": 4, "top_p": 0.75,
            "repetition_penalty": 1.25, "no_repeat_ngram_size": 3, "min_new_tokens": 2,
            "num_return_sequences": 2, "seed": 11,
        }  # fmt: skip
        made = make(
            "BigBirdForCausalLM", tokenizer, max_length=31, max_new_tokens=7,
            stop_token_ids=[3, 5], generation=generation,
        )  # fmt: skip
        found = made._generate(tf.constant(["the bird"]))
        assert calls == [(7, {"stop_token_ids": (3, 5), **generation})]
        assert found["tokens"].shape == (1, 2, 7)
        assert found["continuation"].shape == (1, 2)

    def test_room_for_a_prompt_to_the_piece(self, tokenizer, monkeypatch):
        monkeypatch.setattr(
            models.BigBirdForCausalLM,
            "generate",
            lambda self, prompts, count, **_: tf.fill(
                [tf.shape(prompts["input_ids"])[0], count], 9
            ),
        )
        text = tf.constant(["the bird sings"])
        pieces = 1 + int(tokenizer.tokenize(text).row_lengths()[0])
        # With as many new ones as are left, and with one more.
        fits, too_long = (
            make(
                "BigBirdForCausalLM",
                tokenizer,
                max_length=pieces + 5,
                max_new_tokens=count,
                stop_token_ids=[],
            )
            for count in (5, 6)
        )
        assert fits._generate(text)["tokens"].shape == (1, 5)
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {pieces - 1} pieces"):
            too_long._generate(text)

    def test_one_place_for_a_prompt_is_the_least(self, tokenizer):
        options = {"max_length": 9, "stop_token_ids": []}
        made = make("BigBirdForCausalLM", tokenizer, max_new_tokens=8, **options)
        assert made.max_new_tokens == 8
        with pytest.raises(ValueError, match=r"`max_new_tokens` must be .*max_new_tokens=9"):
            make("BigBirdForCausalLM", tokenizer, max_new_tokens=9, **options)


def test_what_export_hands_on(tokenizer, tmp_path, monkeypatch):
    made, written = watch(monkeypatch, export, "make_servable"), []
    monkeypatch.setattr(export, "_write_saved_model", lambda servable, folder: None)
    monkeypatch.setattr(export, "import_serving_apis", lambda: None)
    monkeypatch.setattr(
        export,
        "write_warmup_requests",
        lambda folder, requests, model_name: written.append((requests, model_name)),
    )
    model = models.BigBirdForMaskedLM(small_config(num_hidden_layers=0))
    folder = export.export_saved_model(
        model, tmp_path / "masks", tokenizer, warmup=True, max_length=40, num_best=3
    )
    assert folder == tmp_path / "masks/1"
    assert made == [
        {"model": model, "tokenizer": tokenizer, "options": {"max_length": 40, "num_best": 3}}
    ]
    [(requests, model_name)] = written
    assert model_name == "masks"
    # One word, half of the model's length, and as many as still fit.
    assert [request["text"][0].count("word") for request in requests] == [1, 20, 32]
    export.export_saved_model(model, tmp_path / "masks", tokenizer)
    assert len(written) == 1
