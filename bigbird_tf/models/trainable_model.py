"""`TrainableModel`: `compile` with defaults, and training on several replicas."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras

from bigbird_tf.training import (
    compute_over_global_batch,
    refuses_uneven_batches,
    sum_gradients_first,
    with_known_lengths,
)

__all__ = ["TrainableModel"]


@refuses_uneven_batches
class TrainableModel(keras.Model):
    """A model that knows what it is trained with.

    Subclasses with a head say in `_default_loss`, `_default_loss_weights`, `_default_metrics` and
    `_default_weighted_metrics` what it is for.

    Args:
        **kwargs: Of `keras.Model`.
    """

    def compile(
        self,
        optimizer: Any = "auto",
        loss: Any = "auto",
        *,
        loss_weights: Any = None,
        metrics: Any = "auto",
        weighted_metrics: Any = "auto",
        **kwargs: Any,
    ) -> None:
        """Configures training; like `keras.Model.compile`, with defaults for what the head is for.

        Args:
            optimizer: `"auto"` is AdamW with learning rate 5e-5, weight decay 0.01 (none for biases
                and normalisation) and gradients clipped to a global norm of 1.
            loss: `"auto"` is the head's loss.
            loss_weights: As in Keras; by default those of the head's loss.
            metrics: `"auto"` is the head's metrics.
            weighted_metrics: `"auto"` is the head's metrics that use sample weights.
            **kwargs: As in Keras. `jit_compile="auto"`, the default, is Keras' own rule: XLA on
                GPU, not on CPU (where the graph is faster), and not under a `tf.distribute`
                strategy (`TPUStrategy` compiles by itself).

        A model that was made in the scope of a `tf.distribute` strategy with several replicas
        trains as it would on one device: losses are means over the global batch, and the optimizer
        clips the sum of the replicas' gradients.
        """
        self._has_default_optimizer = isinstance(optimizer, str) and optimizer == "auto"
        if self._has_default_optimizer:
            with self._strategy_scope():
                optimizer = keras.optimizers.AdamW(5e-5, weight_decay=0.01, global_clipnorm=1.0)
            _exclude_from_weight_decay(optimizer)
        if isinstance(loss, str) and loss == "auto":
            loss = self._default_loss()
            loss_weights = loss_weights or self._default_loss_weights()
        if isinstance(metrics, str) and metrics == "auto":
            metrics = self._default_metrics()
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = self._default_weighted_metrics()
        with self._strategy_scope():
            super().compile(
                optimizer=optimizer,
                loss=loss,
                loss_weights=loss_weights,
                metrics=metrics,
                weighted_metrics=weighted_metrics,
                **kwargs,
            )
        if self._has_several_replicas():
            if self._compile_loss is not None:
                compute_over_global_batch(self._compile_loss)
            if self.optimizer is not None:
                sum_gradients_first(self.optimizer)

    def make_train_function(self, force: bool = False) -> Callable:
        """Makes the function that `fit` runs; the optimizer's variables are made before it.

        All weights are known by now. Left to Keras, the variables would be made inside the
        function, which then is traced twice: half of the wait before the first step.
        """
        if not self.optimizer.built:
            with self._strategy_scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    @property
    def _strategy(self) -> Any:
        """The `tf.distribute` strategy that the model was made in; `None` on other backends."""
        return getattr(self, "distribute_strategy", None)

    def _strategy_scope(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext() if self._strategy is None else self._strategy.scope()

    def _has_several_replicas(self) -> bool:
        return self._strategy is not None and self._strategy.num_replicas_in_sync > 1

    def train_step(self, *arguments: Any) -> Any:
        """Trains on one batch; see `keras.Model`."""
        # Before the data, there is a state on JAX.
        *state, data = arguments
        return super().train_step(*state, with_known_lengths(self._complete_batch(data)))

    def test_step(self, *arguments: Any) -> Any:
        """Evaluates one batch; see `keras.Model`."""
        *state, data = arguments
        return super().test_step(*state, with_known_lengths(self._complete_batch(data)))

    def _complete_batch(self, data: Any) -> Any:
        """Returns what `fit` and `evaluate` were given, with inputs that follow from the labels."""
        return data

    def predict_step(self, *arguments: Any) -> Any:
        """Predicts one batch; see `keras.Model`."""
        *state, data = arguments
        return super().predict_step(*state, with_known_lengths(data))

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds losses and metrics from the first replica's batch.

        Keras takes the mean of the replicas' batches, which makes floats of ids, and which they
        have not where their batches are unequal.
        """
        if iterator is not None and self._has_several_replicas():
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda x: self._strategy.experimental_local_results(x)[0],
                    next(batches),
                )
                iterator = None
                break
        super()._maybe_symbolic_build(iterator, data_batch)

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds losses and metrics from a batch as `train_step` has it."""
        if data_batch is None:
            for _, _, batches in iterator:
                is_batch = isinstance(batches, (list, tuple))
                data_batch = batches[0] if is_batch else next(batches)
                break
        super()._symbolic_build(data_batch=self._complete_batch(data_batch))

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns what `compile_from_config` needs to configure training the same way."""
        config = super().get_compile_config()
        if config:
            config["has_default_optimizer"] = self._has_default_optimizer
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Configures training as it was when the model was saved."""
        config = dict(config)
        has_default_optimizer = config.pop("has_default_optimizer")
        config = keras.saving.deserialize_keras_object(config)
        if has_default_optimizer:
            # Keras does not save what is excluded.
            _exclude_from_weight_decay(config["optimizer"])
        self.compile(**config)
        self._has_default_optimizer = has_default_optimizer
        self.optimizer.build(self.trainable_variables)

    def _default_loss(self) -> Any:
        raise ValueError(
            f"`{type(self).__name__}` has no task of its own: pass `loss` to `compile()`, or use a "
            "model with a head, such as `BigBirdForSequenceClassification`."
        )

    def _default_loss_weights(self) -> Any:
        return None

    def _default_metrics(self) -> Any:
        return None

    def _default_weighted_metrics(self) -> Any:
        return None


def _exclude_from_weight_decay(optimizer: Any) -> None:
    # `LossScaleOptimizer` does not hand on what is excluded.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
