from typing import ClassVar

import numpy as np

from bigbird_tf import BigBirdForMaskedLM, BigBirdForPreTraining
from tests.contract import BATCH, LENGTH, VOCABULARY, assert_close, mask_of
from tests.model_contract import ModelContract

POSITIONS = np.array([[3, 36, 11], [0, 29, 7]], np.int32)


class TestContract(ModelContract):
    model_class = BigBirdForPreTraining
    config_fields: ClassVar[dict] = {"num_hidden_layers": 1}
    # The encoder's 5 + 16 and the pooler; dense, norm and bias; and a dense layer.
    trainable_weights = 21 + 2 + 5 + 2
    states = 4
    # The encoder's with pooler; 21 * 21 + 21, 2 * 21 and 53; and 21 * 2 + 2.
    parameters = 5452 + 462 + 42 + 53 + 44

    def labels(self):
        labels = np.random.default_rng(5).integers(0, VOCABULARY, (BATCH, LENGTH))
        return {"prediction_logits": labels, "seq_relationship_logits": np.array([1, 0])}

    def fit_arguments(self):
        weights = {"prediction_logits": mask_of().astype("float32")}
        return {"sample_weight": {**weights, "seq_relationship_logits": np.ones(BATCH, "float32")}}

    def test_masked_positions(self, shared_model):
        inputs = self.inputs()
        full = shared_model(inputs)
        some = shared_model({**inputs, "masked_positions": POSITIONS})
        predictions = np.asarray(full["prediction_logits"])
        expected = np.stack([predictions[row, POSITIONS[row]] for row in range(BATCH)])
        assert_close(some["prediction_logits"], expected)
        assert_close(some["seq_relationship_logits"], full["seq_relationship_logits"])

    def test_loss_is_the_sum_of_both(self, shared_model):
        shared_model.compile()
        x, y, weights = self.inputs(), self.labels(), mask_of()
        result = shared_model.evaluate(x, y, verbose=0, return_dict=True, **self.fit_arguments())

        def losses(name):
            logits = np.asarray(shared_model(x)[name])
            log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            return -np.take_along_axis(log_probs, y[name][..., None], -1)[..., 0]

        masked = (losses("prediction_logits") * weights).sum() / weights.sum()
        following = losses("seq_relationship_logits").mean()
        np.testing.assert_allclose(result["loss"], masked + following, rtol=1e-5)
        assert {name for name in result if name.endswith("accuracy")} == {
            "prediction_logits_accuracy",
            "seq_relationship_logits_accuracy",
        }

    def test_is_read_as_a_masked_language_model(self, shared_model, tmp_path):
        # The published checkpoints are pre-training ones.
        shared_model.save_pretrained(tmp_path)
        model = BigBirdForMaskedLM.from_pretrained(tmp_path)
        expected = shared_model(self.inputs())["prediction_logits"]
        assert_close(model(self.inputs()), expected, 1e-6)
