"""What the command `bigbird-tf pattern` prints."""

import dataclasses
from typing import Any

import rich.console
import rich.table

from bigbird_tf.attention.pattern.pattern_report import PatternReport

__all__ = ["print_report", "report_as_json"]


def report_as_json(report: PatternReport) -> dict[str, Any]:
    """Returns a report as JSON can hold it: `null` for infinite paths."""
    fields = dataclasses.asdict(report)
    fields["path_lengths"] = {
        name: [value if value != float("inf") else None for value in pair]
        for name, pair in fields["path_lengths"].items()
    }
    return fields


def print_report(report: PatternReport, console: rich.console.Console, *, all_heads: bool) -> None:
    """Prints a report as tables; `all_heads` tells whether its paths may change heads."""
    fewest, mean, most = report.key_blocks
    table = rich.table.Table(title=f"{report.num_tokens} tokens", title_justify="left")
    for column in ("", "BigBird", "full attention"):
        table.add_column(column, justify="left" if not column else "right")
    blocks = f"{mean:.1f} ({fewest} to {most})"
    reader = "a query block reads" + (" in any head" if all_heads else "")
    table.add_row(f"key blocks that {reader}", blocks, "all")
    table.add_row("share of the matrix", f"{report.share_of_full:.1%}", "100%")
    table.add_row(
        "operations, one layer",
        f"{report.flops / 1e9:.2f} G",
        f"{report.full_flops / 1e9:.2f} G",
    )
    table.add_row(
        "bytes of scores, one layer",
        f"{report.score_bytes / 2**20:.1f} MiB",
        f"{report.full_score_bytes / 2**20:.1f} MiB",
    )
    console.print(table)
    paths = rich.table.Table(title="Layers from one token to another", title_justify="left")
    for column in ("attention", "mean", "longest"):
        paths.add_column(column, justify="left" if column == "attention" else "right")
    for name, (mean, longest) in report.path_lengths.items():
        paths.add_row(name, f"{mean:.2f}", f"{longest:.0f}")
    console.print(paths)
