"""What the subcommands share: where they print, and arguments of the same name."""

from pathlib import Path
from typing import Annotated

import rich.console
import typer

__all__ = ["ClassName", "ModelName", "OutputDirectory", "console", "messages", "say_written"]

# Results go to standard output, all else to standard error. Names of files and texts are printed as
# they are, whatever brackets and colons they have.
console = rich.console.Console(markup=False, emoji=False)
messages = rich.console.Console(stderr=True, markup=False, emoji=False)

OutputDirectory = Annotated[
    Path, typer.Argument(metavar="OUTPUT", help="A new or empty directory.")
]
ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A pretrained directory or a repository of the hub.")
]
ClassName = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="The model's class, such as BigBirdForMaskedLM, if config.json does not name it.",
    ),
]


def say_written(output: str | Path) -> None:
    """Prints where the result is."""
    messages.print(f"written: {output}", highlight=False, soft_wrap=True)
