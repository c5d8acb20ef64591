"""Pre-training of the base model on a GPU, killed and not: `python -m benchmarks.gpu_training`.

`prepare FILE` writes token ids of the sources and the documentation of this machine. `run FILE`,
with KERAS_BACKEND=jax on a machine with a GPU and without TensorFlow, trains on them three times
with `fit` and `bb.TrainingCheckpoint`: twice in peace, which shows by how much two runs differ
where sums on a GPU have no order, and once killed (SIGKILL) at moments that are drawn.
`callbacks FILE` says what callbacks add to a step.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer

from benchmarks import measuring
from benchmarks.gpu_step import MASK, SHARE
from examples.train.killed_job import plot, read_losses, run_and_kill, texts_of_this_machine

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
OURS = "Throughput, TrainingCheckpoint"
RUNS = ("in peace", "in peace again", "killed")
# Of an H100 in bfloat16, without sparsity, by the data sheet.
PEAK_FLOPS = 989e12

Ids = Annotated[Path, typer.Argument(help="File of token ids, .npy.")]
Steps = Annotated[int, typer.Option(help="Optimizer steps of a run.")]
StepsPerEpoch = Annotated[int, typer.Option(help="After which the loss is written.")]
EverySteps = Annotated[int, typer.Option(help="Steps between two checkpoints.")]
BatchSize = Annotated[int, typer.Option(help="Sequences of a step.")]
Layers = Annotated[int, typer.Option(help="Of the model, whose width is 64 a head.")]
Heads = Annotated[int, typer.Option(help="Of each layer.")]
Dtype = Annotated[str, typer.Option(help="Dtype policy.")]


class Batches(keras.utils.PyDataset):
    """Batches of masked LM, each drawn by its number: rows of ids, and words that are hidden."""

    def __init__(self, ids: np.ndarray, batch_size: int, count: int):
        super().__init__()
        self.ids, self.batch_size, self.count = ids, batch_size, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple:
        rng = np.random.default_rng(index)
        ids = self.ids[rng.integers(0, len(self.ids), self.batch_size)].astype("int32")
        is_masked = rng.random(ids.shape) < SHARE
        inputs = {
            "input_ids": np.where(is_masked, MASK, ids).astype("int32"),
            "attention_mask": np.ones_like(ids),
        }
        return inputs, np.where(is_masked, ids, -100).astype("int32")


@app.command()
def prepare(
    file: Ids,
    tokenizer: Annotated[str, typer.Option(help="Directory or hub repository.")],
    megabytes: Annotated[float, typer.Option(help="Of text, at least.")] = 32.0,
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 4096,
) -> None:
    """Writes ids of text that is on this machine, documents one behind the other."""
    import bigbird_tf as bb

    found = bb.Tokenizer.from_pretrained(tokenizer)
    separator = np.array([found.sep_token_id], "uint16")
    parts = [
        part
        for text in texts_of_this_machine(int(megabytes * 1e6))
        for part in (np.array(found.tokenize(text), "uint16"), separator)
    ]
    ids = np.concatenate(parts)
    ids = ids[: len(ids) // length * length].reshape(-1, length)
    np.save(file, ids)
    print(f"{ids.size:,} tokens in {len(ids):,} sequences: {file}")


def make_model(length: int, layers: int, heads: int, dtype: str) -> keras.Model:
    """Returns a masked language model of a width of 64 a head."""
    import bigbird_tf as bb

    keras.utils.set_random_seed(1)
    config = bb.BigBirdConfig(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=64 * heads,
        intermediate_size=256 * heads,
        max_position_embeddings=length,
    )
    return bb.BigBirdForMaskedLM(config, dtype=dtype)


@app.command()
def train(
    file: Ids,
    output: Annotated[str, typer.Argument(help="Start of the names of what is written.")],
    steps: Steps = 600,
    steps_per_epoch: StepsPerEpoch = 10,
    every_steps: EverySteps = 50,
    batch_size: BatchSize = 4,
    layers: Layers = 12,
    heads: Heads = 12,
    dtype: Dtype = "mixed_bfloat16",
) -> None:
    """Trains once, or goes on."""
    import bigbird_tf as bb

    ids = np.load(file)
    model = make_model(ids.shape[1], layers, heads, dtype)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=3e-4, warmup_steps=steps // 10, alpha=0.1
    )
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0))
    model.fit(
        Batches(ids, batch_size, steps),
        epochs=steps // steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        callbacks=[
            bb.Throughput(peak_flops=PEAK_FLOPS),
            keras.callbacks.CSVLogger(f"{output}.csv", append=True),
            bb.TrainingCheckpoint(f"{output}.checkpoints", every_steps=every_steps),
        ],
        shuffle=False,
        verbose=0,
    )
    np.savez(f"{output}.npz", *model.get_weights())


def largest_difference(first: Path, second: Path) -> float:
    """Returns the difference of two runs' weights, as a share of the norm of all."""
    mine, others = np.load(first), np.load(second)
    differences = sum(float(np.sum((mine[name] - others[name]) ** 2)) for name in mine.files)
    return (differences / sum(float(np.sum(mine[name] ** 2)) for name in mine.files)) ** 0.5


@app.command()
def run(
    file: Ids,
    picture: Annotated[Path, typer.Option(help="Where the curves go.")] = Path("gpu_training.png"),
    kills: Annotated[int, typer.Option(help="How often the last run is killed.")] = 3,
    seconds: Annotated[float, typer.Option(help="How long after an epoch's end at most.")] = 2.0,
    steps: Steps = 600,
    steps_per_epoch: StepsPerEpoch = 10,
    every_steps: EverySteps = 50,
    batch_size: BatchSize = 4,
    layers: Layers = 12,
    heads: Heads = 12,
    dtype: Dtype = "mixed_bfloat16",
) -> None:
    """Trains three times, and compares."""
    sizes = {"steps": steps, "steps-per-epoch": steps_per_epoch, "every-steps": every_steps}
    sizes |= {"batch-size": batch_size, "layers": layers, "heads": heads}
    options = [part for name, size in sizes.items() for part in (f"--{name}", str(size))]
    folder = Path(tempfile.mkdtemp(prefix="gpu_training_"))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
    results: dict[str, Any] = {"options": sizes, "dtype": dtype, "ends": {}, "losses": {}}
    for name in RUNS:
        output = folder / name.replace(" ", "_")
        program = [sys.executable, "-m", "benchmarks.gpu_training", "train", str(file), str(output)]
        start, losses = time.monotonic(), Path(f"{output}.csv")
        results["ends"][name] = run_and_kill(
            [*program, *options, "--dtype", dtype],
            losses,
            steps // steps_per_epoch,
            kills if name == "killed" else 0,
            seed=1,
            seconds=seconds,
        )
        lines = read_losses(losses, "tokens_per_second", "utilization")
        results["losses"][name] = {line["epoch"]: line["loss"] for line in lines}
        results.setdefault("throughput", {})[name] = {
            column: float(np.nanmedian([line[column] for line in lines]))
            for column in ("tokens_per_second", "utilization")
        }
        print(f"{name}: {time.monotonic() - start:.0f} s, {results['ends'][name]}", flush=True)
        shutil.rmtree(f"{output}.checkpoints")
    outputs = [folder / f"{name.replace(' ', '_')}.npz" for name in RUNS]
    for name, other in zip(RUNS[1:], outputs[1:], strict=True):
        in_peace, losses = (results["losses"][which] for which in (RUNS[0], name))
        results[f"{name}, differences"] = {
            "losses": max(abs(in_peace[epoch] - losses[epoch]) for epoch in in_peace),
            "weights": largest_difference(outputs[0], other),
        }
        print(name, results[f"{name}, differences"], flush=True)
    print(results["throughput"], flush=True)
    curves = {name: results["losses"][name] for name in (RUNS[0], "killed")}
    plot(picture, curves, results["ends"]["killed"], steps_per_epoch, "Pre-training on an H100")
    shutil.rmtree(folder)
    print(measuring.write_json(f"gpu_training_{dtype}_{layers}layers", results))


class Waiting(keras.callbacks.Callback):
    """Does nothing at the end of a step, and Keras waits for it."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Does nothing."""


@app.command()
def callbacks(
    file: Ids,
    steps: Steps = 42,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 3,
    batch_size: BatchSize = 4,
    layers: Layers = 12,
    heads: Heads = 12,
    dtype: Dtype = "mixed_bfloat16",
) -> None:
    """Times a step of `fit` under several callbacks, in turn, between two draws of batches."""
    import bigbird_tf as bb

    drawn: dict[int, float] = {}

    class Timed(Batches):
        def __getitem__(self, index: int) -> tuple:
            drawn[index] = time.perf_counter()
            return super().__getitem__(index)

    ids = np.load(file)
    model = make_model(ids.shape[1], layers, heads, dtype)
    model.compile(bb.ApplyIfFinite(keras.optimizers.AdamW(1e-4, global_clipnorm=1.0)))
    model.fit(Timed(ids, batch_size, 3), verbose=0, shuffle=False)
    first, last = steps // 4, steps - 2
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            # It writes once, after the last step.
            ours = [bb.Throughput(), bb.TrainingCheckpoint(folder, every_steps=10**6)]
            for name, given in {
                OURS: ours,
                "the same, and one that Keras waits for": [*ours, Waiting()],
            }.items():
                shutil.rmtree(folder, ignore_errors=True)
                data = Timed(ids, batch_size, steps)
                model.fit(data, verbose=0, shuffle=False, callbacks=given)
                times.setdefault(name, []).append((drawn[last] - drawn[first]) / (last - first))
    medians = {name: float(np.median(of)) for name, of in times.items()}
    tokens = batch_size * ids.shape[1]
    rows = [
        [name, of * 1e3, f"{tokens / of:,.0f}", of / medians[OURS]] for name, of in medians.items()
    ]
    measuring.print_table("a step of fit", ["callbacks", "ms", "tokens a second", "ratio"], rows)
    print(measuring.write_json(f"gpu_callbacks_{dtype}_{layers}layers", {"seconds": medians}))


if __name__ == "__main__":
    app()
