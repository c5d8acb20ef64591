from typing import ClassVar

import numpy as np

from bigbird_tf import BigBirdForSequenceClassification
from tests.contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdForSequenceClassification
    config_fields: ClassVar[dict] = {"num_labels": 3}
    # The encoder's 5 + 2 * 16, and two dense layers.
    trainable_weights = 37 + 4
    # The pooler is in the published form, and not read.
    other_weights = 2
    # The encoder's, and two in the head.
    states = 7 + 2
    # The encoder's with pooler, 21 * 21 + 21 and 21 * 3 + 3.
    parameters = 7964 + 462 + 66

    def labels(self):
        return np.array([2, 0])
