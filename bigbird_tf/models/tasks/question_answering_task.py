"""`QuestionAnsweringTask`: where an answer starts and ends."""

from typing import Any

from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from bigbird_tf.models.trainable_model import TrainableModel

__all__ = ["QuestionAnsweringTask"]

_OUTPUTS = ("start_logits", "end_logits")


class QuestionAnsweringTask(TrainableModel):
    """The mean of two cross entropies, of the start's position and the end's."""

    def _default_loss(self) -> Any:
        return {name: SparseCrossentropy(from_logits=True) for name in _OUTPUTS}

    def _default_loss_weights(self) -> Any:
        return dict.fromkeys(_OUTPUTS, 0.5)

    def _default_metrics(self) -> Any:
        return {name: [SparseAccuracy()] for name in _OUTPUTS}
