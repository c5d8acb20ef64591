import numpy as np

from bigbird_tf import BigBirdPegasusForQuestionAnswering
from tests.contract import mask_of, random_ids
from tests.models.big_bird_pegasus.pegasus_contract import PegasusContract


class TestContract(PegasusContract):
    model_class = BigBirdPegasusForQuestionAnswering
    trainable_weights = PegasusContract.trainable_weights + 2
    parameters = PegasusContract.parameters + 21 * 2 + 2

    def inputs(self):
        return {"input_ids": random_ids(), "attention_mask": mask_of()}

    def labels(self):
        return {"start_logits": np.array([5, 9]), "end_logits": np.array([11, -100])}

    def unread_by_loss(self):
        # A constant added to all logits of a softmax changes nothing.
        return (*super().unread_by_loss(), "qa_outputs/dense/bias", "qa_outputs/bias")
