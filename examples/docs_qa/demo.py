"""Ask the documentation of this machine's own Python packages: `python -m examples.docs_qa.demo`.

Renders help pages; asks the model that ships with bigbird_tf about packages that it has never seen,
with long inputs, their beginnings, and short windows sliding over them; teaches it a new kind of
question with `model.fit`, and a model of random weights the same; exports a SavedModel and asks
that from another process. All of it in about `--minutes`; on a busy machine, it asks less and says
so. `--quick` is in miniature. How the model was trained: `train_from_scratch.py`.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from examples.docs_qa.demo_steps import CHECKPOINT, SHARES, Demo, Settings
from examples.docs_qa.time_plan import TimePlan

__all__ = ["CHECKPOINT", "QUICK", "SHARES", "STANDARD", "Settings", "main", "run"]

STANDARD = Settings()
# Every part works; the numbers are of too few questions to mean much.
QUICK = Settings(
    minutes=1.5,
    max_modules=12,
    packages=(
        *("argparse", "ast", "asyncio", "collections", "concurrent", "csv", "ctypes", "datetime"),
        *("decimal", "difflib", "email", "fractions", "html", "http", "json", "logging"),
        *("multiprocessing", "pathlib", "random", "shutil", "statistics", "string", "unittest"),
    ),
    min_pages=30,
    max_questions=9,
    max_new=12,
    shown=2,
)


def run(
    settings: Settings,
    output: Path,
    console: Console,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict:
    """Does the whole demo.

    Args:
        settings: How much of everything.
        output: The folder for pages, model, pictures, results.
        console: Where to tell about it.
        clock: Tells the time in seconds.

    Returns:
        What `results.json` in that folder holds as well: numbers of the data, of the training and
        of the evaluations, what the exported model answered, and what was left out.
    """
    output.mkdir(parents=True, exist_ok=True)
    demo = Demo(settings, output, console, TimePlan(60 * settings.minutes, SHARES, clock=clock))
    demo.prepare()
    demo.ask()
    demo.teach()
    demo.export()
    return demo.finish()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line and runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all of it in miniature")
    parser.add_argument("--minutes", type=_positive, help="about how long it may take")
    parser.add_argument("--checkpoint", help=f"the model to start from, instead of {CHECKPOINT}")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder to write")
    options = parser.parse_args(arguments)
    settings = QUICK if options.quick else STANDARD
    given = {"minutes": options.minutes, "checkpoint": options.checkpoint}
    settings = dataclasses.replace(settings, **{k: v for k, v in given.items() if v is not None})
    output = options.output / "quick" if options.quick else options.output
    run(settings, output, Console())


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number. Received: {text}")
    return number


if __name__ == "__main__":
    main()
