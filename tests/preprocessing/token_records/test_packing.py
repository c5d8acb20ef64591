import hypothesis
from hypothesis import strategies as st

from bigbird_tf.preprocessing.token_records.packing import cut_at_sentences, join_documents

SEPARATOR = 0
IDS = st.lists(st.integers(1, 9), min_size=1, max_size=9)


def test_joined():
    rows = list(join_documents([[1, 2, 3], [4, 5], [6], [7, 8, 9, 1, 2, 3, 4]], 4, SEPARATOR))
    assert rows == [[1, 2, 3, 0], [4, 5, 0, 6], [7, 8, 9, 1], [2, 3, 4]]


def test_sentences():
    documents = [[[1, 2], [3], [4, 5]], [[6]], [[7, 8, 9, 1, 2], [3]]]
    assert list(cut_at_sentences(documents, 4)) == [
        [1, 2, 3], [4, 5], [6], [7, 8, 9, 1], [2, 3],
    ]  # fmt: skip


@hypothesis.given(st.lists(IDS, max_size=6), st.integers(1, 7))
def test_joined_loses_nothing_and_is_full(documents, room):
    rows = list(join_documents(documents, room, SEPARATOR))
    assert all(len(row) == room for row in rows[:-1])
    assert all(0 < len(row) <= room for row in rows)
    flat = [i for row in rows for i in row if i != SEPARATOR]
    assert flat == [i for document in documents for i in document]


@hypothesis.given(st.lists(st.lists(IDS, min_size=1, max_size=4), max_size=4), st.integers(1, 12))
def test_sentences_stay_whole_where_they_fit(documents, room):
    for sentences in documents:
        rows = list(cut_at_sentences([sentences], room))
        assert [i for row in rows for i in row] == [i for ids in sentences for i in ids]
        assert all(0 < len(row) <= room for row in rows)
        if all(len(ids) <= room for ids in sentences):
            ends = {sum(map(len, sentences[: n + 1])) for n in range(len(sentences))}
            assert {sum(map(len, rows[: n + 1])) for n in range(len(rows))} <= ends
