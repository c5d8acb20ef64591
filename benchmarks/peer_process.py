"""Times one peer in a process of its own, and says how much memory it took.

`python -m benchmarks.peer_process PEER MODE …` prints one line of JSON. `benchmarks.model` and
`benchmarks.memory` call it. A peer is a whole model; or, with `--layers 0`, attention alone.
"""

import gc
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from benchmarks import attention_peers

VOCABULARY = 50358


class Work(NamedTuple):
    """What a peer does.

    Attributes:
        run: Does it once.
        trace: Traces the graph that `run` runs, where there is one.
    """

    run: Callable
    trace: Callable | None = None


def _ids(batch: int, length: int) -> np.ndarray:
    return np.random.RandomState(0).randint(3, VOCABULARY, (batch, length)).astype("int32")


def _tensorflow_step(model, call, ids, jit_compile):
    """A training step on the mean square of the output, with AdamW."""
    import tensorflow as tf

    def step(ids):
        with tf.GradientTape() as tape:
            hidden = call(ids)
            loss = tf.reduce_mean(tf.square(tf.cast(hidden, tf.float32)))
        return loss, tape.gradient(loss, model.trainable_variables)

    return tf.function(step, jit_compile=jit_compile)


def bigbird_tf(mode, batch, length, layers, dtype, jit_compile=False, **config) -> Work:
    """Ours; as a graph, or under XLA."""
    import keras
    import tensorflow as tf

    import bigbird_tf as bb

    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[dtype]
    settings = bb.BigBirdConfig(
        num_hidden_layers=layers, max_position_embeddings=max(length, 4096), **config
    )
    model = bb.BigBirdModel(settings, add_pooling_layer=False, dtype=policy)
    ids = tf.constant(_ids(batch, length))
    if mode == "forward":
        forward = tf.function(lambda ids: model(ids)["last_hidden_state"], jit_compile=jit_compile)
        trace = partial(forward.get_concrete_function, ids)
        return Work(lambda: forward(ids)[0, 0, 0].numpy(), trace)
    optimizer = keras.optimizers.AdamW(1e-4)
    optimizer.build(model.trainable_variables)
    gradients = _tensorflow_step(
        model, lambda ids: model(ids, training=True)["last_hidden_state"], ids, jit_compile
    )

    @tf.function
    def step():
        loss, grads = gradients(ids)
        optimizer.apply(grads, model.trainable_variables)
        return loss

    return Work(lambda: step().numpy(), step.get_concrete_function)


def model_garden(mode, batch, length, layers, dtype, jit_compile=False) -> Work:
    """The encoder of `tf-models-official`; float32 only."""
    import tensorflow as tf
    import tf_keras
    from official.projects.bigbird.encoder import BigBirdEncoder

    model = BigBirdEncoder(
        VOCABULARY, num_layers=layers, max_position_embeddings=length, type_vocab_size=2
    )
    ids = tf.constant(_ids(batch, length))
    inputs = {
        "input_word_ids": ids,
        "input_mask": tf.ones_like(ids),
        "input_type_ids": tf.zeros_like(ids),
    }

    def call(_, training):
        return model(inputs, training=training)["sequence_output"]

    if mode == "forward":
        forward = tf.function(lambda ids: call(ids, False), jit_compile=jit_compile)
        trace = partial(forward.get_concrete_function, ids)
        return Work(lambda: forward(ids)[0, 0, 0].numpy(), trace)
    optimizer = tf_keras.optimizers.AdamW(1e-4)
    optimizer.build(model.trainable_variables)
    gradients = _tensorflow_step(model, lambda ids: call(ids, True), ids, jit_compile)

    @tf.function
    def step():
        loss, grads = gradients(ids)
        pairs = zip(grads, model.trainable_variables, strict=True)
        optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])
        return loss

    return Work(lambda: step().numpy(), step.get_concrete_function)


def transformers(mode, batch, length, layers, dtype, attention_type="block_sparse") -> Work:
    """`transformers` on torch; in bfloat16 the weights are bfloat16."""
    import torch
    from transformers import BigBirdConfig, BigBirdModel

    config = BigBirdConfig(
        num_hidden_layers=layers,
        max_position_embeddings=max(length, 4096),
        attention_type=attention_type,
    )
    model = BigBirdModel(config, add_pooling_layer=False).to(getattr(torch, dtype))
    ids = torch.tensor(_ids(batch, length)).long()
    if mode == "forward":
        model.eval()

        def forward():
            with torch.no_grad():
                model(ids)

        return Work(forward)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step():
        optimizer.zero_grad()
        model(ids).last_hidden_state.float().square().mean().backward()
        optimizer.step()

    return Work(step)


RELATIVE = {"position_embedding_type": "relative"}
# Of the paper's base models.
ETC = {
    "construction": "etc",
    "num_global_tokens": 230,
    "block_size": 84,
    "num_random_blocks": 0,
}
PEERS = {
    "bigbird_tf": bigbird_tf,
    "bigbird_tf XLA": lambda *a: bigbird_tf(*a, jit_compile=True),
    "bigbird_tf rematerialised": lambda *a: bigbird_tf(*a, gradient_checkpointing=True),
    "bigbird_tf relative": lambda *a: bigbird_tf(*a, **RELATIVE),
    "bigbird_tf ETC": lambda *a: bigbird_tf(*a, **ETC),
    "bigbird_tf ETC relative": lambda *a: bigbird_tf(*a, **ETC, **RELATIVE),
    "transformers block_sparse": transformers,
    "transformers original_full": lambda *a: transformers(*a, attention_type="original_full"),
    "Model Garden graph": model_garden,
    "Model Garden XLA": lambda *a: model_garden(*a, jit_compile=True),
}


def build(peer: str, mode: str, length: int, layers: int, dtype: str, batch: int) -> Work:
    """Builds a whole model, or attention alone for no layers, whose step is its gradient."""
    if layers:
        return PEERS[peer](mode, batch, length, layers, dtype)
    mode = dict(zip(("forward", "step"), attention_peers.MODES, strict=True))[mode]
    return Work(attention_peers.PEERS[peer].build(length, batch, dtype, 1)[mode])


def main(
    peer: str,
    mode: Annotated[str, typer.Argument(help="forward or step.")],
    length: int = 4096,
    layers: Annotated[int, typer.Option(help="Encoder blocks; 0 for attention alone.")] = 12,
    dtype: str = "float32",
    batch: int = 1,
    repeats: int = 1,
) -> None:
    """Builds the peer, traces it, runs it once to warm up, then `repeats` times."""
    work = build(peer, mode, length, layers, dtype, batch)
    gc.collect()
    # The peak begins anew, or a short one would hide behind that of building.
    Path("/proc/self/clear_refs").write_text("5")
    result = {
        "built_mib": _status_mib("VmRSS"),
        "trace": _seconds(work.trace) if work.trace else 0.0,
        "first": _seconds(work.run),
        "seconds": [_seconds(work.run) for _ in range(repeats)],
    }
    print(json.dumps({**result, "peak_mib": _status_mib("VmHWM")}))


def _status_mib(name: str) -> float:
    """Reads one of the kernel's numbers about this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _seconds(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    typer.run(main)
