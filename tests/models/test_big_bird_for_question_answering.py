import numpy as np

from bigbird_tf import BigBirdForQuestionAnswering
from tests.contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdForQuestionAnswering
    # The encoder's 5 + 2 * 16 without pooler; feed-forward's 4 and its norm's 2, and a dense layer.
    trainable_weights = 37 + 6 + 2
    # The encoder's, the head's, and that of the head's feed-forward.
    states = 7 + 1 + 1
    # The encoder's without pooler; 21 * 13 + 13 + 13 * 21 + 21 + 2 * 21 and 21 * 2 + 2.
    parameters = 7502 + 622 + 44

    def labels(self):
        return {"start_logits": np.array([11, 0]), "end_logits": np.array([13, 0])}
