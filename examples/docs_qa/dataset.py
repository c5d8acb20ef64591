"""Windows of help pages for training, as `tf.data` pipelines.

Letters in shapes: B batch, T length, P pieces of all pages, Q questions.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from examples.docs_qa.questions import Question, Split

__all__ = ["IGNORED", "MAX_LENGTH", "EncodedSplit", "describe", "encode_split", "training_windows"]

MAX_LENGTH = 4096
IGNORED = -1  # No label.
CUT = 4


@dataclasses.dataclass(frozen=True)
class EncodedSplit:
    """A split's pages and questions as pieces, in a few compact arrays.

    Attributes:
        pieces: Ids of all pages' pieces, one page after the other, int32 of shape (P,).
        offsets: Bytes of its page where each piece begins and ends, int32 of shape (P, 2).
        page_starts: Where each page starts among the pieces; the last entry is P. int32.
        pages: The pages' UTF-8 bytes.
        page_of: The page of each question, int32 of shape (Q,).
        names: Ids of the questions' pieces, padded with -1, int32 of shape (Q, longest).
        answers: First and last piece of each answer, counted within the page, int32 of shape
            (Q, 2).
        definitions: First and last piece of the name where the page defines it, counted within the
            page, int32 of shape (Q, 2). They come before the answer to a `"sentence"`, after that
            to a `"class"`.
        questions: The questions themselves.
        special_ids: Ids of `[CLS]`, `[SEP]`, `<pad>`.
    """

    pieces: np.ndarray
    offsets: np.ndarray
    page_starts: np.ndarray
    pages: list[bytes]
    page_of: np.ndarray
    names: np.ndarray
    answers: np.ndarray
    definitions: np.ndarray
    questions: list[Question]
    special_ids: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.questions)

    def context_start(self) -> np.ndarray:
        """Position of the page's first piece in each question's input, int32 of shape (Q,)."""
        return (self.names >= 0).sum(axis=1).astype(np.int32) + 2

    def evidence(self) -> np.ndarray:
        """First and last piece of what it takes to answer, counted within the page, int32 (Q, 2).

        That is from the answer to where the name is defined, or the other way round.
        """
        places = np.concatenate([self.answers, self.definitions], axis=1)
        return np.stack([places.min(axis=1), places.max(axis=1)], axis=1)

    def distances(self) -> np.ndarray:
        """Pieces between the ends of each question's evidence, int32 of shape (Q,)."""
        return np.ptp(self.evidence(), axis=1)

    def repeat(self, times: np.ndarray) -> "EncodedSplit":
        """Returns the same pages with each question so many times.

        Args:
            times: Integers of shape (Q,), 0 or more.
        """
        rows = np.repeat(np.arange(len(self)), times)
        return dataclasses.replace(
            self,
            page_of=self.page_of[rows],
            names=self.names[rows],
            answers=self.answers[rows],
            definitions=self.definitions[rows],
            questions=[self.questions[row] for row in rows],
        )

    def answered_within(self, length: int) -> np.ndarray:
        """Questions with all evidence within the first `length` pieces of the input: indices."""
        last = self.context_start() + self.evidence()[:, 1]
        return np.flatnonzero(last < length - 1)  # The last piece is [SEP].

    def beginning(self, question: int, length: int) -> bytes:
        """Returns the text of the page's pieces that are in an input of `length` pieces.

        Args:
            question: Index of the question.
            length: Pieces of the input, question included.
        """
        page = self.page_of[question]
        start, stop = self.page_starts[page], self.page_starts[page + 1]
        room = length - int(self.context_start()[question]) - 1
        if stop - start <= room:
            return self.pages[page]
        return self.pages[page][: self.offsets[start + room - 1, 1]]

    def around(self, question: int, length: int, place: float) -> tuple[str, int]:
        """Returns the text of a part of the page that holds the evidence, and where the answer is.

        Args:
            question: Index of the question.
            length: Pieces of an input, question included, that the text fits into. Of what lies
                farther apart than that, the beginning is cut off.
            place: Where in that part the evidence stands, from 0 (at its end) to 1 (at its
                beginning).

        Returns:
            The text, and the bytes before the answer; -1 if that is not in it.
        """
        page = self.page_of[question]
        start, stop = self.page_starts[page], self.page_starts[page + 1]
        # What is cut in the middle of a word may have a piece or two more.
        room = length - int(self.context_start()[question]) - 1 - CUT
        first, last = self.evidence()[question]
        lowest = max(0, last + 1 - room)
        highest = max(lowest, min(first, stop - start - room))
        begin = lowest + round(place * (highest - lowest))
        offsets = self.offsets[start + begin : min(start + begin + room, stop)]
        from_byte, to_byte = int(offsets[0, 0]), int(offsets[-1, 1])
        text = self.pages[page][from_byte:to_byte].decode("utf-8", "replace")
        asked = self.questions[question]
        is_whole = from_byte <= asked.start and asked.end <= to_byte
        return text, asked.start - from_byte if is_whole else -1

    def text(self, question: int, first: int, last: int) -> str:
        """Returns the text of a span of pieces of a question's page, both ends included.

        Args:
            question: Index of the question.
            first, last: Pieces, counted within the page. Pieces outside of it count as none.
        """
        page = self.page_of[question]
        start, stop = self.page_starts[page], self.page_starts[page + 1]
        first, last = max(first, 0), min(last, stop - start - 1)
        if last < first:
            return ""
        begin, end = self.offsets[start + first, 0], self.offsets[start + last, 1]
        return self.pages[page][begin:end].decode("utf-8", "replace").strip()


def encode_split(
    split: Split, tokenizer: BigBirdTokenizer, *, max_name_pieces: int = 29
) -> EncodedSplit:
    """Turns a split into pieces, once for all windows.

    Args:
        split: Pages and questions.
        tokenizer: The vocabulary.
        max_name_pieces: Questions with more pieces are left out. With 29, `[CLS] question [SEP]`
            fits into one block of 32.

    Returns:
        The pages that have questions, and the questions.

    Raises:
        ValueError: If there are no questions, or all are too long.
    """
    if not split.questions:
        raise ValueError("`split` must have questions. Received a split without any")
    names = tokenizer.tokenize([question.text for question in split.questions])
    kept = [i for i, n in enumerate(names.row_lengths().numpy()) if n <= max_name_pieces]
    questions = [split.questions[i] for i in kept]
    if not kept:
        raise ValueError(
            f"`max_name_pieces` leaves no question. Received: max_name_pieces={max_name_pieces}"
        )
    names = tf.gather(names, kept).to_tensor(default_value=-1).numpy()

    modules = sorted({question.module for question in questions})
    pages = [split.pages[module].text.encode() for module in modules]
    pieces, begins, ends, lengths = [], [], [], []
    for start in range(0, len(pages), 64):
        encoded = tokenizer.tokenize_with_offsets(pages[start : start + 64])
        for into, ragged in zip((pieces, begins, ends), encoded, strict=True):
            into.append(ragged.flat_values.numpy().astype(np.int32))
        lengths.append(encoded[0].row_lengths().numpy())
    offsets = np.stack([np.concatenate(begins), np.concatenate(ends)], axis=1)
    page_starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int32)

    index_of = {module: index for index, module in enumerate(modules)}
    page_of = np.array([index_of[question.module] for question in questions], np.int32)
    answers = np.empty((len(questions), 2), np.int32)
    definitions = np.empty((len(questions), 2), np.int32)
    for row, question in enumerate(questions):
        begins, ends = offsets[page_starts[page_of[row]] : page_starts[page_of[row] + 1]].T
        for places, start, end in (
            (answers, question.start, question.end),
            (definitions, question.name_start, question.name_end),
        ):
            # The piece that ends after the text begins, and the last that begins before it ends.
            places[row, 0] = np.searchsorted(ends, start, side="right")
            places[row, 1] = np.searchsorted(begins, end, side="left") - 1
    return EncodedSplit(
        pieces=np.concatenate(pieces),
        offsets=offsets,
        page_starts=page_starts,
        pages=pages,
        page_of=page_of,
        names=names,
        answers=answers,
        definitions=definitions,
        questions=questions,
        special_ids=(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
    )


def describe(split: Split, encoded: EncodedSplit, *, length: int = MAX_LENGTH) -> dict:
    """Returns the numbers that say what kind of task this is.

    Args:
        split: Pages and questions.
        encoded: The same in pieces.
        length: Of questions that can be answered within so many pieces.
    """
    within = encoded.answered_within(length)
    kinds = np.array([encoded.questions[index].kind for index in within])
    positions = encoded.context_start()[within] + encoded.answers[within, 0]
    lengths = np.diff(encoded.page_starts)[encoded.page_of[within]]
    sentences, classes = positions[kinds == "sentence"], kinds == "class"
    apart = encoded.distances()[within][classes]
    return {
        "packages": split.packages,
        "pages": len(encoded.pages),
        "sentence_questions": len(sentences),
        "class_questions": len(apart),
        "median_pieces": float(np.median(lengths)) if len(within) else None,
        "answers_past_512": float(np.mean(sentences >= 512)) if len(sentences) else None,
        "answers_past_1024": float(np.mean(sentences >= 1024)) if len(sentences) else None,
        "evidence_apart_512": float(np.mean(apart >= 512)) if len(apart) else None,
    }


def training_windows(
    encoded: EncodedSplit,
    *,
    length: int,
    batch_size: int,
    max_position: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Returns windows around answers, without end: each question once a round, in a new order.

    The answer and where the name is defined are anywhere in their window with equal chance;
    questions for which these are too far apart are left out. The page's position ids are moved by a
    random offset, so that short windows train the positions of long ones too.

    Args:
        encoded: The training split.
        length: T, pieces of a window.
        batch_size: B.
        max_position: Position ids are below this; at least `length`.
        seed: Seed of order, windows and offsets.

    Returns:
        Batches `(inputs, labels)` of int32. Inputs: `input_ids`, `attention_mask`,
        `token_type_ids`, `position_ids` of shape (B, T). Labels, under the names of the outputs of
        `TrainingModel`: positions of shape (B,), `start_logits` and `end_logits`, the answer's
        first and last piece, `name_logits` and `noted_name_logits`, the last piece of the name
        where it is defined, `noted_owner_logits`, the first piece of a class that is the answer,
        else `IGNORED`; and of shape (B, T), `inside_logits`, 1 from the first to the last piece of
        the evidence, and `occurs_logits`, 1 where a piece of the page is among the question's.

    Raises:
        ValueError: If `max_position` is below `length`, or no answer fits into a window.
    """
    if max_position < length:
        raise ValueError(
            f"`max_position` must be at least `length`. Received: max_position={max_position}, "
            f"length={length}"
        )
    span = encoded.evidence()
    fitting = np.flatnonzero(encoded.context_start() + encoded.distances() + 2 <= length)
    if not len(fitting):
        raise ValueError(f"`length` is too short for every question. Received: length={length}")
    make = _window_maker(encoded, length)

    def window(question, draws):
        # Two draws a question: where the window begins, and how far the positions are moved.
        room = length - context_start[question] - 1
        first, last = evidence[question, 0], evidence[question, 1]
        num_pieces = page_starts[page_of[question] + 1] - page_starts[page_of[question]]
        lowest = tf.maximum(0, last + 1 - room)
        highest = tf.maximum(tf.minimum(first, num_pieces - room), lowest)
        begin = lowest + _uniform(draws[0], highest - lowest + 1)
        inputs = make(question, begin)
        moved = _uniform(draws[1], max_position - length + 1)
        inputs["position_ids"] += inputs["token_type_ids"] * moved
        offset = context_start[question] - begin
        occurs = tf.reduce_any(inputs["input_ids"][:, None] == names[question][None], axis=1)
        places = tf.range(length)
        is_inside = (places >= first + offset) & (places <= last + offset)
        labels = {
            "start_logits": answers[question, 0] + offset,
            "end_logits": answers[question, 1] + offset,
            "name_logits": definitions[question, 1] + offset,
            "noted_name_logits": definitions[question, 1] + offset,
            "noted_owner_logits": tf.where(
                is_class[question], answers[question, 0] + offset, IGNORED
            ),
            "inside_logits": tf.cast(is_inside, tf.int32) * inputs["token_type_ids"],
            "occurs_logits": tf.cast(occurs, tf.int32) * inputs["token_type_ids"],
        }
        return inputs, labels

    context_start = tf.constant(encoded.context_start())
    answers = tf.constant(encoded.answers)
    evidence = tf.constant(span)
    page_starts = tf.constant(encoded.page_starts)
    page_of = tf.constant(encoded.page_of)
    definitions = tf.constant(encoded.definitions)
    is_class = tf.constant([question.kind == "class" for question in encoded.questions])
    names = tf.constant(encoded.names)
    order = tf.data.Dataset.from_tensor_slices(fitting.astype(np.int32))
    order = order.shuffle(len(fitting), seed=seed, reshuffle_each_iteration=True).repeat()
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=False).batch(2)
    dataset = tf.data.Dataset.zip(order, draws).map(window, num_parallel_calls=2)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


def _window_maker(encoded: EncodedSplit, length: int):
    """Returns a function of graph tensors: question and first piece of the page to inputs (T,)."""
    cls_id, sep_id, pad_id = encoded.special_ids
    pieces = tf.constant(encoded.pieces)
    page_starts = tf.constant(encoded.page_starts)
    page_of = tf.constant(encoded.page_of)
    names = tf.constant(encoded.names)

    def make(question, begin):
        name = names[question]
        name = name[: tf.math.count_nonzero(name >= 0, dtype=tf.int32)]
        head = tf.concat([[cls_id], name, [sep_id]], axis=0)
        room = length - tf.size(head) - 1
        page = page_of[question]
        start = page_starts[page] + begin
        content = pieces[start : tf.minimum(start + room, page_starts[page + 1])]
        ids = tf.concat([head, content, [sep_id]], axis=0)
        padding = [[0, length - tf.size(ids)]]
        mask = tf.pad(tf.ones_like(ids), padding)
        types = tf.concat([tf.zeros_like(head), tf.ones_like(content), [1]], axis=0)
        inputs = {
            "input_ids": tf.pad(ids, padding, constant_values=pad_id),
            "attention_mask": mask,
            # Padding has the page's type, as the preprocessor gives it.
            "token_type_ids": tf.pad(types, padding, constant_values=1),
            "position_ids": tf.range(length),
        }
        return {key: tf.ensure_shape(value, [length]) for key, value in inputs.items()}

    return make


def _uniform(draw: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Turns random bits into one of `count` integers from 0 on, int32."""
    return tf.cast(tf.math.floormod(draw, tf.cast(count, tf.int64)), tf.int32)
