"""What each head's signatures compute, against the Python model and by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.preprocessing import (
    AnswerCalibration,
    QuestionAnsweringPreprocessor,
    TokenClassificationPreprocessor,
    decode_answers,
)
from bigbird_tf.preprocessing.words import split_words
from bigbird_tf.serving import export_saved_model, make_servable
from tests.serving.conftest import LABELS, MAX_LENGTH, TEXTS, small_config

pytestmark = pytest.mark.slow

# Those that fit into the model, and so into one window.
SHORT = TEXTS[:3]


def encode(servable, text, text_pair=None):
    """Gives a text's input as the signatures lay it out: padded to whole blocks."""
    return servable.tokenizer(
        [text],
        None if text_pair is None else [text_pair],
        max_length=MAX_LENGTH,
        pad_to_multiple_of=4,
    )


class TestQuestionAnswering:
    def test_equals_the_python_decoder(self, exported):
        qa = exported("BigBirdForQuestionAnswering")
        preprocessor = QuestionAnsweringPreprocessor(
            qa.tokenizer,
            max_length=MAX_LENGTH,
            padding="longest",
            pad_to_multiple_of=4,
            max_question_length=11,
        )
        questions = [f"who sings {i}?" for i in range(len(TEXTS))]
        best = qa.run(question=questions, context=TEXTS)
        n_best = qa.run("n_best", question=questions, context=TEXTS)
        num_windows = []
        for i, (question, context) in enumerate(zip(questions, TEXTS, strict=True)):
            x, windows = preprocessor.make_windows(question, context)
            num_windows.append(len(windows["example"]))
            # Each window by itself, at its own length.
            logits = {"start_logits": [], "end_logits": []}
            for row in range(num_windows[-1]):
                length = -(-int(tf.reduce_sum(x["attention_mask"][row])) // 4) * 4
                outputs = qa.model({k: v[row : row + 1, :length] for k, v in x.items()})
                for name, rows in logits.items():
                    value = outputs[name][0]
                    rows.append(tf.pad(value, [[0, x["input_ids"].shape[1] - value.shape[0]]]))
            for outputs, count in ((best, None), (n_best, 3)):
                expected = decode_answers(
                    tf.stack(logits["start_logits"]),
                    tf.stack(logits["end_logits"]),
                    windows,
                    context,
                    max_answer_length=9,
                    num_best=count,
                )
                for name, value in expected.items():
                    actual = outputs[name][i]
                    if name == "score":
                        # What is not there sorts last, by a number that JSON can hold.
                        value = np.maximum(value, np.finfo(np.float32).min)
                    if name in ("score", "no_answer_score", "confidence"):
                        np.testing.assert_allclose(actual, value, rtol=1e-4, atol=1e-4)
                    else:
                        np.testing.assert_array_equal(actual, value, err_msg=name)
        assert max(num_windows) > 3
        np.testing.assert_array_equal(n_best["answer"][:, 0], best["answer"])

    def test_fillers_are_json_and_sort_last(self, exported):
        found = exported("BigBirdForQuestionAnswering").run(
            "n_best", question=["who?", "who?"], context=["bird", ""]
        )
        # Of three: a word and "no answer"; "no answer" alone.
        assert [[bool(answer) for answer in row].count(True) for row in found["answer"]] == [1, 0]
        for scores, real in zip(found["score"], (2, 1), strict=True):
            assert scores[:real].min() > -1e6
            assert np.all(scores[real:] == np.finfo(np.float32).min)
            written = json.dumps(scores.tolist(), allow_nan=False)
            assert np.all(np.array(json.loads(written), np.float32) == scores)
        np.testing.assert_array_equal(found["confidence"][:, 2], 0.0)

    def test_calibration_and_threshold_of_the_config(self, tokenizer):
        def servable(calibration, **options):
            extra = {} if calibration is None else {"answer_calibration": calibration}
            model = models.BigBirdForQuestionAnswering(small_config(extra=extra))
            return make_servable(model, tokenizer, **options)

        plain = servable(None)
        assert (plain.calibration, plain.no_answer_threshold) == (None, 0.0)
        assert plain.confidence_threshold == 0.0
        fields = {"weight": 0.5, "bias": 0.1, "threshold": 0.4}
        calibrated = servable(fields)
        assert calibrated.calibration == AnswerCalibration(**fields)
        assert (calibrated.confidence_threshold, calibrated.no_answer_threshold) == (0.4, None)
        other = servable(fields, confidence_threshold=0, no_answer_threshold=1.0)
        assert (other.confidence_threshold, other.no_answer_threshold) == (0, 1.0)
        with pytest.raises(ValueError, match=r"`threshold` must be a number in \[0, 1\)"):
            servable({"threshold": 2})
        with pytest.raises(ValueError, match=r"`confidence_threshold`.*confidence_threshold=1"):
            servable(fields, confidence_threshold=1)
        with pytest.raises(ValueError, match="`no_answer_threshold` must be a number, None or"):
            servable(fields, no_answer_threshold="never")

    def test_offsets_are_bytes_of_the_context(self, exported):
        context = "日本語 naïve café Zürich привет " * 2
        found = exported("BigBirdForQuestionAnswering").run(
            "n_best", question=["猫?"], context=[context]
        )
        for answer, start, end in zip(
            *(found[k][0] for k in ("answer", "start", "end")), strict=True
        ):
            assert context.encode()[start:end] == answer

    def test_question_longer_than_the_window(self, exported):
        found = exported("BigBirdForQuestionAnswering").run(
            question=["who sings " * 500], context=["A bird sings."]
        )
        assert found["end"][0] <= len("A bird sings.")

    def test_batches_of_different_size(self, exported):
        with pytest.raises(tf.errors.InvalidArgumentError, match="of one batch size"):
            exported("BigBirdForQuestionAnswering").run(question=["a", "b"], context=["c"])

    def test_ten_thousand_documents(self, exported):
        """More than one step holds, nothing lost, and all in their order."""
        documents = [f"bird {i}" for i in range(10007)]
        found = exported("BigBirdForQuestionAnswering").run(
            "n_best", question=["who?"] * len(documents), context=documents
        )
        assert found["answer"].shape == (10007, 3)
        for i in range(0, 10007, 97):
            start, end = found["start"][i, 0], found["end"][i, 0]
            assert documents[i].encode()[start:end] == found["answer"][i, 0]


class TestSequenceClassification:
    def test_equals_the_model(self, exported):
        classifier = exported("BigBirdForSequenceClassification")
        found = classifier.run(text=SHORT)
        others = ["stone", "", "x"]
        pairs = classifier.run("pair", text=["", *SHORT[:2]], text_pair=others)
        cases = [(found, i, text, None) for i, text in enumerate(SHORT)]
        cases += [(pairs, i, ["", *SHORT[:2]][i], pair) for i, pair in enumerate(others)]
        for outputs, i, text, pair in cases:
            logits = classifier.model(encode(classifier, text, pair))[0]
            expected = tf.nn.softmax(logits).numpy()
            order = np.argsort(-expected)
            np.testing.assert_allclose(outputs["probabilities"][i], expected[order], rtol=1e-4)
            assert outputs["labels"][i].tolist() == [LABELS[k].encode() for k in order]

    def test_long_texts_average_their_windows(self, exported):
        classifier = exported("BigBirdForSequenceClassification")
        servable = make_servable(classifier.model, classifier.tokenizer)
        text = TEXTS[3]
        windows = servable.text_windows(tf.constant([text]))
        logits = []
        for row in range(len(windows.lengths)):
            logits.append(classifier.model(windows.fill(tf.constant([row]))[0])[0])
        assert len(logits) > 3
        expected = np.sort(tf.nn.softmax(np.mean(logits, axis=0)))[::-1]
        found = classifier.run(text=[text])["probabilities"][0]
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    @pytest.mark.parametrize("kind", ["regression", "multi_label_classification"])
    def test_other_problems(self, tokenizer, kind):
        model = models.BigBirdForSequenceClassification(small_config(problem_type=kind))
        servable = make_servable(model, tokenizer)
        outputs = servable.signatures()["serving_default"](text=tf.constant(SHORT))
        for i, text in enumerate(SHORT):
            logits = model(encode(servable, text))[0].numpy()
            if kind == "regression":
                assert sorted(outputs) == ["values"]
                np.testing.assert_allclose(outputs["values"][i], logits, rtol=1e-4, atol=1e-5)
            else:
                expected = np.sort(tf.sigmoid(logits))[::-1]
                np.testing.assert_allclose(outputs["probabilities"][i], expected, rtol=1e-4)

    def test_labels_without_names(self, tokenizer):
        config = small_config(id2label=None, num_labels=3)
        servable = make_servable(models.BigBirdForSequenceClassification(config), tokenizer)
        assert servable.labels == ["LABEL_0", "LABEL_1", "LABEL_2"]


class TestMaskedLM:
    def test_equals_the_model(self, exported):
        lm = exported("BigBirdForMaskedLM")
        texts = ["the [MASK] house", "no mask", "[MASK] sings[MASK] and [MASK]", ""]
        found = lm.run(text=texts)
        assert found["tokens"].shape == found["scores"].shape == found["filled"].shape == (4, 3, 3)
        for i, text in enumerate(texts):
            inputs = encode(lm, text)
            probabilities = tf.nn.softmax(lm.model(inputs)[0]).numpy()
            probabilities = probabilities[:, : lm.tokenizer.vocab_size]
            is_mask = inputs["input_ids"][0].numpy() == lm.tokenizer.mask_token_id
            for k, position in enumerate(np.flatnonzero(is_mask)):
                best = np.argsort(-probabilities[position])[:3]
                np.testing.assert_allclose(
                    found["scores"][i, k], probabilities[position][best], rtol=1e-4
                )
                tokens = [lm.tokenizer.detokenize([token]).numpy() for token in best.tolist()]
                assert found["tokens"][i, k].tolist() == tokens
            assert not found["scores"][i, is_mask.sum() :].any()
            assert set(found["filled"][i, is_mask.sum() :].ravel()) <= {b""}

    def test_filled(self, exported):
        """A new word gets a space where there is none; else the mask takes the space before it."""
        lm = exported("BigBirdForMaskedLM")
        servable = make_servable(lm.model, lm.tokenizer, num_best=2)
        pieces = [lm.tokenizer.id_to_token(i) for i in range(lm.tokenizer.vocab_size)]
        word, rest = pieces.index("▁bird"), pieces.index("s")
        texts = tf.constant(
            ["the [MASK]  x", "the[MASK]", "[MASK]é", "a\n \u00a0[MASK]", " [MASK]"]
        )
        starts, ends = tf.constant([4, 3, 0, 5, 1]), tf.constant([10, 9, 6, 11, 7])
        ids = tf.constant([[word, rest]] * 5)
        tokens = tf.constant([["bird", "s"]] * 5)
        space = servable._space_before(texts, tf.range(5), starts)
        filled = servable._fill(texts, space, starts, ends, ids, tokens).numpy().tolist()
        assert [[text.decode() for text in row] for row in filled] == [
            ["the bird  x", "thes  x"],
            ["the bird", "thes"],
            ["birdé", "sé"],
            ["a\n \u00a0bird", "as"],
            [" bird", "s"],
        ]

    def test_served_text_is_what_training_hides(self, exported):
        """What the model is given for a mask is what it has been trained on."""
        lm = exported("BigBirdForMaskedLM")
        ids = lm.tokenizer("the bird sings")["input_ids"].numpy()
        assert len(ids) == 5
        ids[2] = lm.tokenizer.mask_token_id
        inputs = {
            "input_ids": np.pad(ids[None], [[0, 0], [0, 3]]),
            "attention_mask": np.array([[1] * 5 + [0] * 3]),
        }
        expected = tf.nn.softmax(lm.model(inputs)[0, 2])[: lm.tokenizer.vocab_size]
        found = lm.run(text=["the [MASK] sings"])
        np.testing.assert_allclose(
            found["scores"][0, 0], np.sort(expected)[::-1][:3], rtol=1e-4, atol=1e-6
        )

    def test_filled_behind_bytes_that_are_no_text(self, exported):
        lm = exported("BigBirdForMaskedLM")
        found = lm.run(text=[b"caf\xe9 [MASK] x", b"caf\xe9 [MASK]"])["filled"]
        for filled in found.ravel():
            assert filled.startswith(b"caf\xe9")
            assert b"  " not in filled

    def test_a_text_of_masks(self, exported):
        """What is filled in grows with the square of the masks."""
        lm = exported("BigBirdForMaskedLM")
        with pytest.raises(tf.errors.InvalidArgumentError, match="must not take more than 64 MiB"):
            lm.run(text=["[MASK]" * 3000])
        assert lm.run(text=["[MASK]" * 30])["filled"].shape == (1, 30, 3)

    def test_masks_of_long_texts(self, exported):
        """Each mask is filled once, in the window that it belongs to."""
        text = "[MASK] " + " ".join(f"stone {i} window" for i in range(40)) + " [MASK] end"
        found = exported("BigBirdForMaskedLM").run(text=[text])
        assert found["filled"].shape == (1, 2, 3)
        assert (found["scores"] > 0).all()
        for k, filled in enumerate(found["filled"][0, :, 0]):
            assert filled.count(b"[MASK]") == 1
            assert filled.startswith(b"[MASK]") == (k == 1)


class TestTokenClassification:
    @pytest.fixture
    def merge(self, exported):
        """Makes spans of a text whose words are labelled as told."""
        head = exported("BigBirdForTokenClassification")

        def merge(text, label_of_word, names=LABELS):
            servable = make_servable(head.model, head.tokenizer)
            servable.config = small_config(id2label=dict(enumerate(names)))
            words, starts, ends = split_words(tf.constant([text]))
            labels = [
                names.index(label_of_word.get(word.decode(), "O"))
                for word in words.flat_values.numpy()
            ]
            spans = servable._merge(
                tf.constant([text]),
                tf.zeros_like(starts.flat_values),
                starts.flat_values,
                ends.flat_values,
                tf.constant(labels),
                tf.range(1.0, len(labels) + 1.0) / 16,
            )
            return {name: value.numpy()[0].tolist() for name, value in spans.items()}

        return merge

    def test_spans_by_hand(self, merge):
        labels = {"bird": "B-bird", "birds": "I-bird", "stone": "B-place", "house": "I-place"}
        spans = merge("bird  birds sings, stone house bird bird", labels)
        assert spans["texts"] == [b"bird  birds", b"stone house", b"bird", b"bird"]
        assert spans["labels"] == [b"bird", b"place", b"bird", b"bird"]
        assert spans["starts"] == [0, 19, 31, 36]
        assert spans["ends"] == [11, 30, 35, 40]
        assert spans["scores"][0] == 1.5 / 16

    @pytest.mark.parametrize(("begin", "end", "one"), [("B", "E", "S"), ("B", "L", "U")])
    def test_schemes_that_mark_ends(self, merge, begin, end, one):
        names = ["O", "B-x", "I-x", f"{end}-x", f"{one}-x", f"{one}-y", f"{end}-y", "E-mail"]
        labels = dict(zip("abcdefgh", ["B-x", "I-x", *names[3:], "O"], strict=False))
        spans = merge("a b c c d d e f b b h g", labels, names)
        assert [text.decode() for text in spans["texts"]] == [
            "a b c",
            "c",
            "d",
            "d",
            "e",
            "f",
            "b b",
            "g",
        ]
        assert [label.decode() for label in spans["labels"]] == ["x"] * 4 + ["y"] * 2 + [
            "x",
            "E-mail",
        ]

    @pytest.mark.parametrize("name", ["Jean-Pierre", "O'Neil", "U.S.", "AT&T", "J. Smith", "Ré-é"])
    def test_names_with_marks_in_them(self, tokenizer, name):
        """A model that labels words as it was trained to, served with a sentence of them."""
        preprocessor = TokenClassificationPreprocessor(tokenizer, max_length=MAX_LENGTH)
        words = ["the", "bird", *name.split(), "sings", ",", name.split()[-1], "."]
        expected = preprocessor(words)["input_ids"].numpy()
        model = models.BigBirdForTokenClassification(small_config())
        servable = make_servable(model, tokenizer)
        seen = []

        def encode(input_ids, **inputs):
            seen.append(input_ids.numpy())
            # The name's first pieces are a name's, and all others say what must not count.
            logits = np.zeros((*input_ids.shape, len(LABELS)), np.float32)
            first = tf.cumsum(tokenizer.tokenize(words).row_lengths(), exclusive=True) + 1
            logits[..., LABELS.index("B-place")] = 1.0
            logits[:, first.numpy(), LABELS.index("O")] = 2.0
            for k, word in enumerate(words):
                if word in name.split():
                    label = "B-bird" if word == name.split()[0] else "I-bird"
                    logits[:, first[k], LABELS.index(label)] = 3.0
            return tf.constant(logits)

        servable.encode = encode
        found = servable._find_spans(tf.constant([f"the bird {name} sings, {name.split()[-1]}."]))
        length = seen[0].shape[1]
        np.testing.assert_array_equal(seen[0][0], expected[:length])
        texts = [text.decode() for text in found["texts"].numpy()[0]]
        assert texts == [name, name.split()[-1]]

    def test_long_texts_and_offsets(self, exported):
        found = exported("BigBirdForTokenClassification").run(text=TEXTS)
        assert found["labels"].shape[1] > 0
        for i, text in enumerate(TEXTS):
            previous = 0
            for k, span in enumerate(found["texts"][i]):
                if not span:
                    assert not found["scores"][i, k:].any()
                    break
                start, end = found["starts"][i, k], found["ends"][i, k]
                assert text.encode()[start:end] == span == span.strip()
                assert previous <= start
                previous = end
        assert set(found["labels"].ravel()) <= {b"", b"bird", b"place"}


class TestMultipleChoice:
    def test_equals_the_model(self, exported):
        head = exported("BigBirdForMultipleChoice")
        choices = [["eleven", "a river house"], ["", "bird"], ["x y z", "stone"]]
        found = head.run(text=SHORT, choices=choices)
        for i, text in enumerate(SHORT):
            logits = []
            for choice in choices[i]:
                inputs = encode(head, text, choice)
                logits.append(float(head.model({k: v[:, None] for k, v in inputs.items()})[0, 0]))
            np.testing.assert_allclose(
                found["probabilities"][i], tf.nn.softmax(logits), rtol=1e-4, atol=1e-6
            )
            assert found["choice"][i] == np.argmax(logits)
            assert found["answer"][i] == choices[i][np.argmax(logits)].encode()

    def test_no_choices(self, exported):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`choices` must have one"):
            exported("BigBirdForMultipleChoice").run(text=["a"], choices=np.zeros((1, 0), "S1"))


class TestEncoder:
    def test_equals_the_model(self, exported):
        encoder = exported("BigBirdModel")
        found = encoder.run(text=SHORT)
        for i, text in enumerate(SHORT):
            inputs = encode(encoder, text)
            hidden = encoder.model(inputs)["last_hidden_state"][0].numpy()
            mask = inputs["attention_mask"][0].numpy().astype(bool)
            np.testing.assert_allclose(found["cls"][i], hidden[0], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(
                found["mean"][i], hidden[mask].mean(axis=0), rtol=1e-4, atol=1e-4
            )

    def test_long_texts_count_each_piece_once(self, exported):
        encoder = exported("BigBirdModel")
        servable = make_servable(encoder.model, encoder.tokenizer)
        windows = servable.text_windows(tf.constant([TEXTS[3]]))
        rows, first = [], []
        for row in range(len(windows.lengths)):
            x, _, is_own = windows.fill(tf.constant([row]))
            hidden = encoder.model(x)["last_hidden_state"][0].numpy()
            is_own = is_own.numpy()[0]
            is_own[[0, int(windows.lengths[row]) - 1]] = True
            rows.extend(hidden[is_own])
            first.append(hidden[0])
        assert len(rows) == windows.ids.flat_values.shape[0] + 2 * len(first)
        found = encoder.run(text=[TEXTS[3]])
        np.testing.assert_allclose(found["mean"][0], np.mean(rows, axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["cls"][0], np.mean(first, axis=0), rtol=1e-4, atol=1e-4)


class TestCausalLM:
    def test_equals_generate(self, exported):
        lm = exported("BigBirdForCausalLM")
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

    @pytest.mark.parametrize(
        ("generation", "message"),
        [
            ({"num_beam": 2}, "`generation` takes arguments.*num_beams.*Received: num_beam"),
            ({"num_return_sequences": 2}, "Greedy decoding"),
            ({"min_new_tokens": 8}, "at most `max_new_tokens`"),
        ],
        ids=str,
    )
    def test_bad_options(self, exported, tokenizer, tmp_path, generation, message):
        model = exported("BigBirdForCausalLM").model
        with pytest.raises(ValueError, match=message):
            export_saved_model(model, tmp_path, tokenizer, max_new_tokens=7, generation=generation)

    def test_sampling_draws_anew_each_time(self, exported, tokenizer, tmp_path):
        lm = exported("BigBirdForCausalLM")
        options = {"max_new_tokens": 5, "generation": {"do_sample": True}, "stop_token_ids": []}
        folder = export_saved_model(lm.model, tmp_path, tokenizer, **options)
        loaded = tf.saved_model.load(str(folder))
        run = loaded.signatures["serving_default"]
        drawn = [run(text=tf.constant(["a"] * 4))["tokens"].numpy() for _ in range(2)]
        assert (drawn[0] != drawn[1]).any()
        assert (drawn[0][0] != drawn[0][1:]).any()
