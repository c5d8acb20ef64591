"""The two constructions, ITC and ETC, and relative positions: `python -m benchmarks.constructions`.

Time and memory of encoders, by `benchmarks.model`, in processes of their own, in turn: ITC with the
defaults (blocks of 64, 3 random ones); ETC as in the paper's base models (230 global tokens, blocks
of 84, none random); each with a table of positions and with relative ones.
"""

from typing import Annotated

import typer

from benchmarks import model

PEERS = "bigbird_tf,bigbird_tf relative,bigbird_tf ETC,bigbird_tf ETC relative"


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "4096",
    layers: Annotated[int, typer.Option(help="Encoder blocks.")] = 2,
    rounds: Annotated[int, typer.Option(help="Processes each; medians are taken.")] = 3,
) -> None:
    """Compares the constructions."""
    model.main(
        lengths=lengths,
        layers=layers,
        dtype="float32",
        batch=1,
        rounds=rounds,
        repeats=2,
        peers=PEERS,
        modes="forward,step",
        name="constructions",
    )


if __name__ == "__main__":
    typer.run(main)
