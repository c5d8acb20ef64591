"""Times several things in turn, and writes what came out as a table, JSON and a picture."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "interleave",
    "lines_of",
    "machine",
    "matmul_operations",
    "matmul_rate",
    "plot",
    "print_table",
    "write_json",
]

RESULTS = Path(__file__).parent / "results"


def interleave(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Runs each once to warm up, then all of them in turn, `rounds` times.

    Args:
        runs: Functions by name; each returns when its work is done.
        rounds: How often.

    Returns:
        Median seconds by name.
    """
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def matmul_rate(dtype: str = "float32", size: int = 2048) -> Callable[[], None]:
    """Returns a function that does 2 × `size`³ × 4 operations in matrix products of TensorFlow."""
    import tensorflow as tf

    a = tf.cast(tf.random.normal((4, size, size)), dtype)
    product = tf.function(lambda x: tf.matmul(x, x)[0, 0, 0])
    return lambda: float(product(a))


def matmul_operations(size: int = 2048) -> int:
    """How many operations one call of what `matmul_rate` gives does."""
    return 4 * 2 * size**3


def machine() -> dict:
    """Describes the machine and the versions."""
    from importlib import metadata

    names = (
        *("tensorflow", "keras", "numpy", "torch", "transformers", "tf-models-official"),
        *("jax", "libtpu"),
    )
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {"processor": model, "cores": os.cpu_count(), **versions}


def print_table(title: str, columns: list[str], rows: list[list]) -> None:
    """Prints a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=140).print(table)


def write_json(name: str, content: dict) -> Path:
    """Writes `results/<name>.json`, with the machine beside the content."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **content}, indent=2) + "\n")
    return path


def lines_of(by_length: dict[int, dict], value: Callable) -> dict[str, dict[int, float]]:
    """Turns results by length and peer into values by peer and length, for `plot`."""
    lines: dict[str, dict[int, float]] = {}
    for length, by_peer in by_length.items():
        for peer, found in by_peer.items():
            lines.setdefault(peer, {})[length] = value(found)
    return lines


def plot(name: str, panels: dict[str, dict[str, dict[int, float]]], unit: str) -> Path:
    """Draws a panel for each key, a line for each peer, both axes logarithmic.

    Args:
        name: The picture is `results/<name>.png`.
        panels: Values by panel, peer and length.
        unit: What the values are.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    RESULTS.mkdir(exist_ok=True)
    figure, axes = plt.subplots(1, len(panels), figsize=(6.5 * len(panels), 5), squeeze=False)
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for peer, values in lines.items():
            is_ours = peer.startswith("bigbird_tf")
            axis.plot(
                list(values),
                list(values.values()),
                marker="o",
                linewidth=2.5 if is_ours else 1.2,
                label=peer,
            )
        axis.set(title=title, xlabel="length, tokens", ylabel=unit, xscale="log", yscale="log")
        lengths = sorted({length for values in lines.values() for length in values})
        axis.set_xticks(lengths, [str(length) for length in lengths])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=120)
    return path
