"""The whole encoder of base size, time and memory: `python -m benchmarks.model`.

Each peer runs in fresh processes, the peers in turn, in several rounds; medians are taken. Memory
is the most that a process held from then on, less what it held when the model had been built.
"""

import json
import os
import statistics
import subprocess
import sys
from operator import itemgetter
from typing import Annotated

import typer

from benchmarks import attention_peers, measuring
from benchmarks.peer_process import PEERS

DEFAULT_PEERS = "bigbird_tf,transformers block_sparse,Model Garden graph,Model Garden XLA"


def run_peer(peer: str, mode: str, **options) -> dict | None:
    """Runs a peer in a process of its own; `None` if it fails (memory, an unsupported dtype)."""
    command = [sys.executable, "-m", "benchmarks.peer_process", peer, mode]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["killed"])[-1]
        print(f"{peer}, {mode}, {options}: failed: {last[:300]}", flush=True)
        return None
    return json.loads(result.stdout.strip().splitlines()[-1])


def label(mode: str, layers: int) -> str:
    """Names a mode for people."""
    step = "training step" if layers else attention_peers.MODES[1]
    return {"forward": "forward", "step": step}[mode]


def measure(peers, modes, lengths, rounds, **options) -> dict:
    """Returns medians by mode, length and peer."""
    results: dict = {mode: {} for mode in modes}
    for length in lengths:
        for mode in modes:
            outcomes: dict[str, list[dict]] = {
                peer: []
                for peer in peers
                if options["layers"] or attention_peers.PEERS[peer].takes(length)
            }
            for _ in range(rounds):
                for peer in [peer for peer, found in outcomes.items() if found is not None]:
                    outcome = run_peer(peer, mode, length=length, **options)
                    outcomes[peer] = None if outcome is None else [*outcomes[peer], outcome]
            results[mode][length] = {
                peer: {
                    "seconds": statistics.median(min(o["seconds"]) for o in found),
                    "trace": statistics.median(o["trace"] for o in found),
                    "first": statistics.median(o["first"] for o in found),
                    "extra_mib": statistics.median(o["peak_mib"] - o["built_mib"] for o in found),
                    "peak_mib": statistics.median(o["peak_mib"] for o in found),
                }
                for peer, found in outcomes.items()
                if found
            }
            report(label(mode, options["layers"]), length, results[mode][length], options)
    return results


def report(mode: str, length: int, by_peer: dict, options: dict) -> None:
    """Prints a table of one mode and length."""
    if not by_peer:
        print(f"{mode}, length {length}: no peer finished")
        return
    base = by_peer[next(iter(by_peer))]
    measuring.print_table(
        f"{mode}, length {length}, {options}",
        ["", "s", "ratio", "tracing, s", "then first call, s", "extra MiB", "peak MiB", "ratio"],
        [
            [
                peer,
                found["seconds"],
                found["seconds"] / base["seconds"],
                found["trace"],
                found["first"],
                f"{found['extra_mib']:,.0f}",
                f"{found['peak_mib']:,.0f}",
                found["peak_mib"] / base["peak_mib"],
            ]
            for peer, found in by_peer.items()
        ],
    )


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "4096",
    layers: Annotated[int, typer.Option(help="Encoder blocks; 0 for attention alone.")] = 12,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 3,
    repeats: Annotated[int, typer.Option(help="Runs in each process, the best counts.")] = 3,
    peers: Annotated[str, typer.Option(help=f"Of {', '.join(PEERS)}.")] = DEFAULT_PEERS,
    modes: Annotated[str, typer.Option(help="forward, step or both.")] = "forward,step",
    name: Annotated[str, typer.Option(help="Name of the result files.")] = "model",
) -> None:
    """Times forward passes and training steps (AdamW) of whole models beside the peers."""
    found = measure(
        peers.split(","),
        modes.split(","),
        [int(part) for part in lengths.split(",")],
        rounds,
        layers=layers,
        dtype=dtype,
        batch=batch,
        repeats=repeats,
    )
    stem = f"{name}_{dtype}_{layers}layers_batch{batch}"
    path = measuring.write_json(stem, {"results": found})
    panels = {}
    for quantity, unit in (("seconds", "seconds"), ("extra_mib", "extra MiB")):
        for mode, by_length in found.items():
            panels[f"{label(mode, layers)}, {unit}"] = measuring.lines_of(
                by_length, itemgetter(quantity)
            )
    print(f"Wrote {path} and {measuring.plot(stem, panels, 'see the title')}")


if __name__ == "__main__":
    typer.run(main)
