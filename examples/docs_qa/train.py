"""How the documentation model is trained, from scratch and on, with `model.fit`."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf
from keras import ops

from bigbird_tf import BigBirdConfig, BigBirdForQuestionAnswering
from examples.docs_qa.dataset import IGNORED, MAX_LENGTH, EncodedSplit, training_windows
from examples.docs_qa.initial_weights import set_initial_weights
from examples.docs_qa.training_model import POINTERS, TrainingModel

__all__ = [
    "LOSS_WEIGHTS",
    "SPAN_LOSSES",
    "Recipe",
    "Stage",
    "TimeBudget",
    "build_model",
    "faster_dtype_policy",
    "train",
]

ENDLESS = 10**9  # The time budget ends a stage.
# Of `TrainingModel`'s outputs.
LOSS_WEIGHTS = {
    "start_logits": 1.0,
    "end_logits": 1.0,
    "name_logits": 0.5,
    "inside_logits": 2.0,
    "occurs_logits": 0.5,
    "noted_name_logits": 0.5,
    "noted_owner_logits": 1.0,
}
# Once trained, the other outputs are gone; new ones would shake what is learnt.
SPAN_LOSSES = {**dict.fromkeys(LOSS_WEIGHTS, 0.0), "start_logits": 1.0, "end_logits": 1.0}


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the length curriculum.

    Attributes:
        source: Key of the split whose windows are trained on.
        length: Pieces of a window.
        batch_size: Windows of a step.
        share: Share of the training time.
    """

    source: str
    length: int
    batch_size: int
    share: float


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        stages: The curriculum, from short to long.
        learning_rate, final_learning_rate: At the start, after the warm-up, and at the end.
        warmup_steps: Steps until the learning rate is reached.
        loss_weights: For each output of `TrainingModel` the weight of its loss.
        seed: Seed of the weights and of the data.
    """

    stages: tuple[Stage, ...]
    learning_rate: float = 1e-3
    final_learning_rate: float = 2e-4
    warmup_steps: int = 60
    loss_weights: Mapping[str, float] = dataclasses.field(default_factory=LOSS_WEIGHTS.copy)
    seed: int = 0


def faster_dtype_policy() -> str:
    """Returns the dtype policy whose matrix products are faster on this machine.

    Some CPUs have matrix units for bfloat16; others emulate it, slowly.
    """
    seconds = {}
    for policy, dtype in (("float32", tf.float32), ("mixed_bfloat16", tf.bfloat16)):
        left, right = tf.ones((2048, 1024), dtype), tf.ones((1024, 1024), dtype)
        tf.matmul(left, right).numpy()  # The first call sets things up.
        began = time.perf_counter()
        for _ in range(3):
            tf.matmul(left, right).numpy()
        seconds[policy] = time.perf_counter() - began
    # Mixed precision has casts besides: it must be clearly faster.
    return "mixed_bfloat16" if seconds["mixed_bfloat16"] < seconds["float32"] / 1.5 else "float32"


def build_model(
    vocab_size: int, sep_token_id: int, *, dtype: str = "float32", seed: int = 0, **fields
) -> BigBirdForQuestionAnswering:
    """Makes a new model: 4 layers, 256 wide, blocks of 32; see also `initial_weights`.

    Args:
        vocab_size: Number of pieces.
        sep_token_id: Id of `[SEP]`.
        dtype: Dtype policy.
        seed: Seed of the other weights.
        **fields: Other fields of the config.
    """
    keras.utils.set_random_seed(seed)
    config = BigBirdConfig(
        **{
            "vocab_size": vocab_size,
            "hidden_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
            # On CPUs, a GELU costs as much as the matrix products beside it.
            "hidden_act": "relu",
            "max_position_embeddings": MAX_LENGTH,
            "block_size": 32,
            # Minutes of training do not overfit.
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.05,
            "sep_token_id": sep_token_id,
            **fields,
        }
    )
    model = BigBirdForQuestionAnswering(config, dtype=dtype)
    set_initial_weights(model)
    return model


class TimeBudget(keras.callbacks.Callback):
    """Ends a `fit` when its time is over, and lets the learning rate follow the time.

    A schedule counted in steps would end early on a fast machine and never on a slow one.

    Args:
        recipe: Has the learning rates.
        begin: When training as a whole began, in seconds of `clock`.
        seconds: How long training as a whole takes.
        deadline: When this `fit` ends.
        clock: Tells the time.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        begin: float,
        seconds: float,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self.recipe = recipe
        self.begin = begin
        self.seconds = seconds
        self.deadline = deadline
        self.clock = clock

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the learning rate."""
        recipe = self.recipe
        step = int(ops.convert_to_numpy(self.model.optimizer.iterations)) + 1
        passed = min(1.0, (self.clock() - self.begin) / self.seconds)
        rate = recipe.learning_rate + passed * (recipe.final_learning_rate - recipe.learning_rate)
        self.model.optimizer.learning_rate = rate * min(1.0, step / recipe.warmup_steps)

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the clock."""
        if self.clock() >= self.deadline:
            self.model.stop_training = True


def _loss(name: str) -> keras.losses.Loss:
    if name in POINTERS:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    return keras.losses.BinaryCrossentropy(from_logits=True)


def train(
    model: BigBirdForQuestionAnswering,
    splits: Mapping[str, EncodedSplit],
    recipe: Recipe,
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    callbacks: Callable[[Stage], Sequence[keras.callbacks.Callback]] = lambda stage: (),
) -> list[dict]:
    """Trains a model within a given time.

    Args:
        model: The model; its weights change in place.
        splits: The stages' sources.
        recipe: How to train.
        seconds: How long. What one stage takes too long (its first step compiles the graph), the
            next has less; each does one step at least.
        clock: Tells the time. A clock of processor time makes the result depend less on what else
            the machine does.
        callbacks: Returns further Keras callbacks for a stage.

    Returns:
        For each stage a dictionary: `source`, `length`, `steps`, `seconds`, and the losses and
        metrics, means over the stage.
    """
    trainer = TrainingModel(model)
    trainer.build()
    optimizer = keras.optimizers.AdamW(
        recipe.learning_rate, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(trainer.trainable_variables)
    begin = clock()
    share = 0.0
    report = []
    for number, stage in enumerate(recipe.stages):
        share += stage.share
        # Compiling again makes a graph for the new length, of static shape; the optimizer with its
        # moments and its count of steps is the same.
        trainer.compile(
            optimizer=optimizer,
            loss={name: _loss(name) for name in recipe.loss_weights},
            loss_weights=dict(recipe.loss_weights),
            metrics={
                name: keras.metrics.SparseCategoricalAccuracy(name="accuracy")
                for name in ("start_logits", "end_logits")
            },
        )
        windows = training_windows(
            splits[stage.source],
            length=stage.length,
            batch_size=stage.batch_size,
            max_position=model.config.max_position_embeddings,
            seed=recipe.seed + number,
        )
        budget = TimeBudget(
            recipe,
            begin=begin,
            seconds=seconds,
            deadline=begin + share * seconds,
            clock=clock,
        )
        steps_before = int(ops.convert_to_numpy(optimizer.iterations))
        stage_begin = clock()
        history = trainer.fit(
            windows,
            steps_per_epoch=ENDLESS,
            shuffle=False,  # The windows come in random order.
            verbose=0,
            callbacks=[budget, *callbacks(stage)],
        )
        report.append(
            {
                "source": stage.source,
                "length": stage.length,
                "steps": int(ops.convert_to_numpy(optimizer.iterations)) - steps_before,
                "seconds": clock() - stage_begin,
                **{name: values[-1] for name, values in history.history.items()},
            }
        )
    return report
