"""`LoraModel`: a model of which little is trained."""

from typing import Any

import keras

from bigbird_tf.config_checks import check_integer

__all__ = ["LoraModel"]


class LoraModel(keras.Model):
    """A model with attention, its own or its `backbone`'s, that can be adapted by LoRA."""

    def enable_lora(self, rank: int) -> None:
        """Leaves little to train: low-rank additions to query and value projections, and the head.

        All else but the head is frozen (LoRA: Hu et al., 2021). Call it before `compile`. What is
        saved has the additions in its kernels: it loads as an ordinary model, and the optimizer's
        state has no place in that.

        Args:
            rank: Rank of the additions.

        Raises:
            ValueError: If `rank` is no positive integer, or there is LoRA already.
        """
        rank = check_integer("rank", rank, 1)
        backbone: Any = getattr(self, "backbone", self)
        attentions = backbone.attention_layers()
        if any(attention.query_dense.lora_enabled for attention in attentions):
            raise ValueError("The model has LoRA already; it can be enabled once only.")
        # Variables, not layers: those in frozen layers would not train at all.
        for variable in backbone.trainable_variables:
            variable.trainable = False
        # Of two stacks that share their weights once.
        projections = {
            id(dense): dense
            for attention in attentions
            for dense in (attention.query_dense, attention.value_dense)
        }
        for dense in projections.values():
            dense.enable_lora(rank)

    def attention_layers(self) -> list[keras.layers.Layer]:
        """Returns the attention layers that LoRA adds to, of a model without `backbone`."""
        raise NotImplementedError
