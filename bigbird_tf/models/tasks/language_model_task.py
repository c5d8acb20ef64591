"""`LanguageModelTask`: a label for each token, some of which count."""

from typing import Any

from bigbird_tf.models.ignored_labels import SparseAccuracy
from bigbird_tf.models.losses import weighted_crossentropy
from bigbird_tf.models.trainable_model import TrainableModel

__all__ = ["LanguageModelTask"]


class LanguageModelTask(TrainableModel):
    """Cross entropy and accuracy as means over the tokens that count."""

    def _default_loss(self) -> Any:
        return weighted_crossentropy()

    def _default_weighted_metrics(self) -> Any:
        return [SparseAccuracy()]
