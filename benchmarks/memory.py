"""Memory against length, two layers of base size: `python -m benchmarks.memory`.

The same processes as in `benchmarks.model`, with the defaults that show growth.
"""

from typing import Annotated

import typer

from benchmarks import model


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "1024,4096,16384"
    ),
    layers: Annotated[int, typer.Option(help="Encoder blocks.")] = 2,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 1,
    peers: Annotated[str, typer.Option(help="As in benchmarks.model.")] = (
        "bigbird_tf,bigbird_tf rematerialised,transformers block_sparse,"
        "transformers original_full,Model Garden graph"
    ),
) -> None:
    """Measures the most memory that forward passes and training steps take."""
    model.main(
        lengths=lengths,
        layers=layers,
        dtype=dtype,
        batch=batch,
        rounds=1,
        repeats=1,
        peers=peers,
        modes="forward,step",
        name="memory",
    )


if __name__ == "__main__":
    typer.run(main)
