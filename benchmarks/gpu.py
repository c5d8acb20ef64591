"""Time of attention on a GPU beside PyTorch's: `KERAS_BACKEND=jax python -m benchmarks.gpu`.

Ours runs on JAX, the peers on PyTorch, in one process and in turn. Needs a GPU, JAX and PyTorch for
it, and no TensorFlow. Times are those of a call among many without a wait between them, so that
what a GPU does counts, not how long the processor takes to ask for it.
"""

import functools
import os
import statistics
import time
from collections.abc import Callable
from typing import Annotated

import typer

from benchmarks import attention_peers, measuring
from benchmarks.attention import operations
from benchmarks.attention_peers import BLOCK, HEAD_SIZE, HEADS, MODES, RANDOM

OURS = "bigbird_tf"


def ours(length: int, batch: int, dtype: str, plan=None) -> dict[str, Callable]:
    """The sparse products on JAX, under a plan."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from bigbird_tf import BlockPattern
    from bigbird_tf.attention.kernels.attention_weights import MASKED
    from bigbird_tf.attention.kernels.chunked import block_sparse_attention

    pattern = BlockPattern.build(length // BLOCK, HEADS, num_random_blocks=RANDOM)
    bias = (1 - attention_peers.padding_mask(length, batch)) * np.float32(MASKED)
    arrays = attention_peers._arrays(batch, HEADS, length, HEAD_SIZE)
    *tensors, grad_output = (jnp.asarray(x, dtype) for x in arrays)

    def forward(query, key, value, bias):
        return block_sparse_attention(
            query, key, value, bias, pattern.slots, BLOCK, scale=HEAD_SIZE**-0.5, plan=plan
        )

    def gradient(query, key, value, bias, grad_output):
        _, pullback = jax.vjp(lambda *x: forward(*x, bias), query, key, value)
        return pullback(grad_output)

    modes = {}
    for mode, function, inputs in (
        (MODES[0], forward, (*tensors, bias)),
        (MODES[1], gradient, (*tensors, bias, grad_output)),
    ):
        compiled = jax.jit(function).lower(*inputs).compile()
        run = functools.partial(compiled, *inputs)
        run.temporary = compiled.memory_analysis().temp_size_in_bytes
        modes[mode] = run
    return modes


def unfused(length: int, batch: int, dtype: str) -> dict[str, Callable]:
    """The same without fused kernels, as XLA compiles it for a GPU: as on TensorFlow."""
    return ours(length, batch, dtype, _plan(length, batch, dtype, "gpu"))


def _plan(length: int, batch: int, dtype: str, device: str):
    from bigbird_tf import BlockPattern
    from bigbird_tf.attention.kernels.plan import make_plan

    layout = BlockPattern.build(length // BLOCK, HEADS, num_random_blocks=RANDOM).slots.layout
    shape = (batch, HEADS, length, HEAD_SIZE)
    size = {"float32": 4, "bfloat16": 2}[dtype]
    return make_plan(shape, size, layout, BLOCK, length // BLOCK - 2, device=device, compiled=True)


def in_chunks_of_a_cache(length: int, batch: int, dtype: str) -> dict[str, Callable]:
    """The same in the pieces that suit a CPU's cache: as it was before there were plans."""
    return ours(length, batch, dtype, _plan(length, batch, dtype, "cpu"))


def of_torch(name: str) -> Callable:
    """A peer of `attention_peers`, its tensors on the GPU."""

    def build(length: int, batch: int, dtype: str) -> dict[str, Callable]:
        import torch

        torch.set_default_device("cuda")
        return attention_peers.PEERS[name].build(length, batch, dtype, 1)

    return build


PEERS: dict[str, tuple[Callable, int]] = {
    OURS: (ours, 2**20),
    "bigbird_tf, not fused": (unfused, 2**20),
    "bigbird_tf, chunks of a cache": (in_chunks_of_a_cache, 16384),
    "torch compiled flex_attention": (of_torch("torch compiled flex_attention"), 2**20),
    "torch fused full attention": (of_torch("torch fused full attention"), 2**20),
    "transformers block_sparse": (of_torch("transformers block_sparse"), 4096),
}


def wait(result) -> None:
    """Waits until the GPU has done all that it was asked for."""
    import jax
    import torch

    jax.block_until_ready(result)
    torch.cuda.synchronize()


def seconds_of_a_call(run: Callable, calls: int) -> float:
    """Time of one of `calls` calls without a wait between them."""
    start = time.perf_counter()
    for _ in range(calls):
        result = run()
    wait(result)
    return (time.perf_counter() - start) / calls


def temporary_mib(run: Callable) -> float:
    """What a call holds beside its inputs, results included where PyTorch runs it."""
    import torch

    if hasattr(run, "temporary"):
        return run.temporary / 2**20
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    wait(None)
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def measured(runs: dict[str, Callable], rounds: int) -> dict[str, dict[str, float]]:
    """Returns seconds and temporaries by name; calls of a round take a twentieth of a second."""
    counts, found = {}, {}
    for name, run in list(runs.items()):
        try:
            wait(run())
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:500]}", flush=True)
            del runs[name]
            continue
        found[name] = {"temporary_mib": temporary_mib(run)}
        counts[name] = max(1, min(200, int(0.05 / seconds_of_a_call(run, 3))))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds_of_a_call(run, counts[name]))
    return {name: {**found[name], "seconds": statistics.median(times[name])} for name in runs}


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "1024,4096,16384,65536"
    ),
    dtype: Annotated[str, typer.Option(help="bfloat16 or float32.")] = "bfloat16",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 4,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 7,
    peers: Annotated[str, typer.Option(help="Names, with ';' between.")] = ";".join(PEERS),
) -> None:
    """Times attention, forward and with its gradient, on a GPU."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    import torch

    device = torch.cuda.get_device_name()
    print(device, jax.__version__, torch.__version__, flush=True)
    results: dict[int, dict] = {}
    for length in [int(part) for part in lengths.split(",")]:
        built: dict[str, dict[str, Callable]] = {}
        for name in peers.split(";"):
            build, longest = PEERS[name]
            if length > longest:
                continue
            start = time.perf_counter()
            try:
                built[name] = build(length, batch, dtype)
            except Exception as error:
                print(f"{name} at {length}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            print(f"{name} at {length}: {time.perf_counter() - start:.1f} s to build", flush=True)
        results[length] = {}
        for mode, products in zip(MODES, (1, 3), strict=True):
            runs = {name: modes[mode] for name, modes in built.items() if mode in modes}
            found = results[length][mode] = measured(runs, rounds)
            work = products * operations(length, batch)
            measuring.print_table(
                f"{mode}, length {length}, batch {batch}, {dtype}",
                ["", "ms", "ratio to ours", "TFLOP/s of the pattern", "temporaries, MiB"],
                [
                    [
                        name,
                        f"{x['seconds'] * 1e3:.3f}",
                        x["seconds"] / found[OURS]["seconds"],
                        work / x["seconds"] / 1e12,
                        f"{x['temporary_mib']:,.0f}",
                    ]
                    for name, x in found.items()
                ],
            )
        del built, runs
        torch.cuda.empty_cache()
    name = f"gpu_attention_{dtype}_batch{batch}"
    print(f"Wrote {measuring.write_json(name, {'device': device, 'attention': results})}")


if __name__ == "__main__":
    typer.run(main)
