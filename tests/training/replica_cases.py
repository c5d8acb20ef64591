"""Trains small models on so many replicas, one case after the other, and writes what came out.

    python -m tests.training.replica_cases REPLICAS FILE.npz CASE…

One process cannot hold two strategies over several devices of its own, so each number of replicas
has a process. Names in the file are `case: what`.
"""

import functools
import sys
import tempfile
import traceback

import keras
import numpy as np
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.layers import Encoder
from bigbird_tf.nn import Dropout
from bigbird_tf.training import ApplyIfFinite, GlobalBatchLoss, sum_gradients_first
from tests.contract import LENGTH, SEPARATOR, VOCABULARY, WIDTH, randomize, tiny_config
from tests.training.interrupted_runs import InterruptAfter, Interruption

# Seven examples in batches of four: with two replicas 2 + 2 and 2 + 1, with four 1 + 1 + 1 + 1 and
# 1 + 1 + 1 + 0. Nine end in a batch of one, which leaves a replica without any.
GLOBAL_BATCH = 4
FULL = {"attention_type": "original_full"}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def make(cls, *, dtype=None, **fields):
    """Returns a model without dropout whose weights are always the same."""
    keras.utils.set_random_seed(5)
    model = cls(tiny_config(**{"num_hidden_layers": 1, **NO_DROPOUT, **fields}), dtype=dtype)
    randomize(model)
    return model


def ids_of(count: int, *shape: int) -> np.ndarray:
    """Returns ids with the separator as sixth of each row."""
    ids = np.random.default_rng(1).integers(SEPARATOR + 1, VOCABULARY, (count, *shape, LENGTH))
    ids[..., 5] = SEPARATOR
    return ids.astype("int32")


def classes_of(*shape: int, highest: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, highest, shape).astype("int32")


def unequal_weights(count: int) -> np.ndarray:
    """Returns weights of tokens: each row has another number of those that count."""
    return (np.arange(LENGTH) < 1 + 5 * np.arange(count)[:, None]).astype("float32")


def dataset(*arrays) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(arrays).batch(GLOBAL_BATCH)


def of_unknown_length(data: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset whose tensors have lengths that are not known before they are there."""

    def hide(tensor):
        shape = [*tensor.shape[:1], *[None] * (len(tensor.shape) - 1)]
        return tf.ensure_shape(tf.py_function(lambda x: x, [tensor], tensor.dtype), shape)

    return data.map(lambda *batch: tf.nest.map_structure(hide, batch))


def fit(strategy, cls, data, *, optimizer=None, dtype=None, fields=None, epochs=2) -> dict:
    """Trains in a strategy's scope; returns losses, metrics and weights."""
    with strategy.scope():
        model = make(cls, dtype=dtype, **(fields or {}))
        optimizer = optimizer or keras.optimizers.SGD(0.1)
    # The default optimizer is made in the scope anyhow.
    model.compile(optimizer)
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0).history
    results = {f"fit_{name}": values for name, values in history.items()}
    if epochs > 1:
        evaluated = model.evaluate(data, verbose=0, return_dict=True)
        results |= {f"evaluate_{name}": value for name, value in evaluated.items()}
    if optimizer == "auto":
        results |= saved_optimizer_of(model)
    return results | weights_of(model)


def saved_optimizer_of(model) -> dict:
    """Returns the state of the optimizer, and what is excluded from decay, in the model's file."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        optimizer = keras.saving.load_model(f"{folder}/model.keras").optimizer
    decays = [optimizer._use_weight_decay(v) for v in optimizer._trainable_variables]
    return {
        "decays": decays,
        # By number: their names have a count of the models that the process has made.
        **{f"saved {number}": v.numpy() for number, v in enumerate(optimizer.variables)},
    }


def weights_of(model) -> dict:
    return {weight.path.split("/", 1)[1]: weight.numpy() for weight in model.weights}


def default_optimizer(strategy):
    # Gradients' norm is above 1, to which they are clipped.
    data = dataset(ids_of(8), classes_of(8, highest=3))
    fields = {"num_labels": 3}
    return fit(strategy, bb.BigBirdForSequenceClassification, data, optimizer="auto", fields=fields)


def uneven_classification(strategy):
    data = dataset(ids_of(7), classes_of(7, highest=2), np.arange(1.0, 8.0))
    return fit(strategy, bb.BigBirdForSequenceClassification, data, fields=FULL)


def masked_lm_and_a_replica_without_examples(strategy):
    # Nine examples: the last batch is of one.
    data = of_unknown_length(dataset(ids_of(9), ids_of(9), unequal_weights(9)))
    return fit(strategy, bb.BigBirdForMaskedLM, data)


def question_answering(strategy):
    # Behind the question, where answers are.
    labels = {name: 6 + classes_of(7, highest=9) for name in ("start_logits", "end_logits")}
    return fit(strategy, bb.BigBirdForQuestionAnswering, dataset(ids_of(7), labels), fields=FULL)


def mixed_bfloat16_and_rematerialization(strategy):
    data = dataset(ids_of(7), classes_of(7, LENGTH, highest=3), unequal_weights(7))
    fields = {"gradient_checkpointing": True, "num_labels": 3}
    model = bb.BigBirdForTokenClassification
    return fit(strategy, model, data, dtype="mixed_bfloat16", fields=fields)


def custom_loop(strategy):
    """The guide's loop: a step in each replica, with the model's loss and the default optimizer."""
    data = dataset(ids_of(7), ids_of(7), unequal_weights(7))
    with strategy.scope():
        model = make(bb.BigBirdForCausalLM)
        model.compile()
        model.optimizer.build(model.trainable_variables)

    def step(batch):
        ids, labels, weights = batch
        with tf.GradientTape() as tape:
            logits = model(ids, training=True)
            loss = model.compute_loss(ids, labels, logits, weights)
        gradients = tape.gradient(loss, model.trainable_weights)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return loss

    @tf.function
    def run(batch):
        return strategy.reduce("SUM", strategy.run(step, (batch,)), axis=None)

    losses = [run(batch) for batch in strategy.experimental_distribute_dataset(data)]
    return {"losses": losses, **weights_of(model)}


def optimizers(strategy):
    """What is not linear in the gradients, in a model of one layer."""
    sgd = functools.partial(keras.optimizers.SGD, 0.1)
    scaled = keras.optimizers.LossScaleOptimizer
    table = {
        "global_clipnorm": lambda: sgd(global_clipnorm=0.5),
        "clipnorm": lambda: sgd(clipnorm=0.3),
        "clipvalue": lambda: sgd(clipvalue=0.4),
        "scaled": lambda: scaled(sgd(global_clipnorm=0.5), initial_scale=64.0),
        # The default scale overflows, in some of the replicas perhaps.
        "overflow": lambda: scaled(sgd(global_clipnorm=0.5)),
        "if_finite": lambda: ApplyIfFinite(
            sgd(global_clipnorm=0.5), loss_scaling=True, initial_scale=64.0
        ),
        "accumulation": lambda: sgd(gradient_accumulation_steps=2, global_clipnorm=0.5),
    }
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    results = {}
    for name, make_optimizer in table.items():
        keras.utils.set_random_seed(1)
        with strategy.scope():
            inputs = keras.Input((3,))
            dtype = "mixed_float16" if name in ("scaled", "overflow", "if_finite") else None
            model = keras.Model(inputs, keras.layers.Dense(1, dtype=dtype)(inputs))
            model.compile(make_optimizer(), "mse")
            sum_gradients_first(model.optimizer)
        uses_merge_call = strategy.extended._use_merge_call
        if name == "accumulation":
            # As on GPUs and TPUs; on CPUs, TensorFlow cannot add up within a condition.
            strategy.extended._use_merge_call = lambda: False
        model.fit(dataset(x, x[:, :1] * 2), epochs=3, shuffle=False, verbose=0)
        strategy.extended._use_merge_call = uses_merge_call
        values = strategy.experimental_local_results(model.layers[-1].kernel.value)
        assert all(np.array_equal(value.numpy(), values[0].numpy()) for value in values), name
        assert np.isfinite(values[0].numpy()).all(), name
        # How many steps are left out depends on the size of a replica's part.
        if name != "overflow":
            results[name] = values[0].numpy()
    return results


def other_heads(strategy):
    """One uneven batch for each head and each kind of label that no other case has."""
    ids, classes = ids_of(3), classes_of(3, highest=2)
    sequences = bb.BigBirdForSequenceClassification
    several = {"num_labels": 3, "problem_type": "multi_label_classification"}
    names = ("prediction_logits", "seq_relationship_logits")
    pairs = dict(zip(names, (ids, classes), strict=True))
    weights = dict(zip(names, (unequal_weights(3), np.array([1.0, 0.0, 2.0])), strict=True))
    cases = {
        "several": (sequences, several, (ids, classes_of(3, 3, highest=2))),
        "number": (sequences, {"num_labels": 1}, (ids, np.array([[0.5], [2.0], [-1.0]]))),
        "choice": (bb.BigBirdForMultipleChoice, {}, (ids_of(3, 2), classes)),
        "two": (bb.BigBirdForPreTraining, {}, (ids, pairs, weights)),
    }
    results = {}
    for name, (cls, fields, arrays) in cases.items():
        result = fit(strategy, cls, dataset(*arrays), fields={**FULL, **fields}, epochs=1)
        results |= {f"{name} {key}": value for key, value in result.items()}
    return results


def going_on_from_one_device(strategy):
    """Interrupted in an epoch, with one device; then the strategy goes on there."""
    ids, classes = ids_of(11), classes_of(11, highest=2)

    def train(strategy, *callbacks):
        with strategy.scope():
            model = make(bb.BigBirdForSequenceClassification, **FULL)
            model.compile(keras.optimizers.SGD(0.1))
        data = tf.data.Dataset.from_tensor_slices((ids, classes))
        options = {"shuffle": False, "verbose": 0, "callbacks": callbacks}
        history = model.fit(data.batch(GLOBAL_BATCH), epochs=3, **options).history
        return {"loss": history["loss"][-2:], **weights_of(model)}

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = bb.TrainingCheckpoint(folder, every_steps=2)
        # In the second epoch of three steps.
        try:
            train(tf.distribute.get_strategy(), checkpoint, InterruptAfter(5))
        except Interruption:
            return train(strategy, checkpoint)
    raise AssertionError("it was not interrupted")


class BatchMean(keras.losses.Loss):
    """A loss that reduces by itself."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_pred - y_true))


def losses(strategy):
    """Three examples: with two replicas 2 + 1, with four 1 + 1 + 1 + 0. All weigh differently."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4, 5)).astype("float32")
    labels = np.array([[0, 1, -1, 3], [-1, -1, -1, -1], [2, -1, 0, 4]])
    weights = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.0, 3.0], [0.5, 2.0, 0.0, 0.0]])
    crossentropy = keras.losses.SparseCategoricalCrossentropy
    squares = keras.losses.MeanSquaredError
    table = {"itself": (BatchMean(), logits[:, 0], logits[:, 1], None)}
    for reduction in ("sum", "mean", "sum_over_batch_size", "mean_with_sample_weight"):
        plain = crossentropy(from_logits=True, reduction=reduction)
        masked = crossentropy(from_logits=True, reduction=reduction, ignore_class=-1)
        one = squares(reduction=reduction)
        table |= {
            f"{reduction}": (plain, abs(labels), logits, None),
            f"{reduction} weighted": (plain, abs(labels), logits, weights),
            f"{reduction} masked": (masked, labels, logits, None),
            f"{reduction} masked and weighted": (masked, labels, logits, weights),
            f"{reduction} column": (one, logits[:, 0, :1], logits[:, 1, :1], weights[:, 1]),
        }

    def step(loss, labels, logits, weights):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = GlobalBatchLoss(loss)(labels, logits, weights)
        return value, tape.gradient(value, logits)

    def split(array):
        if array is None:
            return None
        parts = np.array_split(array, strategy.num_replicas_in_sync)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    results = {}
    for name, (loss, *arrays) in table.items():
        value, gradient = strategy.run(step, (loss, *map(split, arrays)))
        results[name] = strategy.experimental_local_results(value)
        results[f"{name} gradient"] = np.concatenate(strategy.experimental_local_results(gradient))
    return results


def dropout(strategy):
    """What each replica drops: in two calls, in XLA, and in an encoder that computes twice."""
    with strategy.scope():
        keras.utils.set_random_seed(3)
        layer = Dropout(0.5)
        layer.build((1, 100))
        encoders = {}
        for name, is_rematerialized in (("kept", False), ("rematerialized", True)):
            keras.utils.set_random_seed(3)
            fields = {"num_hidden_layers": 1, "gradient_checkpointing": is_rematerialized}
            encoders[name] = Encoder(tiny_config(**FULL, **fields))
            encoders[name].build((1, 7, WIDTH))
            randomize(encoders[name])

    def drop(seed=None):
        return layer(tf.ones((1, 100)), training=True, seed=seed)

    # XLA itself cannot draw: TensorFlow lets it read variables of the first device only.
    compiled = tf.function(drop, jit_compile=True)

    def encode(encoder):
        inputs = tf.sin(tf.reshape(tf.range(7.0 * WIDTH), (1, 7, WIDTH)))
        with tf.GradientTape() as tape:
            outputs, _, _ = encoder(inputs, tf.ones((1, 7)), training=True)
            loss = tf.reduce_sum(outputs**2)
        kernel = encoder.blocks[0].attention.query_dense.kernel
        return outputs, tape.gradient(loss, kernel.value)

    calls = {
        "first": drop,
        "second": drop,
        "compiled": lambda: compiled(layer.draw_seed()),
        **{name: lambda encoder=encoder: encode(encoder) for name, encoder in encoders.items()},
    }
    results = {name: strategy.run(call) for name, call in calls.items()}
    for name in encoders:
        results[name], results[f"{name} gradient"] = results[name]
    return {
        name: np.stack(strategy.experimental_local_results(value))
        for name, value in results.items()
    }


CASES = {
    case.__name__: case
    for case in (
        default_optimizer,
        uneven_classification,
        masked_lm_and_a_replica_without_examples,
        question_answering,
        mixed_bfloat16_and_rematerialization,
        custom_loop,
        other_heads,
        going_on_from_one_device,
        optimizers,
        losses,
        dropout,
    )
}


def several_cpus(replicas: int) -> tf.distribute.Strategy:
    """Returns a strategy on so many CPUs, before TensorFlow has used any."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])


def main(replicas: str, path: str, *names: str) -> None:
    strategy = several_cpus(int(replicas))
    results = {}
    for name in names:
        try:
            found = CASES[name](strategy)
        except Exception:  # of one case; the others go on
            found = {"error": traceback.format_exc()}
        results |= {f"{name}: {key}": np.asarray(value) for key, value in found.items()}
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
