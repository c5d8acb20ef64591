"""What the three tasks share: a small model's config, and training for a given time."""

import time

import keras
import tensorflow as tf

import bigbird_tf as bb
from examples.docs_qa.train import ENDLESS, Recipe, TimeBudget

__all__ = ["Size", "fit", "make_config"]

# How large a model is: fields of a `BigBirdConfig`.
Size = dict[str, int]


def make_config(tokenizer: bb.Tokenizer, length: int, **fields) -> bb.BigBirdConfig:
    """Makes a config of two layers, 128 wide, with blocks of 32, for inputs of so many pieces."""
    config = {
        **tokenizer.config_fields,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        # On CPUs, a GELU costs as much as the matrix products beside it.
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
        "block_size": 32,
        "num_random_blocks": 2,
        "max_position_embeddings": length,
    }
    return bb.BigBirdConfig(**{**config, **fields})


def fit(
    model: keras.Model,
    dataset: tf.data.Dataset,
    seconds: float,
    *,
    learning_rate: float = 2e-3,
    warmup_steps: int = 20,
    max_steps: int | None = None,
) -> dict:
    """Trains a model for a given time, and returns what came of it.

    Args:
        model: The model.
        dataset: Batches without end.
        seconds: How long; at least one step is made.
        learning_rate: The highest one, after `warmup_steps`; it falls to a tenth.
        warmup_steps: Steps until it is reached.
        max_steps: Ends sooner; `None` for never.
    """
    recipe = Recipe(
        stages=(),
        learning_rate=learning_rate,
        final_learning_rate=learning_rate / 10,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=0.01, global_clipnorm=1.0)
    model.compile(optimizer)
    begin = time.monotonic()
    budget = TimeBudget(recipe, begin=begin, seconds=seconds, deadline=begin + seconds)
    history = model.fit(
        dataset.prefetch(2),
        steps_per_epoch=max_steps or ENDLESS,
        shuffle=False,
        verbose=0,
        callbacks=[budget],
    )
    return {
        "seconds": round(time.monotonic() - begin, 1),
        "steps": int(keras.ops.convert_to_numpy(optimizer.iterations)),
        # The mean over all steps.
        **{name: round(float(values[-1]), 4) for name, values in history.history.items()},
    }
