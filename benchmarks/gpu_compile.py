"""What the compiler says of a GPU that is not there: `python -m benchmarks.gpu_compile`.

JAX's plugin for CUDA compiles from a description of an H100. Nothing runs: launches are counted in
the compiled program, a loop's as often as it turns, and temporary memory is the compiler's number.
What the compiler would choose by trying it out on the device, it chooses by rule here.

With KERAS_BACKEND=jax it compiles what that backend traces. Needs the extra `gpu-check`.
"""

from typing import Annotated

import typer

from benchmarks import measuring
from benchmarks.absent_devices import BACKEND, GPU
from benchmarks.tpu_compile import (
    ATTENTIONS,
    ENCODERS,
    attention_in_both_modes,
    encoder_in_all_modes,
)

PEERS = ("bigbird_tf", "full attention")


def report(title: str, found: dict[str, dict[str, dict]]) -> None:
    """Prints a table of each mode, with ratios of memory to full attention's."""
    for mode in next(iter(found.values())):
        full = found.get("full attention", {}).get(mode, {}).get("temporary_mib")
        measuring.print_table(
            f"{title}, {mode}",
            ["", "launches", "loops", "temporaries, MiB", "of full", "took, s"],
            [
                [
                    peer,
                    modes[mode]["launches"],
                    modes[mode]["loops"],
                    f"{modes[mode]['temporary_mib']:,.0f}",
                    modes[mode]["temporary_mib"] / full if full else "",
                    f"{modes[mode]['seconds']:.1f}",
                ]
                for peer, modes in found.items()
            ],
        )


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "4096,16384",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 4,
    layers: Annotated[
        int, typer.Option(help="Encoder blocks of a training step; 0 for no such step.")
    ] = 12,
    dtype: Annotated[str, typer.Option(help="bfloat16 or float32.")] = "bfloat16",
    peers: Annotated[str, typer.Option(help=f"Of {', '.join(ATTENTIONS)}.")] = ",".join(PEERS),
) -> None:
    """Compiles attention, and a training step of an encoder of base size, for an H100."""
    results: dict[str, dict[int, dict]] = {"attention": {}, "step": {}}
    policy = {"bfloat16": "mixed_bfloat16"}.get(dtype, dtype)
    for length in [int(part) for part in lengths.split(",")]:
        results["attention"][length] = found = {
            peer: attention_in_both_modes(peer, length, batch, dtype, device="gpu")
            for peer in peers.split(",")
        }
        report(f"attention, length {length}, batch {batch}, {dtype}", found)
        if layers:
            results["step"][length] = found = {
                peer: encoder_in_all_modes(peer, length, 1, layers, policy, ("step",), "gpu")
                for peer in ENCODERS
                if peer.removesuffix(" rematerialised") in peers.split(",")
            }
            report(f"encoder of {layers} layers, length {length}, batch 1, {policy}", found)
    path = measuring.write_json(
        f"gpu_compile_{BACKEND}_{dtype}_batch{batch}", {"device": GPU, **results}
    )
    print(f"Wrote {path}")


if __name__ == "__main__":
    typer.run(main)
