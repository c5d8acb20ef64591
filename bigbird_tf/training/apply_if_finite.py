"""`ApplyIfFinite`: an optimizer that skips steps with gradients that are not finite."""

from typing import Any

import keras
from keras import ops

__all__ = ["ApplyIfFinite"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class ApplyIfFinite(keras.optimizers.LossScaleOptimizer):
    """Wraps an optimizer; a step with a gradient that is infinite or not a number changes nothing.

    Weights, moments and iterations stay as they were, so one bad batch does not spoil a run. The
    steps are counted: `skipped_steps` has all, `skipped_in_a_row` those since the last good one.
    `TrainingCheckpoint` ends a run in which too many follow each other.

    ```python
    optimizer = bb.ApplyIfFinite(keras.optimizers.AdamW(1e-4, global_clipnorm=1.0))
    model.compile(optimizer)
    ```

    Args:
        inner_optimizer: The optimizer to wrap.
        loss_scaling: Whether to scale the loss, as Keras' `LossScaleOptimizer` does: for
            `mixed_float16`, where small gradients would become zero. A skipped step halves the
            scale.
        initial_scale: The scale to begin with, if `loss_scaling`.
        dynamic_growth_steps: After how many good steps the scale doubles, if `loss_scaling`.
        name: The name of the optimizer.
    """

    def __init__(
        self,
        inner_optimizer: keras.optimizers.Optimizer,
        *,
        loss_scaling: bool = False,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ):
        scale = initial_scale if loss_scaling else 1.0
        super().__init__(inner_optimizer, scale, dynamic_growth_steps, name=name)
        self.loss_scaling = loss_scaling
        self._given_scale = initial_scale

    def build(self, var_list: list) -> None:
        """Makes the variables of both optimizers, and the counters."""
        if not self.built:
            self.skipped_steps, self.skipped_in_a_row = (
                self.add_variable((), "zeros", dtype="int32", aggregation="none", name=name)
                for name in ("skipped_steps", "skipped_in_a_row")
            )
        super().build(var_list)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "loss_scaling": self.loss_scaling,
            "initial_scale": self._given_scale,
        }

    # Keras 3.15 calls the first two where variables can be assigned, and the others on JAX.
    def _stateful_handle_finite_grads(self, grads: list, trainable_variables: Any) -> None:
        super()._stateful_handle_finite_grads(grads, trainable_variables)
        self.skipped_in_a_row.assign(0)
        self._keep_scale()

    def _stateful_handle_non_finite_grads(self) -> None:
        super()._stateful_handle_non_finite_grads()
        self.skipped_steps.assign_add(1)
        self.skipped_in_a_row.assign_add(1)
        self._keep_scale()

    def _keep_scale(self) -> None:
        if not self.loss_scaling:
            self.dynamic_scale.assign(1.0)

    def _stateless_handle_finite_grads(
        self, optimizer_variables: list, grads: list, trainable_variables: list
    ) -> tuple[list, list]:
        trained, state = super()._stateless_handle_finite_grads(
            optimizer_variables, grads, trainable_variables
        )
        return trained, self._counted(state, optimizer_variables, is_skipped=False)

    def _stateless_handle_non_finite_grads(
        self, optimizer_variables: list, trainable_variables: list
    ) -> tuple[list, list]:
        trained, state = super()._stateless_handle_non_finite_grads(
            optimizer_variables, trainable_variables
        )
        return trained, self._counted(state, optimizer_variables, is_skipped=True)

    def _counted(self, state: list, before: list, *, is_skipped: bool) -> list:
        """Returns the values of all variables, with those of the counters."""
        changed = {}
        for variable, value in zip(self.variables, before, strict=True):
            if variable is self.skipped_steps:
                changed[id(variable)] = value + int(is_skipped)
            elif variable is self.skipped_in_a_row:
                changed[id(variable)] = value + 1 if is_skipped else ops.zeros_like(value)
            elif variable is self.dynamic_scale and not self.loss_scaling:
                changed[id(variable)] = value
        return [
            changed.get(id(variable), value)
            for variable, value in zip(self.variables, state, strict=True)
        ]
