"""A job that is killed five times: `python -m examples.train.killed_job`.

Pre-trains on the Python sources and the documentation of this machine, on two replicas, with
`examples.train.train` as it is: once in peace, and once killed (SIGKILL) at moments that are drawn.
Writes `results.json`, and the curves of both losses as `killed_job.png`.
"""

import csv
import hashlib
import json
import random
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import bigbird_tf as bb

SUFFIXES = {".py", ".md", ".rst", ".txt"}
MEGA = 10**6
NAMES = {False: "in peace", True: "killed"}


def texts_of_this_machine(num_bytes: int) -> Iterator[str]:
    """Returns sources and documents of Python's packages, in the order of a hash of their names."""
    paths = sysconfig.get_paths()
    roots = [Path(paths[name]) for name in ("stdlib", "purelib")]
    files = {
        file.relative_to(root).as_posix(): file
        for root in roots
        for file in root.rglob("*")
        if file.suffix in SUFFIXES and file.is_file()
    }
    for name in sorted(files, key=lambda name: hashlib.sha256(name.encode()).digest()):
        try:
            text = files[name].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        # Longer ones are generated tables.
        if 0 < len(text) < 200_000:
            yield text
            num_bytes -= len(text.encode())
            if num_bytes <= 0:
                return


def prepare(folder: Path, num_bytes: int, length: int, vocab_size: int) -> dict[str, int]:
    """Writes texts as records; returns what there is of them."""
    # Here, since `benchmarks.gpu_training` takes the rest on machines without TensorFlow.
    from bigbird_tf.preprocessing import prepare_records
    from examples.docs_qa.pages import Page
    from examples.docs_qa.vocabulary import train_vocabulary

    texts = [*texts_of_this_machine(num_bytes)]
    lines = folder / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    pages = [Page(str(number), text) for number, text in enumerate(texts[:500])]
    tokenizer = bb.BigBirdTokenizer(train_vocabulary(pages, vocab_size=vocab_size))
    prepared = prepare_records(
        str(lines), folder / "records", tokenizer, length=length, shard_mebibytes=1
    )
    counts = {name: getattr(prepared, name) for name in ("documents", "sequences", "tokens")}
    return {"bytes": sum(len(text.encode()) for text in texts), **counts}


def command(records: Path, output: Path, options: Sequence[str]) -> list[str]:
    """Returns the job's command, which is always the same."""
    program = [sys.executable, "-m", "examples.train.train", "pretrain"]
    return [*program, str(records), str(output), *options]


def read_losses(file: Path, *others: str) -> list[dict[str, float]]:
    """Returns what `CSVLogger` has written: a line for each epoch, and after a kill one again.

    Args:
        file: Where it writes.
        *others: Columns besides `epoch` and `loss`.
    """
    if not file.exists():
        return []
    with file.open() as lines:
        return [
            {"epoch": int(line["epoch"])} | {name: float(line[name]) for name in ("loss", *others)}
            for line in csv.DictReader(lines)
            if line["epoch"] and line["loss"]
        ]


def run_and_kill(
    arguments: list[str], losses: Path, epochs: int, kills: int, seed: int, seconds: float
) -> list[dict[str, int]]:
    """Runs a job until it ends by itself, and kills it that often before.

    Args:
        arguments: Its command.
        losses: The file of its losses, by which its progress is known.
        epochs: How many it has.
        kills: How often to kill it.
        seed: Of the moments.
        seconds: How long after the end of an epoch at most.

    Returns:
        The statuses of its processes, and for each kill how many epochs there were.
    """
    rng = random.Random(seed)
    # Some epochs after the beginning, and at any moment of one.
    moments = sorted(rng.sample(range(1, epochs), kills))
    found = []
    for moment in [*moments, None]:
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        while moment is not None and process.poll() is None:
            before = len({line["epoch"] for line in read_losses(losses)})
            if before >= moment:
                time.sleep(rng.uniform(0, seconds))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        status = process.wait()
        if status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"{' '.join(arguments)} ended with status {status}")
        reached = len({line["epoch"] for line in read_losses(losses)})
        found.append({"status": status, "epochs": reached})
    return found


def largest_difference(first: Path, second: Path) -> float:
    """Returns the largest difference of the weights of two models."""
    weights = [
        bb.BigBirdForMaskedLM.from_pretrained(folder).get_weights() for folder in (first, second)
    ]
    return max(float(np.abs(mine - other).max()) for mine, other in zip(*weights, strict=True))


def plot(
    file: Path, losses: dict[str, dict[int, float]], ends: list[dict], steps: int, title: str
) -> None:
    """Draws both curves, and when the job was killed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    styles = {NAMES[False]: {"linewidth": 5, "alpha": 0.35}, NAMES[True]: {"linewidth": 1.2}}
    for name, by_epoch in losses.items():
        axes.plot(
            [steps * (e + 1) for e in by_epoch], [*by_epoch.values()], label=name, **styles[name]
        )
    for number, end in enumerate(end for end in ends if end["status"]):
        label = None if number else "killed here"
        axes.axvline(steps * end["epochs"], color="tab:red", linestyle=":", label=label)
    axes.set(xlabel="step", ylabel="loss", title=f"{title}, killed and not")
    axes.legend()
    figure.savefig(file, dpi=120)


def run(
    folder: Path,
    console: Console,
    *,
    num_bytes: int = 12 * MEGA,
    length: int = 512,
    vocab_size: int = 4000,
    steps: int = 400,
    steps_per_epoch: int = 10,
    kills: int = 5,
    seed: int = 1,
    seconds: float = 10.0,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """Prepares, trains twice, and compares.

    Args:
        folder: A new folder for all that is written.
        console: Where to tell about it.
        num_bytes: At least so much text.
        length: Pieces of a record.
        vocab_size: Pieces of the vocabulary.
        steps: Of each of both runs.
        steps_per_epoch: After which the loss is written, and a checkpoint.
        kills: How often the second run is killed.
        seed: Of when.
        seconds: How long after the end of an epoch at most.
        options: Other options of `examples.train.train pretrain`.

    Returns:
        What `results.json` has.
    """
    folder.mkdir(parents=True)
    data = prepare(folder, num_bytes, length, vocab_size)
    console.print(f"data: {data}")
    sizes = {"--max-length": length, "--steps": steps, "--steps-per-epoch": steps_per_epoch}
    given = [str(part) for pair in sizes.items() for part in pair] + [*options]
    results: dict[str, Any] = {"data": data, "options": given, "seconds": {}, "ends": {}}
    losses: dict[str, dict[int, float]] = {}
    outputs = {name: folder / name.replace(" ", "_") for name in NAMES.values()}
    for is_killed, name in NAMES.items():
        start = time.monotonic()
        arguments = command(folder / "records", outputs[name], given)
        file = Path(f"{outputs[name]}.csv")
        epochs = steps // steps_per_epoch
        ends = run_and_kill(arguments, file, epochs, kills if is_killed else 0, seed, seconds)
        console.print(f"{name}: {ends}")
        losses[name] = {line["epoch"]: line["loss"] for line in read_losses(file)}
        results["seconds"][name], results["ends"][name] = time.monotonic() - start, ends
    in_peace, killed = losses.values()
    results["losses"] = {name: [*of.values()] for name, of in losses.items()}
    results["largest difference of losses"] = max(
        abs(in_peace[epoch] - killed[epoch]) for epoch in in_peace.keys() & killed.keys()
    )
    results["largest difference of weights"] = largest_difference(*outputs.values())
    plot(
        folder / "killed_job.png",
        losses,
        results["ends"]["killed"],
        steps_per_epoch,
        "Pre-training on two replicas",
    )
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    return results


OPTIONS = "--width 128 --layers 4 --block-size 32 --batch-size 8 --learning-rate 1e-3 --replicas 2"


def main(
    output: Annotated[Path, typer.Option(help="A new folder.")] = Path("killed_job"),
    megabytes: Annotated[float, typer.Option(help="Of text, at least.")] = 12.0,
    steps: Annotated[int, typer.Option(help="Of each run.")] = 400,
    steps_per_epoch: Annotated[int, typer.Option(help="Between two checkpoints.")] = 10,
    kills: Annotated[int, typer.Option(help="How often the second run is killed.")] = 5,
) -> None:
    """Trains twice, and compares."""
    console = Console()
    results = run(
        output,
        console,
        num_bytes=int(megabytes * MEGA),
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        kills=kills,
        options=OPTIONS.split(),
    )
    for name in ("largest difference of losses", "largest difference of weights"):
        console.print(f"{name}: {results[name]:.2g}")
    console.print(f"written: {output / 'results.json'}, {output / 'killed_job.png'}")


if __name__ == "__main__":
    typer.run(main)
