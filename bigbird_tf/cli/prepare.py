"""The subcommand `bigbird-tf prepare`."""

import enum
import time
from typing import Annotated, Any

import rich.progress
import typer

from bigbird_tf.cli.terminal import messages, say_written

__all__ = ["prepare"]


class Packing(enum.StrEnum):
    """How documents become records."""

    joined = enum.auto()
    sentences = enum.auto()


class Documents(enum.StrEnum):
    """What a document is in a text file."""

    file = enum.auto()
    line = enum.auto()


def prepare(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Whose tokenizer: a pretrained directory or the hub's repository."
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(metavar="OUTPUT", help="A new or empty directory, or one to go on with."),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES...",
            help="Text files, JSON lines, TFRecords; globs in quotes, and gs://, are taken too.",
        ),
    ],
    length: Annotated[int, typer.Option(min=3, help="Most tokens of a record.")] = 4096,
    packing: Annotated[
        Packing,
        typer.Option(help="Join documents and fill every record, or end it with a sentence."),
    ] = Packing.joined,
    documents: Annotated[
        Documents, typer.Option(help="What a document is in a text file.")
    ] = Documents.file,
    field: Annotated[str, typer.Option(help="The text's name in JSON lines and TFRecords.")] = (
        "text"
    ),
    shard_mebibytes: Annotated[
        int, typer.Option(min=1, help="About so much text goes into a file.")
    ] = 64,
    processes: Annotated[int, typer.Option(min=1, help="So many at the same time.")] = 1,
    part: Annotated[
        str,
        typer.Option(metavar="N/PARTS", help="This machine's part of the files, from 0/8 to 7/8."),
    ] = "0/1",
) -> None:
    """Write texts as TFRecords of token ids for pre-training; goes on where it was interrupted."""
    from bigbird_tf.preprocessing import Tokenizer, prepare_records

    try:
        number, parts = (int(digits) for digits in part.split("/"))
    except ValueError as error:
        raise typer.BadParameter(f"{part!r} is not like 0/8.", param_hint="'--part'") from error
    with messages.status("loading"):
        tokenizer = Tokenizer.from_pretrained(model)
    start, tokens = time.monotonic(), 0
    with rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=messages,
    ) as bar:
        task = bar.add_task("files", total=None)

        def progress(total: int, done: int, counts: dict[str, Any]) -> None:
            nonlocal tokens
            tokens += counts.get("tokens", 0)
            bar.update(task, total=total, completed=done)

        prepared = prepare_records(
            files,
            output,
            tokenizer,
            length=length,
            packing=str(packing),
            documents=str(documents),
            field=field,
            shard_mebibytes=shard_mebibytes,
            processes=processes,
            part=(number, parts),
            progress=progress,
        )
    seconds = time.monotonic() - start
    messages.print(
        f"{prepared.tokens:,} tokens of {prepared.documents:,} documents, in "
        f"{prepared.sequences:,} records of {prepared.shards:,} files; "
        f"{tokens / max(seconds, 1e-9):,.0f} tokens a second",
        highlight=False,
        soft_wrap=True,
    )
    if prepared.empty:
        messages.print(f"without text: {prepared.empty:,}", highlight=False)
    if prepared.broken:
        messages.print(f"broken, left out: {prepared.broken:,}", highlight=False)
        for line in prepared.told[:10]:
            messages.print(f"  {line}", highlight=False, soft_wrap=True)
    say_written(output)
