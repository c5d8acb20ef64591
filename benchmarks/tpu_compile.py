"""What the compiler says of a TPU that is not there: `python -m benchmarks.tpu_compile`.

libtpu from PyPI compiles for a topology by name. Nothing runs, so there is no time here: temporary
memory and bytes accessed are the compiler's own numbers. In bytes accessed it counts the body of a
loop once, whatever its turns: they compare formulations without loops only.

TensorFlow functions enter through `jax2tf.call_tf`. Needs the extra `tpu-check`.
"""

import functools
import importlib
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import measuring
from benchmarks.attention_peers import BLOCK, HEAD_SIZE, HEADS, RANDOM, padding_mask

TOPOLOGY = "v5e:2x2"
MEBI = 2**20


@functools.cache
def _sharding():
    """Returns the placement on one device of the topology; and prepares JAX for TensorFlow."""
    os.environ.update(
        TPU_SKIP_MDS_QUERY="1",
        TPU_ACCELERATOR_TYPE="v5litepod-4",
        TPU_WORKER_HOSTNAMES="localhost",
        # No device is taken, so several processes may compile at a time.
        ALLOW_MULTIPLE_LIBTPU_LOAD="1",
    )
    # `call_tf` warns of functions that hold constants, with all their values.
    logging.getLogger("absl").setLevel(logging.ERROR)
    # JAX must not look for the TPU itself.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    from jax.experimental import topologies
    from jax.interpreters import mlir

    # The module's name in its package is the function's.
    module = importlib.import_module("jax.experimental.jax2tf.call_tf")
    # TensorFlow's wheel has no TPU kernels registered; what XLA is given is the same on CPU.
    mlir.register_lowering(
        module.call_tf_p,
        functools.partial(module._call_tf_lowering, platform="cpu"),
        platform="tpu",
    )
    topology = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY)
    return jax.sharding.SingleDeviceSharding(topology.devices[0])


def compile_for_tpu(function: Callable, arguments: Any) -> dict[str, Any]:
    """Compiles a TensorFlow function for the TPU.

    Args:
        function: Takes and gives tensors, of static shapes.
        arguments: A list (of lists) of `(shape, dtype)`, the positional arguments.

    Returns:
        `temporary_mib`; `accessed_mib`, a loop's body once; `loops`, how many there are; and
        `seconds` of lowering and compiling. Where the TPU's memory would not do, `temporary_mib`
        is what the compiler says it needs, and `accessed_mib` and `loops` are `None`.
    """
    sharding = _sharding()
    import jax
    from jax.experimental import jax2tf

    def is_leaf(x):
        return isinstance(x, tuple)

    structs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf[0], leaf[1], sharding=sharding),
        arguments,
        is_leaf=is_leaf,
    )
    start = time.perf_counter()
    lowered = jax.jit(jax2tf.call_tf(function)).trace(*structs).lower(lowering_platforms=("tpu",))
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        found = re.search(r"HLO temporaries \(([\d.]+)([MG])\)", str(error))
        if not found:
            raise
        needed = float(found[1]) * (1024 if found[2] == "G" else 1)
        return {
            "temporary_mib": needed,
            "accessed_mib": None,
            "loops": None,
            "seconds": time.perf_counter() - start,
        }
    return {
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / MEBI,
        "accessed_mib": compiled.cost_analysis()["bytes accessed"] / MEBI,
        "loops": compiled.as_text().count(" while("),
        "seconds": time.perf_counter() - start,
    }


def ours(length: int, batch: int, _: str) -> Callable:
    """The block-sparse products: `(B, N, T, H)` three times to `(B, N, T, H)`."""
    from bigbird_tf import BlockPattern
    from bigbird_tf.attention.kernels.attention_weights import MASKED
    from bigbird_tf.attention.kernels.chunked import block_sparse_attention

    pattern = BlockPattern.build(length // BLOCK, HEADS, num_random_blocks=RANDOM)
    bias = (1 - padding_mask(length, batch)) * np.float32(MASKED)

    def attention(query, key, value):
        return block_sparse_attention(
            query, key, value, bias, pattern.slots, BLOCK, scale=HEAD_SIZE**-0.5
        )

    return attention


def full(length: int, batch: int, _: str) -> Callable:
    """Plain full attention, softmax in the dtype of the inputs: the least that it can take."""
    import tensorflow as tf

    bias = ((1 - padding_mask(length, batch)) * -1e4)[:, None, None]

    def attention(query, key, value):
        scores = tf.matmul(query * HEAD_SIZE**-0.5, key, transpose_b=True)
        return tf.matmul(tf.nn.softmax(scores + tf.cast(bias, scores.dtype)), value)

    return attention


def model_garden(length: int, batch: int, dtype: str) -> Callable:
    """The function of `tf-models-official`, whose layout is `(B, T, N, H)`."""
    import tensorflow as tf
    from official.nlp.modeling.layers import bigbird_attention as peer

    like = tf.zeros((batch, length, HEADS, HEAD_SIZE))
    masks = peer.BigBirdMasks(BLOCK)(like, tf.constant(padding_mask(length, batch)))
    masks = [tf.cast(x, dtype) for x in masks]
    layer = peer.BigBirdAttention(
        num_heads=HEADS, key_dim=HEAD_SIZE, num_rand_blocks=RANDOM, max_rand_mask_length=length
    )
    return lambda query, key, value: layer._compute_attention(query, key, value, masks)


ATTENTIONS = {"bigbird_tf": ours, "full attention": full, "Model Garden": model_garden}


def attention_in_both_modes(
    peer: str, length: int, batch: int, dtype: str = "bfloat16"
) -> dict[str, dict]:
    """Compiles attention of a peer, forward and with its gradient."""
    import tensorflow as tf

    attention = ATTENTIONS[peer](length, batch, dtype)

    def gradient(query, key, value, upstream):
        with tf.GradientTape() as tape:
            tape.watch([query, key, value])
            context = attention(query, key, value)
        upstream = tf.reshape(upstream, context.shape)
        return tape.gradient(context, [query, key, value], output_gradients=upstream)

    middle = (length, HEADS) if peer == "Model Garden" else (HEADS, length)
    spec = ((batch, *middle, HEAD_SIZE), dtype)
    return {
        "forward": compile_for_tpu(attention, [spec] * 3),
        "gradient": compile_for_tpu(gradient, [spec] * 4),
    }


ENCODERS = {
    "bigbird_tf": {"attention_type": "block_sparse"},
    "bigbird_tf rematerialised": {"attention_type": "block_sparse", "gradient_checkpointing": True},
    "full attention": {"attention_type": "original_full"},
}


def encoder_in_both_modes(
    peer: str, length: int, batch: int, layers: int, policy: str
) -> dict[str, dict]:
    """Compiles the encoder of base size, forward and with its gradient."""
    import tensorflow as tf

    import bigbird_tf as bb

    config = bb.BigBirdConfig(
        num_hidden_layers=layers,
        max_position_embeddings=max(length, 4096),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **ENCODERS[peer],
    )
    model = bb.BigBirdModel(config, add_pooling_layer=False, dtype=policy)
    others = [w.value for w in model.non_trainable_variables]

    def forward(weights, ids, training=False):
        outputs, _ = model.stateless_call(weights, others, ids, training=training)
        return outputs["last_hidden_state"]

    def gradient(weights, ids):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            hidden = forward(weights, ids, training=True)
            loss = tf.reduce_mean(tf.square(tf.cast(hidden, "float32")))
        return tape.gradient(loss, weights)

    weights = [(tuple(w.shape), w.dtype) for w in model.trainable_variables]
    ids = ((batch, length), "int32")
    return {
        "forward": compile_for_tpu(forward, [weights, ids]),
        "gradient": compile_for_tpu(gradient, [weights, ids]),
    }


def report(title: str, by_peer: dict[str, dict[str, dict]]) -> None:
    """Prints a table of each mode, with ratios to full attention."""
    for mode in ("forward", "gradient"):
        base = by_peer.get("full attention", {}).get(mode, {}).get("temporary_mib")
        measuring.print_table(
            f"{title}, {mode}",
            ["", "temporaries, MiB", "of full", "accessed, MiB", "loops", "compiled in, s"],
            [
                [
                    peer,
                    f"{found[mode]['temporary_mib']:,.0f}",
                    found[mode]["temporary_mib"] / base if base else "",
                    "does not fit"
                    if found[mode]["accessed_mib"] is None
                    else f"{found[mode]['accessed_mib']:,.0f}",
                    found[mode]["loops"],
                    f"{found[mode]['seconds']:.1f}",
                ]
                for peer, found in by_peer.items()
            ],
        )


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "4096,16384",
    batch: Annotated[int, typer.Option(help="Sequences in a batch, of attention alone.")] = 4,
    layers: Annotated[int, typer.Option(help="Encoder blocks; 0 for attention alone.")] = 12,
    dtype: Annotated[
        str, typer.Option(help="The encoder's policy: mixed_bfloat16, bfloat16 or float32.")
    ] = "mixed_bfloat16",
    peers: Annotated[str, typer.Option(help=f"Of {', '.join(ATTENTIONS)}.")] = ",".join(ATTENTIONS),
) -> None:
    """Compiles attention and a whole encoder (one sequence) for a TPU v5e."""
    results: dict[str, dict[int, dict]] = {"attention": {}, "encoder": {}}
    chosen = peers.split(",")
    of_attention = dtype.removeprefix("mixed_")
    for length in [int(part) for part in lengths.split(",")]:
        found = {
            peer: attention_in_both_modes(peer, length, batch, of_attention) for peer in chosen
        }
        results["attention"][length] = found
        report(f"attention, length {length}, batch {batch}, {of_attention}", found)
        if layers:
            results["encoder"][length] = found = {
                peer: encoder_in_both_modes(peer, length, 1, layers, dtype)
                for peer in ENCODERS
                if peer.removesuffix(" rematerialised") in chosen
            }
            report(f"encoder of {layers} layers, length {length}, batch 1, {dtype}", found)
    name = f"tpu_compile_{dtype}_{layers}layers_batch{batch}"
    path = measuring.write_json(name, {"topology": TOPOLOGY, "results": results})
    panels: dict[str, dict[str, dict[int, float]]] = {}
    for subject, by_length in results.items():
        for mode in ("forward", "gradient") if by_length else ():
            panels[f"{subject}, {mode}"] = measuring.lines_of(
                by_length, lambda modes, mode=mode: modes[mode]["temporary_mib"]
            )
    print(f"Wrote {path} and {measuring.plot(name, panels, 'MiB of temporaries')}")


if __name__ == "__main__":
    typer.run(main)
