"""`bigbird-tf pattern`: draws a pattern, and counts what it saves."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bigbird_tf.cli.inputs import parse_blocks
from bigbird_tf.cli.terminal import console, messages

__all__ = ["pattern"]

_BLOCKS: dict[str, Any] = {"parser": parse_blocks, "metavar": "BLOCKS"}


def pattern(
    length: Annotated[int, typer.Option(min=1, help="Length in tokens.")] = 4096,
    block_size: Annotated[int, typer.Option(min=1, help="Tokens in a block.")] = 64,
    num_random_blocks: Annotated[
        int, typer.Option("--random", min=0, help="Random blocks of each row.")
    ] = 3,
    num_window_blocks: Annotated[
        Any, typer.Option("--window", help="Its width, odd; or BEFORE,AFTER.", **_BLOCKS)
    ] = 3,
    num_global_blocks: Annotated[
        Any,
        typer.Option(
            "--global",
            help="Half at each end, or START,END; 2, or 0 with --global-tokens.",
            show_default=False,
            **_BLOCKS,
        ),
    ] = None,
    num_global_tokens: Annotated[
        int | None,
        typer.Option(
            "--global-tokens", min=1, help="Tokens beside the sequence (construction='etc')."
        ),
    ] = None,
    num_heads: Annotated[int, typer.Option("--heads", min=1, help="Attention heads.")] = 12,
    head_size: Annotated[int, typer.Option(min=1, help="Width of a head, for the cost.")] = 64,
    layer: Annotated[int, typer.Option(min=0, help="The layer, which seeds the draws.")] = 0,
    plan: Annotated[str, typer.Option(help="Whose draws: google or transformers.")] = "google",
    causal: Annotated[bool, typer.Option(help="What a decoder reads of it: the past.")] = False,
    head: Annotated[
        int | None, typer.Option(min=0, help="One head only; all together by default.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw it there: .png, .pdf, .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers as JSON.")] = False,
) -> None:
    """Draw what attends to what, and print what it saves."""
    from bigbird_tf.attention import BlockPattern
    from bigbird_tf.attention.pattern.pattern_figure import draw_pattern
    from bigbird_tf.attention.pattern.pattern_report import report_pattern
    from bigbird_tf.cli.tables import print_report, report_as_json

    if causal and num_global_tokens:
        raise ValueError(
            "Tokens beside the sequence read all of it, which no decoder's do. Received: --causal, "
            f"--global-tokens {num_global_tokens}"
        )
    # The blocks of tokens beside the sequence stand before it, and are global.
    beside = -(-(num_global_tokens or 0) // block_size)
    if num_global_blocks is None:
        num_global_blocks = 0 if beside else 2
    if beside:
        if isinstance(num_global_blocks, int):
            num_global_blocks = (num_global_blocks + 1) // 2, num_global_blocks // 2
        start, *end = num_global_blocks
        num_global_blocks = start + beside, *end
    built = BlockPattern.build(
        beside - (-length // block_size),
        num_heads,
        block_size=block_size,
        num_random_blocks=num_random_blocks,
        num_window_blocks=num_window_blocks,
        num_global_blocks=num_global_blocks,
        seed=layer,
        random_plan=plan,
        is_causal=causal,
    )
    with messages.status("measuring"):
        report = report_pattern(built, block_size, head_size, head)
    if output is not None:
        draw_pattern(built, output, head)
    if as_json:
        print(json.dumps(report_as_json(report)))
        return
    print_report(report, console, all_heads=head is None)
    if output is not None:
        messages.print(f"drawn: {output}", highlight=False, soft_wrap=True)
