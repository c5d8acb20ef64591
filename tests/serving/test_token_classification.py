"""What token classification's signatures compute, against the model and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.preprocessing import (
    TokenClassificationPreprocessor,
)
from bigbird_tf.preprocessing.words import split_words
from bigbird_tf.serving import make_servable
from tests.serving.conftest import LABELS, MAX_LENGTH, TEXTS, small_config


class TestTokenClassification:
    @pytest.fixture
    def merge(self, tokenizer):
        """Makes spans of a text whose words are labelled as told."""
        model = models.BigBirdForTokenClassification(small_config(num_hidden_layers=0))

        def merge(text, label_of_word, names=LABELS):
            servable = make_servable(model, tokenizer)
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
        model = models.BigBirdForTokenClassification(small_config(num_hidden_layers=0))
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

    @pytest.mark.slow
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
