"""Time to import the package beside an earlier commit's: `python -m benchmarks.import_time COMMIT`.

In seconds of the processor, which other work on the machine changes less than the time that passes.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import measuring
from benchmarks.versions import ROOT, checkout_of


def processor_seconds(checkout: Path, *arguments: str) -> float:
    """Returns what a fresh Python takes for something, with the package of a checkout."""
    before = os.times()
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def main(
    commit: Annotated[str, typer.Argument(help="The earlier version.")],
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 5,
) -> None:
    """Times imports, and the command's help."""
    with checkout_of(commit) as checkout:
        tasks = {
            "import bigbird_tf, before": (checkout, "-c", "import bigbird_tf"),
            "import bigbird_tf, now": (ROOT, "-c", "import bigbird_tf"),
            "import keras": (ROOT, "-c", "import keras"),
            "bigbird-tf --help": (ROOT, "-m", "bigbird_tf.cli", "--help"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(rounds):
            for name, task in tasks.items():
                seconds[name].append(processor_seconds(*task))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [[name, f"{value:.2f}"] for name, value in medians.items()]
    measuring.print_table(f"{commit} and now", ["", "processor, s"], rows)
    print(f"Wrote {measuring.write_json('import_time', {'commit': commit, 'seconds': medians})}")


if __name__ == "__main__":
    typer.run(main)
