"""Time of attention now beside an earlier commit's: `python -m benchmarks.versions COMMIT`.

Each version runs in a process of its own, in its own checkout; the two take turns, so that what
else the machine does hits both.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import measuring
from benchmarks.attention_peers import MODES

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """Checks a commit out into a temporary folder, which it returns."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run([*git, "add", "--quiet", "--detach", str(checkout), commit], check=True)
        try:
            yield checkout
        finally:
            subprocess.run([*git, "remove", "--force", str(checkout)], check=True)


class Version:
    """A checkout's attention, in a process that runs it when asked."""

    def __init__(self, checkout: Path):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks/versions_worker.py")],
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, **request) -> float:
        """Returns the worker's answer, in seconds."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def main(
    commit: Annotated[str, typer.Argument(help="The earlier version.")],
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "512,1024,2048,4096,8192,16384"
    ),
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    peer: Annotated[str, typer.Option(help="Which of our own.")] = "bigbird_tf graph",
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 15,
) -> None:
    """Times attention of two versions, forward and with its gradient."""
    with checkout_of(commit) as checkout:
        versions = {"before": Version(checkout), "now": Version(ROOT)}
        rows, found = [], {}
        try:
            for length in [int(part) for part in lengths.split(",")]:
                for mode in MODES:
                    seconds: dict[str, list[float]] = {name: [] for name in versions}
                    for version in versions.values():
                        version.ask(peer=peer, length=length, dtype=dtype, mode=mode)
                    for turn in range(rounds):
                        for name in sorted(versions, reverse=bool(turn % 2)):
                            seconds[name].append(versions[name].ask())
                    median = {name: statistics.median(seconds[name]) for name in versions}
                    ratio = median["before"] / median["now"]
                    rows.append(
                        [f"{length} {mode}", median["before"] * 1e3, median["now"] * 1e3, ratio]
                    )
                    found[f"{length} {mode}"] = {**median, "ratio": ratio}
        finally:
            for version in versions.values():
                version.close()
    title = f"{peer}, {dtype}: {commit} and now"
    measuring.print_table(title, ["", "before, ms", "now, ms", "before / now"], rows)
    name = f"versions_{peer.replace(' ', '_')}_{dtype}"
    print(f"Wrote {measuring.write_json(name, {'commit': commit, 'seconds': found})}")


if __name__ == "__main__":
    typer.run(main)
