import collections

import numpy as np
import pytest

from bigbird_tf.preprocessing import QuestionAnsweringPreprocessor
from examples.docs_qa.dataset import IGNORED, describe, encode_split, training_windows
from examples.docs_qa.pages import Page
from examples.docs_qa.questions import Split, ask
from tests.examples.help_pages import ZEBRA, library, page

LENGTH = 61


@pytest.fixture(scope="module")
def split():
    pages = library()
    questions = [question for p in pages for question in ask(p, set())]
    return Split(sorted({p.package for p in pages}), {p.module: p for p in pages}, questions)


@pytest.fixture(scope="module")
def encoded(split, tokenizer):
    return encode_split(split, tokenizer)


def rows(dataset, count):
    """Takes rows of batches apart."""
    for inputs, labels in dataset.take(count):
        for row in range(len(labels["start_logits"])):
            yield (
                {key: value[row].numpy() for key, value in inputs.items()},
                {key: value[row].numpy() for key, value in labels.items()},
            )


def test_spans_come_back_as_the_answers(encoded, split):
    assert len(encoded) == len(split.questions) > 90
    for index, question in enumerate(encoded.questions):
        assert encoded.text(index, *encoded.answers[index]) == question.answer


def test_names_and_pages_are_the_tokenizers(encoded, tokenizer):
    for index in (0, 7, len(encoded) - 1):
        question = encoded.questions[index]
        name = encoded.names[index]
        assert list(name[name >= 0]) == list(tokenizer.tokenize(question.text).numpy())
        start, stop = encoded.page_starts[encoded.page_of[index] :][:2]
        text = encoded.pages[encoded.page_of[index]].decode()
        assert list(encoded.pieces[start:stop]) == list(tokenizer.tokenize(text).numpy())


def test_text_outside_of_the_page_is_empty(encoded):
    assert encoded.text(0, -5, -1) == ""
    assert encoded.text(0, 10, 9) == ""
    whole = encoded.text(0, -5, 10**6)
    assert whole == encoded.pages[encoded.page_of[0]].decode().strip()


def test_a_part_of_a_page_with_the_answer_in_it(encoded, tokenizer):
    for index, question in enumerate(encoded.questions):
        fits = encoded.context_start()[index] + encoded.distances()[index] + 8 <= LENGTH
        for place in (0.0, 0.4, 1.0):
            text, start = encoded.around(index, LENGTH, place)
            assert encoded.context_start()[index] + len(tokenizer.tokenize(text)) < LENGTH
            if fits:
                assert text.encode()[start:].startswith(question.answer.encode())
    first, _ = encoded.around(len(encoded) - 1, LENGTH, 0.0)
    last, _ = encoded.around(len(encoded) - 1, LENGTH, 1.0)
    assert first != last
    far = int(np.argmax(encoded.distances()))
    assert encoded.questions[far].kind == "class"
    text, start = encoded.around(far, 31, 0.5)
    assert start == -1  # The class's heading comes first, and is cut off.
    assert encoded.questions[far].name in text


def test_long_names_are_left_out(split, tokenizer):
    lengths = [len(tokenizer.tokenize(q.text).numpy()) for q in split.questions]
    limit = min(lengths)
    shorter = encode_split(split, tokenizer, max_name_pieces=limit)
    assert len(shorter) == sum(length <= limit for length in lengths) < len(lengths)
    assert (shorter.names >= 0).sum(axis=1).max() == limit


def test_no_questions(tokenizer):
    with pytest.raises(ValueError, match="must have questions"):
        encode_split(Split([], {}, []), tokenizer)


def test_training_windows(encoded, tokenizer):
    dataset = training_windows(encoded, length=LENGTH, batch_size=7, max_position=997, seed=2)
    answers = {(q.answer, q.text) for q in encoded.questions}
    places, offsets, seen = [], set(), set()
    for inputs, labels in rows(dataset, 40):
        ids, mask, types = (inputs[k] for k in ("input_ids", "attention_mask", "token_type_ids"))
        assert ids.shape == mask.shape == types.shape == (LENGTH,)
        used = mask.sum()
        assert mask[:used].all()
        assert (ids[used:] == tokenizer.pad_token_id).all()
        first, second, *rest = np.flatnonzero(ids == tokenizer.sep_token_id)
        assert not rest
        assert ids[0] == tokenizer.cls_token_id
        assert second == used - 1
        assert list(np.flatnonzero(types)) == list(range(first + 1, LENGTH))

        name = tokenizer.detokenize(ids[1:first]).numpy().decode()
        start, end = labels["start_logits"], labels["end_logits"]
        assert first < start <= end < second
        answer = tokenizer.detokenize(ids[start : end + 1]).numpy().decode()
        matches = [a for a, text in answers if a.split() == answer.split() and text == name]
        assert matches or "naïve" in answer or "⁇" in answer
        expected = np.isin(ids, ids[1:first]) & (mask * types == 1)
        np.testing.assert_array_equal(labels["occurs_logits"], expected)

        defined = labels["name_logits"]
        is_class = name.startswith("class of")
        assert first < defined < second
        assert tokenizer.detokenize(ids[defined : defined + 1]).numpy()[-1:] == name[-1:].encode()
        assert (defined < start) == (not is_class)
        assert labels["noted_name_logits"] == defined
        assert labels["noted_owner_logits"] == (start if is_class else IGNORED)
        inside = np.flatnonzero(labels["inside_logits"])
        # All of the name is in the window, too.
        begin = inside[0]
        assert (
            tokenizer.detokenize(ids[begin:])
            .numpy()
            .decode()
            .startswith(name if begin != start else answer)
        )
        assert list(inside) == list(range(begin, max(end, defined) + 1))

        positions = inputs["position_ids"]
        assert list(positions[: first + 1]) == list(range(first + 1))
        moved = positions[first + 1] - (first + 1)
        assert 0 <= moved <= 997 - LENGTH
        assert list(positions[first + 1 : used]) == list(range(first + 1 + moved, used + moved))
        assert positions.max() < 997
        slack = (second - first - 1) - inside.sum()
        places.append((min(start, defined) - first - 1) / max(slack, 1))
        offsets.add(moved)
        seen.add(name)
    assert len(offsets) > 100
    assert len(seen) > 60
    assert np.std(places) > 0.15


def test_each_round_asks_every_question_once(encoded):
    length = 521  # Every question fits.
    batch = len(encoded)
    dataset = training_windows(encoded, length=length, batch_size=batch, max_position=length)
    asked = collections.Counter(
        inputs["input_ids"][1 : np.argmax(inputs["token_type_ids"]) - 1].tobytes()
        for inputs, _ in rows(dataset, 1)
    )
    expected = collections.Counter(name[name >= 0].tobytes() for name in encoded.names)
    assert asked == expected


def test_questions_repeated(encoded):
    times = np.arange(len(encoded)) % 3
    repeated = encoded.repeat(times)
    assert len(repeated) == times.sum()
    places = [0, len(repeated) // 2, len(repeated) - 1]
    rows = np.repeat(np.arange(len(encoded)), times)
    for place in places:
        row = rows[place]
        assert repeated.questions[place] == encoded.questions[row]
        np.testing.assert_array_equal(repeated.evidence()[place], encoded.evidence()[row])
        assert repeated.beginning(place, 100) == encoded.beginning(row, 100)
        assert repeated.distances()[place] == encoded.distances()[row]


def test_evidence_that_is_too_far_apart_is_left_out(encoded):
    def asked(length):
        windows = training_windows(encoded, length=length, batch_size=1, max_position=length)
        return {
            inputs["input_ids"][1 : np.argmax(inputs["token_type_ids"]) - 1].tobytes()
            for inputs, _ in rows(windows, 2 * len(encoded))
        }

    needed = encoded.context_start() + np.ptp(encoded.evidence(), axis=1) + 2
    names = [name[name >= 0].tobytes() for name in encoded.names]
    assert min(needed) <= LENGTH < max(needed)
    for length in (LENGTH, max(needed)):
        fitting = {name for name, size in zip(names, needed, strict=True) if size <= length}
        assert asked(length) == fitting


def test_training_windows_are_deterministic_by_seed(encoded):
    def draw(seed):
        dataset = training_windows(
            encoded, length=LENGTH, batch_size=7, max_position=997, seed=seed
        )
        return [
            np.concatenate(
                [inputs["input_ids"], inputs["position_ids"], [labels["start_logits"]]], None
            )
            for inputs, labels in rows(dataset, 5)
        ]

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_a_window_shorter_than_the_page_can_be_anywhere(tokenizer):
    """The answer is the first thing of the page, or the last, or in the middle."""
    filler = " ".join(["rows"] * 50)
    text = f"FUNCTIONS\n    find_me(x)\n        Find the needle here.\n\nDATA\n    {filler}\n"
    needle = Page("hay", text)
    split = Split(["hay"], {"hay": needle}, ask(needle, set()))
    encoded = encode_split(split, tokenizer)
    dataset = training_windows(encoded, length=40, batch_size=1, max_position=40)
    for inputs, labels in rows(dataset, 20):
        found = tokenizer.detokenize(
            inputs["input_ids"][labels["start_logits"] : labels["end_logits"] + 1]
        )
        assert found.numpy() == b"Find the needle here."


def test_lengths_that_cannot_be(encoded):
    with pytest.raises(ValueError, match="Received: max_position=60, length=61"):
        training_windows(encoded, length=LENGTH, batch_size=2, max_position=60)
    with pytest.raises(ValueError, match="Received: length=9"):
        training_windows(encoded, length=9, batch_size=2, max_position=60)


def test_a_whole_page_is_what_the_preprocessor_gives(encoded, tokenizer):
    """Training sees the same inputs as whoever asks later, positions aside."""
    length = 1009
    preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=length, max_windows=1)
    by_name = {question.text: question for question in encoded.questions}
    pages = {
        q.text: encoded.pages[p] for q, p in zip(encoded.questions, encoded.page_of, strict=True)
    }
    dataset = training_windows(encoded, length=length, batch_size=3, max_position=length)
    for inputs, labels in rows(dataset, 3):
        first = list(inputs["input_ids"]).index(tokenizer.sep_token_id)
        name = tokenizer.detokenize(inputs["input_ids"][1:first]).numpy().decode()
        question = by_name[name]
        text = pages[name].decode()
        start = len(pages[name][: question.start].decode())
        expected, positions = preprocessor(name, text, question.answer, start)
        # Training on pages of its own knows where questions end by the separator.
        assert expected.pop("question_lengths")[0] == first + 1
        for key, value in expected.items():
            np.testing.assert_array_equal(inputs[key], value[0])
        assert labels["start_logits"] == positions["start_logits"][0]
        assert labels["end_logits"] == positions["end_logits"][0]


def test_the_name_is_found_where_it_is_defined(encoded):
    for index, question in enumerate(encoded.questions):
        begin, last = encoded.definitions[index]
        # A piece may begin before the name does, with the bar.
        assert encoded.text(index, begin, last).endswith(question.name)
        assert len(encoded.text(index, begin, last)) <= len(question.name) + 3
        first, end = encoded.evidence()[index]
        assert first == min(begin, encoded.answers[index, 0])
        assert end == max(last, encoded.answers[index, 1])
        if question.kind == "sentence":
            after = encoded.text(index, last + 1, encoded.answers[index, 0] - 1)
            assert after.startswith("(")
            assert question.name not in after


def test_the_beginning_of_a_page(encoded, tokenizer):
    index = len(encoded) - 1
    page = encoded.pages[encoded.page_of[index]]
    assert encoded.beginning(index, 4001) == page
    start = encoded.beginning(index, 61)
    assert page.startswith(start)
    assert len(tokenizer.tokenize(start)) == 61 - encoded.context_start()[index] - 1


def test_answered_within(encoded):
    last = encoded.context_start() + encoded.evidence()[:, 1]
    longest = int(last.max())
    assert len(encoded.answered_within(longest + 2)) == len(encoded)
    assert len(encoded.answered_within(longest + 1)) < len(encoded)
    within = encoded.answered_within(149)
    assert 0 < len(within) < len(encoded)
    np.testing.assert_array_equal(within, [i for i in range(len(encoded)) if last[i] <= 147])


def test_pages_of_one_module_are_stored_once(split, tokenizer):
    encoded = encode_split(split, tokenizer)
    assert len(encoded.pages) == len({q.module for q in split.questions})
    assert ZEBRA.text.encode() in encoded.pages
    assert page("unused").text.encode() not in encoded.pages


def test_description(encoded, split):
    numbers = describe(split, encoded, length=4001)
    assert numbers["packages"] == split.packages
    assert numbers["pages"] == len(encoded.pages)
    assert numbers["class_questions"] == 4
    assert numbers["sentence_questions"] + 4 == len(encoded)
    assert 0 < numbers["median_pieces"] < 1000
    assert numbers["answers_past_512"] == numbers["evidence_apart_512"] == 0.0
    fewer = describe(split, encoded, length=149)
    assert 0 < fewer["sentence_questions"] < numbers["sentence_questions"]
    nothing = describe(split, encoded, length=4)
    assert nothing["median_pieces"] is None
