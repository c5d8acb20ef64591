"""Memory against length: `python -m benchmarks.memory`, of two layers of base size.

Of attention alone with `--layers 0`. The same processes as in `benchmarks.model`, with the defaults
that show growth.
"""

from typing import Annotated

import typer

from benchmarks import attention_peers, model

MODEL_PEERS = (
    "bigbird_tf,bigbird_tf rematerialised,transformers block_sparse,transformers original_full,"
    "Model Garden graph"
)

# Those that have a step.
ATTENTION_PEERS = ",".join(
    name
    for name, peer in attention_peers.PEERS.items()
    if set(peer.modes) == set(attention_peers.MODES)
)


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "1024,4096,16384"
    ),
    layers: Annotated[int, typer.Option(help="Encoder blocks; 0 for attention alone.")] = 2,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 1,
    rounds: Annotated[int, typer.Option(help="Processes each; medians are taken.")] = 2,
    peers: Annotated[
        str | None, typer.Option(help="As in benchmarks.model and .attention.")
    ] = None,
) -> None:
    """Measures the most memory that forward passes and training steps take."""
    model.main(
        lengths=lengths,
        layers=layers,
        dtype=dtype,
        batch=batch,
        rounds=rounds,
        repeats=1,
        peers=peers or (MODEL_PEERS if layers else ATTENTION_PEERS),
        modes="forward,step",
        name="memory",
    )


if __name__ == "__main__":
    typer.run(main)
