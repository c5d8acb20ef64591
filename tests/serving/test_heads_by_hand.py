"""What each head's servable makes of logits; the model's part is played by hand."""

from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import make_servable
from bigbird_tf.serving.export import SERVABLES
from bigbird_tf.serving.servable import check_rank, check_same_batch
from tests.serving.conftest import LABELS, small_config, small_pegasus_config

LONG = "the bird sings in the river house of stone and " * 9
IDS = ("input_ids", "attention_mask", "token_type_ids")
TEXT = {"text": ("string", 1)}
# Signatures on strings: what they take and return, as dtype and rank.
SIGNATURES = {
    "BigBirdForSentenceEmbedding": {
        "serving_default": (TEXT, {"sentence_embedding": ("float32", 2)})
    },
    "BigBirdModel": {
        "serving_default": (TEXT, {"cls": ("float32", 2), "mean": ("float32", 2)}),
    },
    "BigBirdForCausalLM": {
        "serving_default": (TEXT, {"continuation": ("string", 1), "tokens": ("int32", 2)})
    },
    "BigBirdForMaskedLM": {
        "serving_default": (
            TEXT,
            {"tokens": ("string", 3), "scores": ("float32", 3), "filled": ("string", 3)},
        )
    },
    "BigBirdForMultipleChoice": {
        "serving_default": (
            {**TEXT, "choices": ("string", 2)},
            {"choice": ("int32", 1), "answer": ("string", 1), "probabilities": ("float32", 2)},
        )
    },
    "BigBirdForQuestionAnswering": {
        signature: (
            {"question": ("string", 1), "context": ("string", 1)},
            {
                **dict.fromkeys(("score", "confidence"), ("float32", rank)),
                **dict.fromkeys(("start", "end"), ("int32", rank)),
                "answer": ("string", rank),
                "no_answer_score": ("float32", 1),
            },
        )
        for signature, rank in (("serving_default", 1), ("n_best", 2))
    },
    "BigBirdForSequenceClassification": {
        signature: (inputs, {"labels": ("string", 2), "probabilities": ("float32", 2)})
        for signature, inputs in (
            ("serving_default", TEXT),
            ("pair", {**TEXT, "text_pair": ("string", 1)}),
        )
    },
    "BigBirdForTokenClassification": {
        "serving_default": (
            TEXT,
            {
                **dict.fromkeys(("texts", "labels"), ("string", 2)),
                **dict.fromkeys(("starts", "ends"), ("int32", 2)),
                "scores": ("float32", 2),
            },
        )
    },
    "BigBirdPegasusForConditionalGeneration": {
        "serving_default": (
            TEXT,
            {"summary": ("string", 1), "tokens": ("int32", 2), "num_cut": ("int32", 1)},
        )
    },
}
SIGNATURES["BigBirdForPreTraining"] = SIGNATURES["BigBirdForMaskedLM"]
SIGNATURES |= {
    f"BigBirdPegasus{head}": SIGNATURES[f"BigBird{head}"]
    for head in ("ForCausalLM", "ForQuestionAnswering", "ForSequenceClassification")
}


def played(name, tokenizer, answer, options=None, **changes):
    """A servable whose model is a function of the inputs by name, `answer`."""
    if name.startswith("BigBirdPegasus"):
        config = small_pegasus_config(encoder_layers=0, decoder_layers=1)
    else:
        config = small_config(num_hidden_layers=0, **changes)
    made = make_servable(getattr(models, name)(config), tokenizer, **(options or {}))
    made.encode = answer
    return made


def logits_of(name):
    """Logits of a head as wide as the small config has them; zeros."""

    def answer(input_ids, masked_positions=None, **_):
        shape = tf.shape(input_ids)
        if "Choice" in name:
            return tf.zeros(shape[:2])
        if "QuestionAnswering" in name:
            return {f"{side}_logits": tf.zeros(shape) for side in ("start", "end")}
        if name == "BigBirdModel":
            return {"last_hidden_state": tf.zeros([*tf.unstack(shape), 28])}
        if "Token" in name:
            return tf.zeros([*tf.unstack(shape), len(LABELS)])
        if masked_positions is not None:
            return {"prediction_logits": tf.zeros([*tf.unstack(tf.shape(masked_positions)), 131])}
        return tf.zeros([shape[0], 28 if "Embedding" in name else len(LABELS)])

    return answer


class EagerFunction:
    """Stands for `tf.function`: runs on an example of its signature at once, without a graph."""

    def __init__(self, input_signature, autograph):
        assert autograph is False
        self.input_signature = input_signature

    def __call__(self, function):
        self.function = function
        return self

    def get_concrete_function(self):
        examples = {1: ["a bird [MASK]", LONG], 2: [["x", "y"], ["z", ""]]}
        inputs = [tf.constant(examples[spec.shape.rank]) for spec in self.input_signature]
        specs = {spec.name: spec for spec in self.input_signature}
        return shapes(specs), shapes(self.function(*inputs))


def shapes(values):
    return {name: (value.dtype.name, value.shape.rank) for name, value in values.items()}


@pytest.mark.parametrize("name", [name for name in SERVABLES if "CausalLM" not in name])
def test_what_signatures_take_and_return(tokenizer, pegasus_tokenizer, monkeypatch, name):
    answer = logits_of(name)
    if name.startswith("BigBirdPegasus"):
        tokenizer = pegasus_tokenizer
    if name == "BigBirdPegasusForConditionalGeneration":
        spec = [tf.TensorSpec([None, None], tf.int32) for _ in range(2)]
        answer = tf.function(
            lambda input_ids, attention_mask: tf.zeros([tf.shape(input_ids)[0], 7], tf.int32), spec
        )
        answer.get_concrete_function()
    made = played(name, tokenizer, answer)
    with monkeypatch.context() as patch:
        patch.setattr(tf, "function", EagerFunction)
        found = {
            name: function.get_concrete_function()
            for name, function in made.string_functions().items()
        }
    assert found == SIGNATURES[name]
    assert set(made.input_names) == set(IDS) - ({"token_type_ids"} if "Peg" in name else set())
    assert made.input_rank == (3 if "Choice" in name else 2)
    is_masked = name in ("BigBirdForMaskedLM", "BigBirdForPreTraining")
    assert made.extra_inputs == (("masked_positions",) if is_masked else ())


@pytest.mark.parametrize("name", SERVABLES)
def test_files_for_clients(tokenizer, pegasus_tokenizer, tmp_path, name):
    is_pegasus = name.startswith("BigBirdPegasus")
    tokenizer = pegasus_tokenizer if is_pegasus else tokenizer
    options = {"max_new_tokens": 3} if "CausalLM" in name else {}
    made = played(name, tokenizer, None, options)
    made.write_assets(tmp_path)
    has_labels = name.endswith(("ForSequenceClassification", "ForTokenClassification"))
    files = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert set(files) == {"spiece.model", *(["labels.txt"] if has_labels else [])}
    if has_labels:
        assert files["labels.txt"].decode() == "O\nB-place\nI-place\nB-bird\nI-bird\n"


def test_labels_without_names_and_in_the_order_of_the_logits(tokenizer):
    name = "BigBirdForSequenceClassification"
    made = played(name, tokenizer, None, id2label=None, num_labels=3)
    assert made.labels == ["LABEL_0", "LABEL_1", "LABEL_2"]
    made = played(name, tokenizer, None, id2label={1: "b", 0: "z", 2: "a"})
    assert made.labels == ["z", "b", "a"]


class TestSequenceClassification:
    name = "BigBirdForSequenceClassification"
    names: ClassVar = {"id2label": {0: "low", 1: "high", 2: "middle"}}
    logits = tf.constant([[-1.0, 2.0, 0.5], [3.0, 0.0, 0.0]])

    def test_one_of_several_labels(self, tokenizer):
        found = played(self.name, tokenizer, None, **self.names)._decode(self.logits)
        # Of equal ones, the first.
        assert found["labels"].numpy().tolist() == [
            [b"high", b"middle", b"low"],
            [b"low", b"high", b"middle"],
        ]
        weights = np.exp([[2.0, 0.5, -1.0], [3.0, 0.0, 0.0]])
        expected = weights / weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-5)

    def test_labels_that_stand_by_themselves(self, tokenizer):
        problem = {"problem_type": "multi_label_classification"}
        found = played(self.name, tokenizer, None, **self.names, **problem)._decode(self.logits)
        assert found["labels"].numpy()[0].tolist() == [b"high", b"middle", b"low"]
        expected = 1 / (1 + np.exp([-2.0, -0.5, 1.0]))
        np.testing.assert_allclose(found["probabilities"][0], expected, rtol=1e-5)

    def test_regression(self, tokenizer):
        problem = {"problem_type": "regression", "num_labels": 3, "id2label": None}
        found = played(self.name, tokenizer, None, **problem)._decode(self.logits)
        assert list(found) == ["values"]
        np.testing.assert_array_equal(found["values"], self.logits)

    @pytest.mark.parametrize("pair", [None, "eleven birds"])
    def test_windows_are_averaged(self, tokenizer, pair):
        """Whatever a model says of each window, and whatever lengths these have."""

        def answer(input_ids, attention_mask, token_type_ids):
            # In which order windows come, their first piece tells.
            x = input_ids[:, 1], tf.reduce_sum(attention_mask, 1), tf.reduce_sum(token_type_ids, 1)
            return tf.cast(tf.stack(x, axis=1), tf.float32)

        made = played(self.name, tokenizer, answer, **self.names)
        texts = ["bird", LONG, "", LONG[:200]]
        pairs = None if pair is None else tf.constant([pair] * 4)
        windows = made.text_windows(tf.constant(texts), pairs)
        found = made._logits(windows).numpy()
        example = windows.plan.example.numpy()
        assert np.bincount(example)[1] == 3
        each = [
            answer(**windows.fill(tf.constant([row]))[0])[0].numpy() for row in range(len(example))
        ]
        for row in range(4):
            expected = np.mean([each[i] for i in np.flatnonzero(example == row)], axis=0)
            np.testing.assert_allclose(found[row], expected, rtol=1e-5)
        assert (found[:, 2] > 0).all() == (pair is not None)


def test_multiple_choice(tokenizer):
    """Each choice stands behind its own text, and the one with the largest logit is taken."""
    choices = [["a bird", "stone house river", "x"], ["river house of stone", "", "bird"]]

    def answer(input_ids, attention_mask, token_type_ids):
        assert input_ids.shape[1] == 1
        assert attention_mask.shape == input_ids.shape
        # The choice's pieces and [SEP] are of the second type.
        count = tf.reduce_sum(token_type_ids, axis=2) - 1
        return tf.cast(count, tf.float32) / 4

    made = played("BigBirdForMultipleChoice", tokenizer, answer)
    found = made._choose(tf.constant(["the", LONG]), tf.constant(choices))
    counts = [[len(tokenizer.tokenize(choice)) for choice in row] for row in choices]
    assert [int(np.argmax(row)) for row in counts] == [1, 0]
    assert found["choice"].numpy().tolist() == [1, 0]
    assert found["answer"].numpy().tolist() == [b"stone house river", b"river house of stone"]
    np.testing.assert_allclose(
        found["probabilities"], tf.nn.softmax(np.array(counts, np.float32) / 4), rtol=1e-5
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="`choices` must have one choice at"):
        made._choose(tf.constant(["the"]), tf.zeros([1, 0], tf.string))
    [text], [row] = made.example_inputs(5).values()
    assert text.split() == ["word"] * 5
    assert len(row) == 2


class TestQuestionAnswering:
    context = "eleven birds sing, the river house stands"

    def play(self, tokenizer, begin, end, **options):
        """A model that is sure of an answer from one piece to another, where it has both."""
        first, last = (int(tokenizer.tokenize(word)[0]) for word in (begin, end))

        def answer(input_ids, attention_mask, token_type_ids, question_lengths):
            return {
                "start_logits": 5.0 * tf.cast(input_ids == first, tf.float32),
                "end_logits": 3.0 * tf.cast(input_ids == last, tf.float32),
            }

        return played("BigBirdForQuestionAnswering", tokenizer, answer, options)

    def test_where_an_answer_is(self, tokenizer):
        made = self.play(tokenizer, "river", "house")
        # "river" in the question is no answer.
        questions = tf.constant(["a river?", "what?"])
        contexts = tf.constant([self.context, "né " * 60 + self.context])
        found = made._answers(questions, contexts, 1)
        assert found["answer"].numpy().tolist() == [[b"river house"]] * 2
        at = self.context.index("river")
        assert found["start"].numpy().tolist() == [[at], [at + 4 * 60]]
        assert found["end"].numpy().tolist() == [[at + 11], [at + 11 + 4 * 60]]
        assert found["score"].numpy().tolist() == [[8.0], [8.0]]
        assert found["no_answer_score"].numpy().tolist() == [0.0, 0.0]

    def test_no_answer_and_what_is_not_there(self, tokenizer):
        """Two words are three spans and "no answer", behind them five that JSON can hold."""
        made = self.play(tokenizer, "stone", "stone", no_answer_threshold=-1.0)
        found = made._answers(tf.constant(["what?"]), tf.constant(["river house"]), 9)
        assert found["answer"].numpy()[0, 0] == b""
        assert sorted(found["answer"].numpy()[0, 1:4].tolist()) == [
            b"house", b"river", b"river house"
        ]  # fmt: skip
        assert found["score"].numpy()[0, 4:].tolist() == [np.finfo(np.float32).min] * 5
        assert found["score"].numpy()[0, :4].tolist() == [0.0] * 4
        with pytest.raises(tf.errors.InvalidArgumentError, match="`question` and `context` must"):
            made._answers(tf.constant(["a", "b"]), tf.constant(["c"]), 1)


@pytest.mark.parametrize("too_long", ["cut", "refuse"])
def test_what_is_read_of_a_document(pegasus_tokenizer, too_long):
    """The first pieces and `</s>`; a model tells the first and the last one, and how many."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
    def answer(input_ids, attention_mask):
        count = tf.reduce_sum(attention_mask, axis=1)
        last = tf.gather(input_ids, count - 1, batch_dims=1)
        return tf.stack([input_ids[:, 0], last, count], axis=1)

    name = "BigBirdPegasusForConditionalGeneration"
    made = played(name, pegasus_tokenizer, answer, {"too_long": too_long, "max_length": 20})
    pieces = [pegasus_tokenizer.tokenize(text).numpy().tolist() for text in ("the bird", LONG)]
    end = pegasus_tokenizer.eos_token_id
    just_fits = pegasus_tokenizer.detokenize([pieces[1][:19]])[0]
    texts = tf.constant(["the bird", LONG, ""])
    if too_long == "refuse":
        message = "A document must have at most 19 pieces"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            made._summarize(texts)
        found = made._summarize(tf.stack([just_fits, "the bird"]))
        assert found["num_cut"].numpy().tolist() == [0, 0]
        assert found["tokens"].numpy()[:, 2].tolist() == [20, 1 + len(pieces[0])]
        return
    found = made._summarize(texts)
    assert found["tokens"].numpy().tolist() == [
        [pieces[0][0], end, len(pieces[0]) + 1],
        [pieces[1][0], end, 20],
        [end, end, 1],
    ]
    assert found["num_cut"].numpy().tolist() == [0, len(pieces[1]) - 19, 0]
    assert found["summary"].shape == (3,)


def test_every_head_says_what_a_request_may_be(tokenizer, pegasus_tokenizer):
    """Inputs of `serving_default`, one text of so many words; what is masked has a mask."""
    for name in SERVABLES:
        is_pegasus = name.startswith("BigBirdPegasus")
        options = {"max_new_tokens": 3} if "CausalLM" in name else {}
        made = played(name, pegasus_tokenizer if is_pegasus else tokenizer, None, options)
        example = made.example_inputs(7)
        assert list(example) == list(SIGNATURES[name]["serving_default"][0])
        text = example["context" if "Question" in name else "text"]
        assert len(text) == 1
        assert text[0].split().count("word") == 7
        assert ("[MASK]" in text[0]) == ("num_best" in vars(made) and "Question" not in name)


def test_a_string_in_place_of_a_batch_is_named():
    for name in ("text", "context"):
        spec = tf.TensorSpec([None], tf.string, name=name)
        function = tf.function(check_rank, autograph=False).get_concrete_function(spec)
        assert function(tf.constant(["a", "b"])).numpy().tolist() == [b"a", b"b"]
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=rf"{name}|\[\]"):
            function(tf.constant("a"))


def test_batches_of_one_size():
    one, two = tf.constant(["a", "b"]), tf.constant([["c"], ["d"]])
    found = check_same_batch(text=one, choices=two)
    assert [value.numpy().tolist() for value in found] == [[b"a", b"b"], [[b"c"], [b"d"]]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="`text` and `choices` must be of one"):
        check_same_batch(text=one, choices=two[:1])
