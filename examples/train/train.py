"""Pre-trains and fine-tunes, on one device or many: `python -m examples.train.train --help`.

What you copy, and change. All of it is Keras' `fit`, callbacks, schedules and optimizers.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import keras
import tensorflow as tf
import typer

import bigbird_tf as bb
from bigbird_tf.preprocessing import read_records
from examples.train.devices import BACKEND, find_devices

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
# Model, preprocessor, and fields of the data's lines, in the order in which it takes them.
TASKS = {
    "classification": (
        bb.BigBirdForSequenceClassification,
        bb.SequenceClassificationPreprocessor,
        ("text", "label"),
    ),
    "tokens": (
        bb.BigBirdForTokenClassification,
        bb.TokenClassificationPreprocessor,
        ("words", "label"),
    ),
    "choice": (
        bb.BigBirdForMultipleChoice,
        bb.MultipleChoicePreprocessor,
        ("text", "choices", "label"),
    ),
    "answers": (
        bb.BigBirdForQuestionAnswering,
        bb.QuestionAnsweringPreprocessor,
        ("question", "context", "answer_texts", "answer_starts"),
    ),
    "summaries": (
        bb.BigBirdPegasusForConditionalGeneration,
        bb.SummarizationPreprocessor,
        ("document", "summary"),
    ),
}

Steps = Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")]
StepsPerEpoch = Annotated[int, typer.Option(min=1, help="Steps between two validations.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Of all devices together.")]
Rate = Annotated[float, typer.Option(help="The highest learning rate.")]
MaxLength = Annotated[int, typer.Option(min=3, help="All inputs are padded to it.")]
Dtype = Annotated[
    str, typer.Option(help="Policy, such as mixed_bfloat16, which is best on TPUs and new GPUs.")
]
Replicas = Annotated[int, typer.Option(min=1, help="MirroredStrategy over so many GPUs (CPUs).")]
Tpu = Annotated[str | None, typer.Option(help="TPUStrategy on that TPU; local on its own VM.")]
ModelDevices = Annotated[
    int, typer.Option(min=1, help="On JAX: among so many devices each weight is shared out.")
]
StepsPerExecution = Annotated[
    int, typer.Option(min=1, help="Steps that a TPU takes before it answers, such as 50.")
]
Seed = Annotated[int, typer.Option(help="Of new weights, of dropout, and of the data's order.")]


@app.command()
def pretrain(
    records: Annotated[Path, typer.Argument(help="Directory of `bigbird-tf prepare`.")],
    output: Annotated[Path, typer.Argument(help="Where the model goes.")],
    model: Annotated[str | None, typer.Option(help="Start from this one's weights.")] = None,
    validation: Annotated[Path | None, typer.Option(help="Records to measure on.")] = None,
    width: Annotated[int, typer.Option(help="Of a new model; 64 to a head.")] = 512,
    layers: Annotated[int, typer.Option(help="Of a new model.")] = 8,
    block_size: Annotated[int, typer.Option(help="Of a new model.")] = 64,
    max_length: MaxLength = 4096,
    steps: Steps = 100_000,
    steps_per_epoch: StepsPerEpoch = 1000,
    batch_size: BatchSize = 32,
    learning_rate: Rate = 3e-4,
    dtype: Dtype = "float32",
    replicas: Replicas = 1,
    tpu: Tpu = None,
    model_devices: ModelDevices = 1,
    steps_per_execution: StepsPerExecution = 1,
    seed: Seed = 1,
) -> None:
    """Trains a masked language model on records of token ids."""

    def make_config() -> bb.BigBirdConfig:
        if model:
            return bb.BigBirdConfig.from_pretrained(model)
        return bb.BigBirdConfig(
            **bb.Tokenizer.from_pretrained(records / "tokenizer").config_fields,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=max(1, width // 64),
            intermediate_size=4 * width,
            max_position_embeddings=max_length,
            block_size=block_size,
        )

    keras.utils.set_random_seed(seed)
    devices = find_devices(replicas, tpu, model_devices, make_config)
    tokenizer = bb.Tokenizer.from_pretrained(records / "tokenizer")
    with devices.scope:
        made = (
            bb.BigBirdForMaskedLM.from_pretrained(model, dtype=dtype)
            if model
            else bb.BigBirdForMaskedLM(make_config(), dtype=dtype)
        )
        made.compile(make_optimizer(learning_rate, steps), steps_per_execution=steps_per_execution)
        preprocessor = bb.MaskedLMPreprocessor(tokenizer, max_length=max_length)
        arguments = {"batch_size": batch_size // devices.host[1], "shard": devices.host}
        data = read_records(records, preprocessor, seed=seed, **arguments)
        measured = validation and read_records(
            validation, preprocessor, training=False, **arguments
        )
        fit(made, data, measured, (steps, steps_per_epoch), output, devices.host)
    save(made, tokenizer, output, devices.host)


@app.command()
def finetune(
    task: Annotated[str, typer.Argument(help=f"One of {', '.join(TASKS)}.")],
    model: Annotated[str, typer.Argument(help="Pretrained directory, or the hub's repository.")],
    data: Annotated[Path, typer.Argument(help="JSON lines; their fields are in README.md.")],
    output: Annotated[Path, typer.Argument(help="Where the model goes.")],
    validation: Annotated[Path | None, typer.Option(help="JSON lines to measure on.")] = None,
    max_length: MaxLength = 4096,
    steps: Steps = 1000,
    steps_per_epoch: StepsPerEpoch = 100,
    batch_size: BatchSize = 8,
    learning_rate: Rate = 5e-5,
    dtype: Dtype = "float32",
    replicas: Replicas = 1,
    tpu: Tpu = None,
    model_devices: ModelDevices = 1,
    steps_per_execution: StepsPerExecution = 1,
    seed: Seed = 1,
) -> None:
    """Trains a head on examples of its task, from the weights of a pre-trained model."""
    if task not in TASKS:
        raise typer.BadParameter(f"{task!r} is none of {', '.join(TASKS)}.")
    model_class, preprocessor_class, fields = TASKS[task]
    config_class = model_class.config_class
    keras.utils.set_random_seed(seed)
    devices = find_devices(
        replicas, tpu, model_devices, lambda: config_class.from_pretrained(model)
    )
    tokenizer = bb.Tokenizer.from_pretrained(model)
    columns = read_columns(data, fields)
    names = label_names(columns[-1]) if fields[-1] == "label" and task != "choice" else None
    options = {"labels": names} if names else {}
    preprocessor = preprocessor_class(tokenizer, max_length=max_length, **options)
    labels = {"num_labels": len(names), "id2label": dict(enumerate(names))} if names else {}
    with devices.scope:
        made = model_class.from_pretrained(model, dtype=dtype, **labels)
        made.compile(make_optimizer(learning_rate, steps), steps_per_execution=steps_per_execution)
        size = batch_size // devices.host[1]

        def batches(columns: Sequence[Any], training: bool) -> tf.data.Dataset:
            """Strings become ids here, on the host: what is compiled sees numbers alone."""
            examples = tf.data.Dataset.from_tensor_slices(tuple(columns))
            examples = examples.shard(devices.host[1], devices.host[0])
            if training:
                examples = examples.shuffle(10_000, seed=seed).repeat()
            ready = examples.batch(size).map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
            # A long context becomes several inputs: each batch has as many again.
            ready = ready.rebatch(size, drop_remainder=training or replicas > 1 or bool(tpu))
            if not training:
                # Keras warns of data that do not say how many they are.
                count = sum(1 for _ in ready)
                ready = ready.apply(tf.data.experimental.assert_cardinality(count))
            return ready.prefetch(tf.data.AUTOTUNE)

        measured = validation and batches(read_columns(validation, fields), training=False)
        training = batches(columns, training=True)
        fit(made, training, measured, (steps, steps_per_epoch), output, devices.host)
    save(made, tokenizer, output, devices.host)


def make_optimizer(learning_rate: float, steps: int) -> keras.optimizers.Optimizer:
    """Returns AdamW with a warm-up over a twentieth of the steps, and a decay to a tenth.

    Steps whose gradients are not finite are skipped.
    """
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup, alpha=0.1
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return bb.ApplyIfFinite(optimizer)


def fit(
    model: keras.Model,
    data: tf.data.Dataset,
    validation: tf.data.Dataset | None,
    steps: tuple[int, int],
    output: Path,
    host: tuple[int, int],
) -> None:
    """Calls Keras' `fit`, whose epoch is a number of steps here: the data do not end.

    Called again after an interruption, it goes on from the last checkpoint. Several hosts write it
    together, so the output is where all of them reach it.
    """
    epoch = min(steps)
    checkpoint = bb.TrainingCheckpoint(f"{output}.checkpoints", every_steps=epoch)
    callbacks: list[keras.callbacks.Callback] = [bb.Throughput(), checkpoint]
    if host[0] == 0:
        callbacks.append(keras.callbacks.CSVLogger(f"{output}.csv", append=True))
    model.fit(
        data,
        epochs=-(-steps[0] // epoch),
        steps_per_epoch=epoch,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,  # the data are shuffled already
        verbose=2,
    )


def save(model: keras.Model, tokenizer: bb.Tokenizer, output: Path, host: tuple) -> None:
    """Writes what `from_pretrained`, `bigbird-tf predict` and `bigbird-tf export` take."""
    if host[0] == 0:
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)


def read_columns(path: Path, fields: Sequence[str]) -> list[Any]:
    """Returns the fields of all lines, each as a tensor; lists as ragged ones."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    columns = [[line[field] for line in lines] for field in fields]
    return [
        tf.ragged.constant(column) if isinstance(column[0], list) else tf.constant(column)
        for column in columns
    ]


def label_names(labels: Any) -> list[str] | None:
    """Returns the names that labels have; `None` if they are numbers."""
    if labels.dtype != tf.string:
        return None
    flat = getattr(labels, "flat_values", labels)
    return sorted({name.decode() for name in tf.reshape(flat, [-1]).numpy().tolist()} - {""})


if __name__ == "__main__":
    if BACKEND == "jax":
        # TensorFlow only reads the data there, and shall leave the devices alone.
        tf.config.set_visible_devices([], "GPU")
    app()
