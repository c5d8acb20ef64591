"""`LoraModel`: a model of which little is trained."""

from typing import Any

import keras

from bigbird_tf.config_checks import check_integer

__all__ = ["LoraModel"]


class LoraModel(keras.Model):
    """A model with an encoder, its own or its `backbone`'s, that can be adapted by LoRA."""

    def enable_lora(self, rank: int) -> None:
        """Leaves little to train: low-rank additions to query and value projections, and the head.

        All else of the encoder is frozen (LoRA: Hu et al., 2021). Call it before `compile`. What is
        saved has the additions in its kernels: it loads as an ordinary model, and the optimizer's
        state has no place in that.

        Args:
            rank: Rank of the additions.

        Raises:
            ValueError: If `rank` is no positive integer, or there is LoRA already.
        """
        rank = check_integer("rank", rank, 1)
        backbone: Any = getattr(self, "backbone", self)
        blocks = backbone.encoder.blocks
        if any(block.attention.query_dense.lora_enabled for block in blocks):
            raise ValueError("The model has LoRA already; it can be enabled once only.")
        # Variables, not layers: those in frozen layers would not train at all.
        for variable in backbone.trainable_variables:
            variable.trainable = False
        for block in blocks:
            for dense in (block.attention.query_dense, block.attention.value_dense):
                dense.enable_lora(rank)
