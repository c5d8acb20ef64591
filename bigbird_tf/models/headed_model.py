"""`HeadedModel`: a backbone and a head on it."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bigbird_tf.config import ModelConfig
from bigbird_tf.models.inputs import read_inputs
from bigbird_tf.models.pretrained_model import PretrainedModel
from bigbird_tf.types import Inputs, Shape, Tensor

__all__ = ["HeadedModel"]


class HeadedModel(PretrainedModel):
    """What models with a head share.

    A family makes its backbone in `_make_backbone`. Subclasses make their head in `_make_head`, and
    say in `uses_pooler` whether it reads the pooled vector, and in `has_pooler` whether the
    published form of this model has a pooler at all. A pooler that is there but not read stays as
    it was loaded, and does not train.

    Args:
        config: A config of the family.
        **kwargs: Of `keras.Model`.
    """

    has_pooler = True
    uses_pooler = False
    extra_inputs: tuple[str, ...] = ()

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.backbone = self._make_backbone()
        if self.has_pooler and not self.uses_pooler:
            self.backbone.pooler.trainable = False
        self.head = self._make_head()
        self.build((None,) * self.input_rank)

    def _make_backbone(self) -> keras.Model:
        raise NotImplementedError

    def _make_head(self) -> keras.layers.Layer:
        raise NotImplementedError

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes all weights; they depend on the config only."""
        self.head.build((None, None, self.config.hidden_size))

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints a table of layers, like `keras.Model.summary`, and which weights no output needs.

        Args:
            line_length, positions, print_fn, expand_nested, show_trainable, layer_range: As in
                Keras.
        """
        super().summary(
            line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )
        if self.has_pooler and not self.uses_pooler:
            (print_fn or print)(
                f" {self.backbone.pooler.count_params():,} of the non-trainable params are the "
                "backbone's pooler. It comes with checkpoints; this head does not read it."
            )

    def _read_inputs(self, inputs: Inputs) -> dict:
        return read_inputs(inputs, self.config, self.extra_inputs, self.input_rank)

    @staticmethod
    def _logits(outputs: Tensor) -> Tensor:
        """Logits are float32 whatever the dtype policy, as losses need it."""
        return ops.cast(outputs, "float32")
