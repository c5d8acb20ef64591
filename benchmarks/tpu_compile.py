"""What the compiler says of a TPU that is not there: `python -m benchmarks.tpu_compile`.

libtpu from PyPI compiles for a topology by name. Nothing runs, so there is no time here: cycles are
what the compiler estimates of each instruction, a loop's as often as it turns, and temporary memory
is its own number. In bytes accessed it counts the body of a loop once, whatever its turns: they
compare formulations without loops only.

With KERAS_BACKEND=jax it compiles what that backend traces. Needs the extra `tpu-check`.
"""

from collections.abc import Callable
from typing import Annotated

import keras
import numpy as np
import typer
from keras import ops

from benchmarks import measuring
from benchmarks.absent_devices import BACKEND, TPU, compile_for, gradients
from benchmarks.attention_peers import BLOCK, HEAD_SIZE, HEADS, RANDOM, padding_mask


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
    bias = ((1 - padding_mask(length, batch)) * -1e4)[:, None, None]

    def attention(query, key, value):
        scores = ops.matmul(query * HEAD_SIZE**-0.5, ops.swapaxes(key, -1, -2))
        return ops.matmul(ops.softmax(scores + ops.cast(bias, scores.dtype)), value)

    return attention


def model_garden(length: int, batch: int, dtype: str) -> Callable:
    """The function of `tf-models-official`, whose layout is `(B, T, N, H)`; TensorFlow's alone."""
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
    peer: str, length: int, batch: int, dtype: str = "bfloat16", device: str = "tpu"
) -> dict[str, dict]:
    """Compiles attention of a peer for a device, forward and with its gradient."""
    attention = ATTENTIONS[peer](length, batch, dtype)

    def gradient(query, key, value, grad_output):
        return gradients(lambda inputs: attention(*inputs), [query, key, value], grad_output)

    middle = (length, HEADS) if peer == "Model Garden" else (HEADS, length)
    spec = ((batch, *middle, HEAD_SIZE), dtype)
    return {
        "forward": compile_for(device, attention, [spec] * 3),
        "gradient": compile_for(device, gradient, [spec] * 4),
    }


ENCODERS = {
    "bigbird_tf": {"attention_type": "block_sparse"},
    "bigbird_tf rematerialised": {"attention_type": "block_sparse", "gradient_checkpointing": True},
    "full attention": {"attention_type": "original_full"},
}


def encoder_in_all_modes(
    peer: str,
    length: int,
    batch: int,
    layers: int,
    policy: str,
    modes: tuple[str, ...],
    device: str = "tpu",
) -> dict[str, dict]:
    """Compiles the encoder of base size.

    Args:
        peer: Of `ENCODERS`.
        length, batch, layers: Of the inputs and the encoder.
        policy: The dtype policy.
        modes: Of `"forward"`, `"gradient"` and `"step"`, which is a gradient and AdamW.
        device: `"tpu"` or `"gpu"`.
    """
    import bigbird_tf as bb

    config = bb.BigBirdConfig(
        num_hidden_layers=layers,
        max_position_embeddings=max(length, 4096),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **ENCODERS[peer],
    )
    model = bb.BigBirdModel(config, add_pooling_layer=False, dtype=policy)
    optimizer = keras.optimizers.AdamW(1e-4)
    optimizer.build(model.trainable_variables)
    others = [w.value for w in model.non_trainable_variables]

    def forward(weights, ids, training=False):
        outputs, _ = model.stateless_call(weights, others, ids, training=training)
        return outputs["last_hidden_state"]

    def gradient(weights, ids):
        def loss(weights):
            hidden = forward(weights, ids, training=True)
            return ops.mean(ops.square(ops.cast(hidden, "float32")))

        return gradients(loss, weights, ops.ones(()))

    def step(weights, moments, ids):
        return optimizer.stateless_apply(moments, gradient(weights, ids), weights)

    weights, moments = (
        [(tuple(w.shape), w.dtype) for w in variables]
        for variables in (model.trainable_variables, optimizer.variables)
    )
    ids = ((batch, length), "int32")
    inputs = {
        "forward": (forward, [weights, ids]),
        "gradient": (gradient, [weights, ids]),
        "step": (step, [weights, moments, ids]),
    }
    return {mode: compile_for(device, *inputs[mode]) for mode in modes}


def report(title: str, by_peer: dict[str, dict[str, dict]]) -> None:
    """Prints a table of each mode, with ratios of memory to full attention's."""
    for mode in next(iter(by_peer.values())):
        base = by_peer.get("full attention", {}).get(mode, {}).get("temporary_mib")
        measuring.print_table(
            f"{title}, {mode}",
            ["", "cycles, M", "temporaries, MiB", "of full", "accessed, MiB", "loops", "took, s"],
            [
                [
                    peer,
                    _or_not(found[mode]["cycles"], ",.1f"),
                    f"{found[mode]['temporary_mib']:,.0f}",
                    found[mode]["temporary_mib"] / base if base else "",
                    _or_not(found[mode]["accessed_mib"], ",.0f"),
                    found[mode]["loops"],
                    f"{found[mode]['seconds']:.1f}",
                ]
                for peer, found in by_peer.items()
            ],
        )


def _or_not(value: float | None, form: str) -> str:
    return "does not fit" if value is None else format(value, form)


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "4096,16384",
    batch: Annotated[int, typer.Option(help="Sequences in a batch, of attention alone.")] = 4,
    layers: Annotated[int, typer.Option(help="Encoder blocks; 0 for attention alone.")] = 12,
    step_layers: Annotated[
        int, typer.Option(help="Encoder blocks of a training step; 0 for no such step.")
    ] = 2,
    dtype: Annotated[
        str, typer.Option(help="The encoder's policy: mixed_bfloat16, bfloat16 or float32.")
    ] = "mixed_bfloat16",
    peers: Annotated[str, typer.Option(help=f"Of {', '.join(ATTENTIONS)}.")] = ",".join(
        name for name in ATTENTIONS if name != "Model Garden" or BACKEND == "tensorflow"
    ),
) -> None:
    """Compiles attention, and an encoder and its training step (one sequence), for a TPU v5e."""
    results: dict[str, dict[int, dict]] = {"attention": {}, "encoder": {}, "step": {}}
    chosen = peers.split(",")
    of_attention = dtype.removeprefix("mixed_")
    for length in [int(part) for part in lengths.split(",")]:
        found = {
            peer: attention_in_both_modes(peer, length, batch, of_attention) for peer in chosen
        }
        results["attention"][length] = found
        report(f"attention, length {length}, batch {batch}, {of_attention}", found)
        for subject, count, modes in (
            ("encoder", layers, ("forward", "gradient")),
            ("step", step_layers, ("step",)),
        ):
            if not count:
                continue
            results[subject][length] = found = {
                peer: encoder_in_all_modes(peer, length, 1, count, dtype, modes)
                for peer in ENCODERS
                if peer.removesuffix(" rematerialised") in chosen
            }
            report(f"encoder of {count} layers, length {length}, batch 1, {dtype}", found)
    name = f"tpu_compile_{BACKEND}_{dtype}_{layers}layers_batch{batch}"
    path = measuring.write_json(name, {"topology": TPU, "results": results})
    panels: dict[str, dict[str, dict[int, float]]] = {}
    for subject, by_length in results.items():
        for mode in next(iter(next(iter(by_length.values())).values())) if by_length else ():
            panels[f"{subject}, {mode}"] = measuring.lines_of(
                by_length, lambda modes, mode=mode: modes[mode]["cycles"] or float("nan")
            )
    print(f"Wrote {path} and {measuring.plot(name, panels, 'million cycles')}")


if __name__ == "__main__":
    typer.run(main)
