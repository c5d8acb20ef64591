"""Ids of documents into rows of at most a length, as they are stored."""

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["PACKINGS", "cut_at_sentences", "join_documents"]

PACKINGS = ("joined", "sentences")


def join_documents(
    documents: Iterable[Sequence[int]], room: int, sep_token_id: int
) -> Iterator[list[int]]:
    """Joins documents, with a separator between, and cuts every so many ids: no row has room left.

    Args:
        documents: Their ids.
        room: How many ids a row has. The last one may have fewer.
        sep_token_id: The separator.
    """
    row: list[int] = []
    for ids in documents:
        if row:
            row.append(sep_token_id)
        row.extend(ids)
        whole = len(row) // room * room
        for start in range(0, whole, room):
            yield row[start : start + room]
        del row[:whole]
    if row:
        yield row


def cut_at_sentences(
    documents: Iterable[Iterable[Sequence[int]]], room: int
) -> Iterator[list[int]]:
    """Fills rows with whole sentences of one document.

    Args:
        documents: Of each, its sentences; of each, its ids.
        room: How many ids a row has at most. A sentence of more is cut.
    """
    for sentences in documents:
        row: list[int] = []
        for ids in sentences:
            if row and len(row) + len(ids) > room:
                yield row
                row = []
            row.extend(ids)
            while len(row) > room:
                yield row[:room]
                del row[:room]
        if row:
            yield row
