"""Decoders, a step of training and of generation: `python -m benchmarks.decoding`.

Training is that of attention alone, forward and with its gradient, as in `benchmarks.attention`: 12
heads of 64, blocks of 64, 3 random blocks. Of a pattern's diagonal, whole blocks count as its
arithmetic. Generation is that of a model of base width without its head: one more token behind so
many others, whose keys and values are in the cache.
"""

import gc
from typing import Annotated

import numpy as np
import typer

from benchmarks import measuring
from benchmarks.attention import ARITHMETIC, OURS, with_share
from benchmarks.attention_peers import BLOCK, CAUSAL_PEERS, HEAD_SIZE, HEADS, MODES, RANDOM

# Steps of one run, so that what a step writes is written in place as in `generate`.
STEPS = 16


def operations(length: int) -> int:
    """Operations of the causal pattern's two matrix products."""
    from bigbird_tf import BlockPattern

    pattern = BlockPattern.build(length // BLOCK, HEADS, num_random_blocks=RANDOM, is_causal=True)
    return 2 * 2 * HEADS * int(pattern.is_read.sum()) * BLOCK**2 * HEAD_SIZE


def time_training(length: int, rounds: int) -> dict[str, dict[str, float]]:
    """Returns seconds by mode and peer."""
    peers = {
        name: peer.build(length, 1, "float32", 1)
        for name, peer in CAUSAL_PEERS.items()
        if peer.takes(length)
    }
    times = {}
    for mode, products in zip(MODES, (1, 3), strict=True):
        runs = {name: modes[mode] for name, modes in peers.items()}
        rate = measuring.matmul_rate()
        seconds = measuring.interleave({**runs, "matrix product": rate}, rounds)
        rate = measuring.matmul_operations() / seconds.pop("matrix product")
        times[mode] = {**seconds, ARITHMETIC: products * operations(length) / rate}
    return times


def our_step(length: int, layers: int):
    """Returns a function that decodes `STEPS` tokens in one graph."""
    import tensorflow as tf

    import bigbird_tf as bb

    config = bb.BigBirdConfig(
        num_hidden_layers=layers,
        max_position_embeddings=length + STEPS,
        is_decoder=True,
        causal_attention_type="block_sparse",
    )
    encoder = bb.BigBirdModel(config, add_pooling_layer=False).encoder
    token = tf.random.normal((1, 1, config.hidden_size))
    _, cache = encoder.call_with_cache(
        tf.random.normal((1, 999, config.hidden_size)), np.ones((1, 999))
    )

    @tf.function
    def decode(cache):
        def step(t, hidden, cache):
            hidden, cache = encoder.call_with_cache(hidden, cache=cache, index=t[None])
            return t + 1, hidden, cache

        first = tf.constant(length)
        return tf.while_loop(lambda t, *_: t < length + STEPS, step, (first, token, cache))[1]

    return lambda: decode(cache)[0, 0, 0].numpy()


def transformers_step(length: int, layers: int):
    """Returns the same of `transformers`, whose cache starts with so many tokens each time."""
    import torch
    from transformers import BigBirdConfig, BigBirdModel, DynamicCache

    config = BigBirdConfig(
        num_hidden_layers=layers,
        max_position_embeddings=length + STEPS,
        is_decoder=True,
        attention_type="original_full",
    )
    model = BigBirdModel(config, add_pooling_layer=False).eval()
    given = torch.randn(layers, 2, 1, HEADS, length, HEAD_SIZE)

    def decode():
        cache = DynamicCache(config=config)
        for layer, (keys, values) in enumerate(given):
            cache.update(keys, values, layer)
        with torch.no_grad():
            for _ in range(STEPS):
                model(torch.tensor([[7]]), past_key_values=cache, use_cache=True)

    return decode


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "4096,16384,65536"
    ),
    layers: Annotated[int, typer.Option(help="Layers of the model that generates.")] = 4,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 3,
    training: Annotated[bool, typer.Option(help="Whether to time attention in training.")] = True,
    longest_peer: Annotated[
        int, typer.Option(help="The most positions of `transformers`' cache.")
    ] = 65536,
) -> None:
    """Times training and generation beside the peers."""
    chosen = [int(part) for part in lengths.split(",")]
    times: dict[str, dict[int, dict[str, float]]] = {mode: {} for mode in MODES}
    for length in chosen if training else ():
        for mode, seconds in time_training(length, rounds).items():
            times[mode][length] = seconds
            print(mode, length, seconds, flush=True)
        gc.collect()
    times["generation"] = {}
    for length in (500, *chosen):
        runs = {OURS: our_step(length, layers)}
        if length <= longest_peer:
            runs["transformers original_full"] = transformers_step(length, layers)
        seconds = measuring.interleave(runs, rounds)
        times["generation"][length] = {name: x / STEPS for name, x in seconds.items()}
        print("generation", length, times["generation"][length], flush=True)
        del runs
        gc.collect()
    for mode, by_length in times.items():
        if not by_length:
            continue
        names = list(dict.fromkeys(name for found in by_length.values() for name in found))
        rows = [
            [name, *(_cell(found, name) if name in found else "" for found in by_length.values())]
            for name in names
        ]
        measuring.print_table(mode, ["", *map(str, by_length)], rows)
    print(f"Wrote {measuring.write_json('decoding', {'layers': layers, 'seconds': times})}")


def _cell(seconds: dict[str, float], name: str) -> str:
    if ARITHMETIC in seconds:
        return with_share(seconds, name)
    return f"{seconds[name] * 1e3:.2f} ({seconds[name] / seconds[OURS]:.2f})"


if __name__ == "__main__":
    typer.run(main)
