from typing import ClassVar

import numpy as np

from bigbird_tf import BigBirdForTokenClassification
from tests.contract import LENGTH, mask_of
from tests.model_contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdForTokenClassification
    config_fields: ClassVar[dict] = {"num_labels": 3, "num_hidden_layers": 1}
    # The encoder's 5 + 16, and a dense layer.
    trainable_weights = 21 + 2
    # The pooler is in the published form, and not read.
    other_weights = 2
    # The encoder's, and the head's.
    states = 4 + 1
    # The encoder's with pooler, and 21 * 3 + 3.
    parameters = 5452 + 66

    def labels(self):
        return np.random.default_rng(5).integers(0, 3, (2, LENGTH))

    def fit_arguments(self):
        return {"sample_weight": mask_of().astype("float32")}

    def test_loss_and_accuracy_are_means_over_what_has_weight(self, shared_model):
        shared_model.compile()
        labels, weights = self.labels(), np.zeros((2, LENGTH), "float32")
        weights[0, [1, 7, 20]] = 1.0
        weights[1, 4] = 3.0
        logits = np.asarray(shared_model(self.inputs()))
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        losses = -np.take_along_axis(log_probs, labels[:, :, None], -1)[:, :, 0]
        hits = logits.argmax(-1) == labels
        result = shared_model.evaluate(
            self.inputs(), labels, sample_weight=weights, verbose=0, return_dict=True
        )
        assert set(result) == {"loss", "accuracy"}
        np.testing.assert_allclose(result["loss"], (losses * weights).sum() / 6, rtol=1e-5)
        np.testing.assert_allclose(result["accuracy"], (hits * weights).sum() / 6, rtol=1e-6)
        # Labels without weight may be anything that is a label.
        other = np.where(weights > 0, labels, 2 - labels)
        again = shared_model.evaluate(
            self.inputs(), other, sample_weight=weights, verbose=0, return_dict=True
        )
        assert again == result

    def test_a_batch_without_weights_costs_nothing(self, shared_model):
        shared_model.compile()
        weights = np.zeros((2, LENGTH), "float32")
        result = shared_model.evaluate(
            self.inputs(), self.labels(), sample_weight=weights, verbose=0, return_dict=True
        )
        assert result["loss"] == 0

    def test_own_dropout_rate(self):
        model = self.make({"classifier_dropout": 0.25, "hidden_dropout_prob": 0.125})
        assert model.head.rate == 0.25
        assert self.make({"hidden_dropout_prob": 0.125}).head.rate == 0.125
