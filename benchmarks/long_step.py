"""One training step on a very long sequence: `python -m benchmarks.long_step`.

The base model with a classification head, compiled and fitted as a user would, with
rematerialisation (`gradient_checkpointing`). Prints what it took, and whether loss and weights are
finite after it: a gradient that is not would leave weights that are not, either.
"""

import resource
import time
from typing import Annotated

import numpy as np
import typer

from benchmarks import measuring

GIBI = 2**20  # in KiB, which the system counts in


def main(
    length: Annotated[int, typer.Option(help="Tokens of the sequence.")] = 65536,
    layers: Annotated[int, typer.Option(help="Encoder blocks.")] = 12,
    dtype: Annotated[str, typer.Option(help="Dtype policy.")] = "float32",
    steps: Annotated[int, typer.Option(help="Training steps.")] = 1,
    remat: Annotated[bool, typer.Option(help="Whether to rematerialise.")] = True,
) -> None:
    """Trains for a step, in this process, and reports memory and time."""
    import keras

    import bigbird_tf as bb

    keras.utils.set_random_seed(0)
    config = bb.BigBirdConfig(
        num_hidden_layers=layers,
        max_position_embeddings=length,
        gradient_checkpointing=remat,
        num_labels=3,
    )
    model = bb.BigBirdForSequenceClassification(config, dtype=dtype)
    model.compile(optimizer=keras.optimizers.AdamW(1e-4), jit_compile=False)
    rng = np.random.default_rng(0)
    ids = rng.integers(5, config.vocab_size, (1, length), dtype=np.int32)
    mask = np.ones_like(ids)
    mask[:, length - length // 50 :] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    built = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIBI
    start = time.perf_counter()
    losses = [
        float(model.train_on_batch(inputs, np.array([1]), return_dict=True)["loss"])
        for _ in range(steps)
    ]
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIBI
    finite = all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)
    result = {
        "length": length,
        "layers": layers,
        "dtype": dtype,
        "rematerialised": remat,
        "steps": steps,
        "losses": losses,
        "weights_are_finite": bool(finite),
        "seconds": seconds,
        "built_gib": built,
        "peak_gib": peak,
    }
    measuring.print_table("a training step", ["", "value"], [[k, v] for k, v in result.items()])
    name = f"long_step_{dtype}_{layers}layers_{length}"
    print(f"Wrote {measuring.write_json(name, {'results': result})}")


if __name__ == "__main__":
    typer.run(main)
