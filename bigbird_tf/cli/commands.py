"""The subcommands: each parses, calls one public function, and prints.

Only a subcommand that runs imports the other rooms of `bigbird_tf`, since they need TensorFlow.
"""

import contextlib
import enum
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import rich.markup
import rich.progress
import rich.text
import typer

from bigbird_tf.cli import convert
from bigbird_tf.cli.evaluate import evaluate
from bigbird_tf.cli.inputs import parse_options, read_text, standard_input
from bigbird_tf.cli.interrupts import signal_handler
from bigbird_tf.cli.pattern import pattern
from bigbird_tf.cli.prepare import prepare
from bigbird_tf.cli.quiet_libraries import quiet_libraries
from bigbird_tf.cli.terminal import ClassName, ModelName, console, messages

__all__ = ["app", "main"]

app = typer.Typer(
    help="BigBird for Keras 3 on TensorFlow: long texts in linear time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(convert.app, name="convert")


class WeightDtype(enum.StrEnum):
    """Dtypes that an export may store weights in."""

    float16 = enum.auto()
    bfloat16 = enum.auto()
    int8 = enum.auto()


def main() -> None:
    """Runs the command. A user's mistake ends in a message and status 1, not in a traceback."""
    arguments = sys.argv[1:]
    # Wherever it stands, it has to be known before TensorFlow is imported.
    is_verbose = "--verbose" in arguments
    quiet = contextlib.nullcontext() if is_verbose else quiet_libraries()
    if not is_verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        for name in ("absl", "huggingface_hub"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with signal_handler(), quiet:
            app(
                args=[argument for argument in arguments if argument != "--verbose"],
                prog_name="bigbird-tf",
            )
    except Exception as error:
        if is_verbose or not _is_mistake(error):
            raise
        # The terminal wraps long lines itself; a path with line breaks in it is no path.
        text = f"[red]Error:[/red] {rich.markup.escape(str(error))}"
        messages.print(text, markup=True, highlight=False, soft_wrap=True)
        messages.print("--verbose shows where it comes from.", style="dim")
        raise SystemExit(1) from error


def _is_mistake(error: Exception) -> bool:
    """Whether an error is one that our own functions document, not a defect."""
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        return True
    # What checks inside a graph raise; named without importing TensorFlow.
    return type(error).__module__.startswith("tensorflow.python.framework.errors")


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            version = metadata.version("bigbird-tf")
        except metadata.PackageNotFoundError:
            # A clone that is not installed.
            from bigbird_tf.version import __version__ as version
        console.print(f"bigbird-tf {version}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show tracebacks and TensorFlow's own messages.")
    ] = False,
) -> None:
    """`main` reads `--verbose`; here it is for `--help`."""


@app.command()
def demo(
    quick: Annotated[bool, typer.Option(help="All of it in miniature, in about a minute.")] = False,
) -> None:
    """Ask the documentation of this machine's own packages (from a clone of the repository)."""
    root = Path(__file__).parents[2]
    if not (root / "examples/docs_qa/demo.py").is_file():
        missing = "The demo is part of the repository, not of the installed package."
        raise FileNotFoundError(f"{missing} Clone it and run `make demo` there.")
    command = [sys.executable, "-m", "examples.docs_qa.demo", *(["--quick"] if quick else [])]
    raise typer.Exit(subprocess.run(command, cwd=root).returncode)


@app.command()
def export(
    model: ModelName,
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Folder of versions, as saved_models/qa."),
    ],
    class_name: ClassName = None,
    max_length: Annotated[int | None, typer.Option(help="Longest window of a text.")] = None,
    weight_dtype: Annotated[
        WeightDtype | None, typer.Option(help="Store weights in half the size, or a quarter.")
    ] = None,
    warmup: Annotated[
        bool, typer.Option(help="Add warm-up requests (needs tensorflow-serving-api).")
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, an option of the head, as num_best=3; may be repeated."),
    ] = None,
) -> None:
    """Write a SavedModel for TensorFlow Serving: strings in, answers out."""
    from bigbird_tf.serving import export_saved_model
    from bigbird_tf.serving.predictor import load_pretrained

    options = _drop_none(max_length=max_length, weight_dtype=weight_dtype and str(weight_dtype))
    own = parse_options(option)  # Better known before the model is loaded.
    with messages.status("loading"):
        loaded, tokenizer = load_pretrained(model, class_name)
    with messages.status("exporting"):
        version = export_saved_model(loaded, path, tokenizer, warmup=warmup, **options, **own)
    console.print(str(version), highlight=False, soft_wrap=True)


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A pretrained directory, the hub's repository, or a SavedModel.",
        ),
    ],
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="Texts; else lines of standard input."),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="A file that is one text; may be repeated."),
    ] = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="Records as JSON lines, - for standard input.")
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="Ask this of each text.")
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option("--choice", "-c", help="A choice for each text; may be repeated."),
    ] = None,
    pair: Annotated[str | None, typer.Option(help="A second text to each text.")] = None,
    signature: Annotated[str, typer.Option(help="Such as n_best.")] = "serving_default",
    batch_size: Annotated[int, typer.Option(min=1, help="Texts computed together.")] = 8,
    class_name: ClassName = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, as in `export`.")] = None,
) -> None:
    """Run a model on texts; prints a JSON object for each."""
    from bigbird_tf.serving.predictor import Predictor, read_records

    if pair is not None and signature == "serving_default":
        signature = "pair"
    # What is read from files comes first: loading takes long, and mistakes there take none.
    if jsonl is not None:
        if text or file:
            raise ValueError("--jsonl has the texts already. Received: texts or --file besides it")
        lines: Iterable[str] = sys.stdin
        total: int | None = None
        if str(jsonl) != "-":
            lines = read_text(jsonl).split("\n")
            total = sum(1 for line in lines if line.strip())
        records = read_records(lines)
    else:
        # Bytes: what is no UTF-8 is the model's to read.
        texts: Iterable[object] = (line.rstrip(b"\r\n") for line in standard_input())
        total = None
        if text or file:
            texts = given = [*(text or []), *(entry.read_bytes() for entry in file or [])]
            total = len(given)
    with messages.status("loading"):
        predictor = Predictor(
            model, class_name=class_name, signature=signature, **parse_options(option)
        )
    if jsonl is None:
        shared = _drop_none(question=question, choices=choice or None, text_pair=pair)
        name = "context" if "context" in predictor.input_names else "text"
        records = ({name: item, **shared} for item in texts)
    # On a terminal the results themselves are the progress.
    with rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=messages,
        disable=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task("texts", total=total)
        for outputs in predictor.in_batches(records, batch_size):
            print(json.dumps(outputs, ensure_ascii=False), flush=True)
            progress.advance(task)


app.command()(evaluate)


app.command()(pattern)
app.command()(prepare)


@app.command()
def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A pretrained directory or a repository of the hub."
        ),
    ] = None,
    config: Annotated[
        bool, typer.Option("--config", help="All fields of the model's config instead.")
    ] = False,
) -> None:
    """Print versions and devices; of a model, what it is and what of it would not load."""
    import platform

    from bigbird_tf.version import __version__

    if model is None:
        import keras

        rows = {"python": platform.python_version(), "bigbird-tf": __version__}
        for package in ("tensorflow", "tensorflow-text", "jax", "keras", "numpy"):
            try:
                rows[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                rows[package] = "not installed"
        rows["backend"] = keras.backend.backend()
        rows["devices"] = ", ".join(keras.distribution.list_devices())
    elif config:
        from bigbird_tf.config import config_of_any_family

        rows = dict(sorted(config_of_any_family(model).to_dict().items()))
    else:
        from bigbird_tf.cli.model_info import describe_checkpoint

        with messages.status("loading"):
            rows = describe_checkpoint(model)
    width = max(map(len, rows))
    for name, value in rows.items():
        # What other libraries keep in a config, and names of labels, can be pages.
        line = rich.text.Text(f"{name:<{width}}  {value}")
        if config:
            console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)
        else:
            console.print(line, soft_wrap=True, highlight=False)


def _drop_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
