from typing import ClassVar

import numpy as np
import pytest

from bigbird_tf import BigBirdPegasusForSequenceClassification
from tests.contract import assert_close, mask_of, random_ids
from tests.models.big_bird_pegasus.pegasus_contract import PegasusContract

END = 1


class TestContract(PegasusContract):
    model_class = BigBirdPegasusForSequenceClassification
    config_fields: ClassVar[dict] = {"num_labels": 3}
    trainable_weights = PegasusContract.trainable_weights + 4
    states = PegasusContract.states + 2
    parameters = PegasusContract.parameters + 21 * 21 + 21 + 21 * 3 + 3

    def inputs(self):
        ids = random_ids()
        ids[[0, 1], [17, 19]] = END
        ids[[0, 1], [33, 29]] = END
        return {"input_ids": ids, "attention_mask": mask_of()}

    def labels(self):
        return np.array([2, 0])

    def test_reads_the_last_end(self, shared_model):
        """What comes behind it, padding or not, changes nothing; the state there, all."""
        inputs = self.inputs()
        mask = inputs["attention_mask"] * (np.arange(37) < [[36], [30]])
        logits = shared_model({**inputs, "attention_mask": mask})
        ids = inputs["input_ids"].copy()
        # An end in the padding is none.
        ids[:, 36] = END
        assert_close(shared_model({"input_ids": ids, "attention_mask": mask}), logits)
        ids[0, 35] = END
        moved = np.abs(shared_model({"input_ids": ids, "attention_mask": mask}) - logits)
        assert moved[0].max() > 1e-2
        assert moved[1].max() < 1e-5

    def test_several_ends(self):
        model = self.make({"eos_token_id": (END, 4)})
        ids = self.inputs()["input_ids"]
        ids[0, 35] = 4
        assert np.asarray(model._last_end(ids, mask_of() == 1)).tolist() == [[35], [29]]

    def test_without_an_end(self, shared_model):
        with pytest.raises(Exception, match=r"must have an end token.*`eos_token_id`, 1"):
            shared_model(np.full((2, 9), 7))

    def test_lengths_that_differ(self, shared_model):
        inputs = {**self.inputs(), "decoder_input_ids": np.ones((2, 5), "int32")}
        with pytest.raises(ValueError, match=r"as long as `input_ids`.*lengths 5 and 37"):
            shared_model(inputs)

    def test_config_without_an_end(self):
        with pytest.raises(ValueError, match=r"needs `eos_token_id`.*=None"):
            self.model_class(self.config(eos_token_id=None))
