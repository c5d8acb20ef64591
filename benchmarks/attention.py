"""Attention alone, queries, keys and values given: `python -m benchmarks.attention`.

12 heads of 64, blocks of 64, 3 random blocks. Beside the peers stands what the pattern's arithmetic
would take at the rate of matrix products measured in the same run: two products forward; four more
backward.
"""

import gc
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from benchmarks import measuring

HEADS, HEAD_SIZE, BLOCK, RANDOM = 12, 64, 64, 3


def operations(length: int, batch: int) -> int:
    """Operations of the pattern's two matrix products."""
    blocks = length // BLOCK
    pairs = (blocks - 2) * BLOCK * (5 + RANDOM) * BLOCK + 2 * BLOCK * length
    return 2 * 2 * batch * HEADS * pairs * HEAD_SIZE


def tensorflow_runs(length: int, batch: int, dtype: str) -> dict[str, dict[str, Callable]]:
    """Ours, and plain full attention of Keras, as graphs and under XLA."""
    import tensorflow as tf
    from keras import ops

    from bigbird_tf import BlockPattern
    from bigbird_tf.attention.pattern_index import PatternIndex
    from bigbird_tf.attention.sparse_products import MASKED, block_sparse_products

    rng = np.random.RandomState(0)
    inputs = [
        tf.cast(rng.randn(batch, HEADS, length, HEAD_SIZE).astype("float32"), dtype)
        for _ in range(4)
    ]
    mask = np.ones((batch, length), "float32")
    mask[:, length - 13 :] = 0
    bias = tf.constant((1 - mask) * MASKED)
    pattern = PatternIndex.of(BlockPattern.build(length // BLOCK, HEADS))

    def ours(query, key, value):
        return block_sparse_products(query, key, value, bias, pattern, BLOCK, scale=HEAD_SIZE**-0.5)

    def keras_full(query, key, value):
        query, key, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
        return ops.dot_product_attention(query, key, value, mask=mask[:, None, None] > 0)

    runs = {"bigbird_tf graph": _compiled(ours, inputs, False)}
    runs["bigbird_tf XLA"] = _compiled(ours, inputs, True)
    if length <= 4096:
        runs["Keras full attention"] = _compiled(keras_full, inputs, False)
    return runs


def _compiled(function, inputs, jit_compile):
    import tensorflow as tf

    *tensors, upstream = inputs

    def gradient(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output = function(*tensors)
        return tape.gradient(output, tensors, output_gradients=tf.reshape(upstream, output.shape))

    forward = tf.function(function, jit_compile=jit_compile)
    backward = tf.function(gradient, jit_compile=jit_compile)
    return {
        "forward": lambda: forward(*tensors)[0, 0, 0, 0].numpy(),
        "forward+backward": lambda: [x[0, 0, 0, 0].numpy() for x in backward(*tensors)],
    }


def model_garden_runs(length: int, batch: int, dtype: str) -> dict[str, dict[str, Callable]]:
    """The function of `tf-models-official`, as a graph and under XLA."""
    import tensorflow as tf
    from official.nlp.modeling.layers import bigbird_attention as peer

    rng = np.random.RandomState(0)
    inputs = [
        tf.cast(rng.randn(batch, length, HEADS, HEAD_SIZE).astype("float32"), dtype)
        for _ in range(4)
    ]
    mask = np.ones((batch, length), "float32")
    mask[:, length - 13 :] = 0
    masks = peer.BigBirdMasks(BLOCK)(inputs[0], tf.constant(mask))
    layer = peer.BigBirdAttention(
        num_heads=HEADS, key_dim=HEAD_SIZE, num_rand_blocks=RANDOM, max_rand_mask_length=length
    )
    masks = [tf.cast(x, dtype) for x in masks]

    def attention(query, key, value):
        return layer._compute_attention(query, key, value, masks)

    return {
        "Model Garden graph": _compiled(attention, inputs, False),
        "Model Garden XLA": _compiled(attention, inputs, True),
    }


def torch_runs(length: int, batch: int, dtype: str) -> dict[str, dict[str, Callable]]:
    """Fused full attention of torch, and the block-sparse attention of `transformers`."""
    import torch
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import (
        BigBirdBlockSparseAttention,
        BigBirdModel,
    )

    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    shape = (batch, HEADS, length, HEAD_SIZE)
    query, key, value, upstream = (torch.randn(shape).to(kind) for _ in range(4))
    mask = torch.ones(batch, length)
    mask[:, length - 13 :] = 0

    def fused(query, key, value):
        return torch.nn.functional.scaled_dot_product_attention(query, key, value)

    config = BigBirdConfig(block_size=BLOCK, num_random_blocks=RANDOM)
    layer = BigBirdBlockSparseAttention(config, seed=0).eval()
    blocked, band, from_mask, to_mask = BigBirdModel.create_masks_for_block_sparse_attn(mask, BLOCK)

    def transformers(query, key, value):
        return layer.bigbird_block_sparse_attention(
            *(query, key, value),
            *(band.to(kind), from_mask.to(kind), to_mask.to(kind)),
            *(blocked.to(kind), blocked.to(kind)),
            *(HEADS, RANDOM, HEAD_SIZE, BLOCK, BLOCK, batch, length, length),
            seed=0,
            plan_from_length=None,
            plan_num_rand_blocks=None,
        )[0]

    def runs_of(function):
        def forward():
            with torch.no_grad():
                function(query, key, value)

        def backward():
            leaves = [x.clone().requires_grad_() for x in (query, key, value)]
            output = function(*leaves)
            torch.autograd.grad(output, leaves, upstream.reshape(output.shape))

        return {"forward": forward, "forward+backward": backward}

    runs = {"torch fused full attention": runs_of(fused)} if length <= 8192 else {}
    # It holds a dense length × length matrix.
    if length <= 4096 and length > (5 + 2 * RANDOM) * BLOCK:
        runs["transformers block_sparse"] = runs_of(transformers)
    return runs


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = (
        "1024,2048,4096,8192,16384"
    ),
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 7,
) -> None:
    """Times attention, forward and with its gradient, beside the peers."""
    times: dict[str, dict[int, dict[str, float]]] = {"forward": {}, "forward+backward": {}}
    for length in [int(part) for part in lengths.split(",")]:
        peers = {**tensorflow_runs(length, batch, dtype)}
        if dtype == "float32":
            peers |= model_garden_runs(length, batch, dtype)
        peers |= torch_runs(length, batch, dtype)
        for mode, products in (("forward", 1), ("forward+backward", 3)):
            runs = {name: modes[mode] for name, modes in peers.items()}
            seconds = measuring.interleave(
                {**runs, "matrix product": measuring.matmul_rate(dtype)}, rounds
            )
            rate = measuring.matmul_operations() / seconds.pop("matrix product")
            seconds["the pattern's arithmetic"] = products * operations(length, batch) / rate
            times[mode][length] = seconds
            base = seconds["bigbird_tf graph"]
            measuring.print_table(
                f"{mode}, length {length}, batch {batch}, {dtype}, products at "
                f"{rate / 1e9:.0f} GFLOP/s",
                ["", "ms", "ratio"],
                [[name, value * 1e3, value / base] for name, value in seconds.items()],
            )
        gc.collect()
    name = f"attention_{dtype}_batch{batch}"
    path = measuring.write_json(name, {"seconds": times})
    panels = {}
    for mode, by_length in times.items():
        panels[mode] = lines = {}
        for length, seconds in by_length.items():
            for peer, value in seconds.items():
                lines.setdefault(peer, {})[length] = value * 1e3
    print(f"Wrote {path} and {measuring.plot(name, panels, 'milliseconds')}")


if __name__ == "__main__":
    typer.run(main)
