"""Time of attention alone beside the peers: `python -m benchmarks.attention`.

What is measured is in `attention_peers`; its memory, in `python -m benchmarks.memory --layers 0`.
Beside the peers stands what the pattern's arithmetic would take at the rate of matrix products
measured in the same run (two products forward; four more backward), and beside every time the share
of that: machines differ, shares do so less. (Peers with global tokens beside the sequence have
another pattern, and so other arithmetic.)
"""

import gc
from typing import Annotated

import typer

from benchmarks import measuring
from benchmarks.attention_peers import BLOCK, HEAD_SIZE, HEADS, MODES, PEERS, RANDOM

OURS = "bigbird_tf graph"
ARITHMETIC = "the pattern's arithmetic"


def operations(length: int, batch: int) -> int:
    """Operations of the pattern's two matrix products."""
    blocks = length // BLOCK
    pairs = (blocks - 2) * BLOCK * (5 + RANDOM) * BLOCK + 2 * BLOCK * length
    return 2 * 2 * batch * HEADS * pairs * HEAD_SIZE


def with_share(seconds: dict[str, float], name: str) -> str:
    """Says a peer's milliseconds, its ratio to ours, and the share that arithmetic is of them."""
    value = seconds[name]
    base = seconds.get(OURS, seconds[ARITHMETIC])
    milliseconds = f"{value * 1e3:.1f}" if value < 0.01 else f"{value * 1e3:,.0f}"
    return f"{milliseconds} ({value / base:.2f}, {seconds[ARITHMETIC] / value:.0%})"


def markdown(title: str, by_length: dict[int, dict[str, float]]) -> str:
    """Returns a table as RESULTS.md has them: a row for each peer, a column for each length."""
    names = list(dict.fromkeys(name for seconds in by_length.values() for name in seconds))
    rows = [[title, *(str(length) for length in by_length)], ["---"] * (len(by_length) + 1)]
    for name in names:
        cells = [with_share(x, name) if name in x else "" for x in by_length.values()]
        rows.append([name, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "512,1024,2048,4096,8192,16384"
    ),
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 1,
    layers: Annotated[int, typer.Option(help="How often attention is applied.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 7,
    peers: Annotated[str, typer.Option(help=f"Of {', '.join(PEERS)}.")] = ",".join(PEERS),
) -> None:
    """Times attention, forward and with its gradient, beside the peers."""
    times: dict[str, dict[int, dict[str, float]]] = {mode: {} for mode in MODES}
    for length in [int(part) for part in lengths.split(",")]:
        chosen = [name for name in peers.split(",") if PEERS[name].takes(length)]
        found = {name: PEERS[name].build(length, batch, dtype, layers) for name in chosen}
        for mode, products in zip(MODES, (1, 3), strict=True):
            runs = {name: modes[mode] for name, modes in found.items() if mode in modes}
            rate = measuring.matmul_rate(dtype)
            seconds = measuring.interleave({**runs, "matrix product": rate}, rounds)
            rate = measuring.matmul_operations() / seconds.pop("matrix product")
            seconds[ARITHMETIC] = layers * products * operations(length, batch) / rate
            times[mode][length] = seconds
            base = seconds.get(OURS, seconds[ARITHMETIC])
            floor = seconds[ARITHMETIC]
            measuring.print_table(
                f"{mode}, length {length}, batch {batch}, layers {layers}, {dtype}, products at "
                f"{rate / 1e9:.0f} GFLOP/s",
                ["", "ms", "ratio", "share of the arithmetic"],
                [
                    [name, value * 1e3, value / base, f"{floor / value:.0%}"]
                    for name, value in seconds.items()
                ],
            )
        del found, runs
        gc.collect()
    for mode, by_length in times.items():
        print(f"\n{markdown(f'{mode}, {dtype}', by_length)}\n")
    name = f"attention_{dtype}_batch{batch}" + (f"_{layers}layers" if layers > 1 else "")
    path = measuring.write_json(name, {"seconds": times})
    panels = {
        mode: measuring.lines_of(by_length, lambda seconds: seconds * 1e3)
        for mode, by_length in times.items()
    }
    print(f"Wrote {path} and {measuring.plot(name, panels, 'milliseconds')}")


if __name__ == "__main__":
    typer.run(main)
