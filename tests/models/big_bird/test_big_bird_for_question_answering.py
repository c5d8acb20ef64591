import numpy as np
import pytest

from bigbird_tf import BigBirdForQuestionAnswering
from tests.contract import LENGTH, assert_close, random_ids, tiny_config
from tests.model_contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdForQuestionAnswering
    # The encoder's 5 + 2 * 16 without pooler; feed-forward's 4 and its norm's 2, and a dense layer.
    trainable_weights = 37 + 6 + 2
    # The encoder's, the head's, and that of the head's feed-forward.
    states = 7 + 1 + 1
    # The encoder's without pooler; 21 * 13 + 13 + 13 * 21 + 21 + 2 * 21 and 21 * 2 + 2.
    parameters = 7502 + 622 + 44

    def unread_by_loss(self):
        # A constant added to the logits of all positions changes nothing, either.
        return (*super().unread_by_loss(), "qa_classifier/output/bias")

    def labels(self):
        return {"start_logits": np.array([11, 0]), "end_logits": np.array([13, 0])}


@pytest.fixture(scope="module")
def model():
    return TestContract.make({"num_hidden_layers": 1})


class TestQuestion:
    """The question is out of the competition, but for the first token."""

    def test_its_logits_are_far_below(self, model):
        # The separators are at 5 and 7.
        for logits in model(random_ids()).values():
            is_out = np.asarray(logits) < -9e5
            for row, separator in enumerate((5, 7)):
                expected = [0 < position <= separator for position in range(LENGTH)]
                np.testing.assert_array_equal(is_out[row], expected)

    def test_token_types_are_filled_in(self, model):
        ids = random_ids()
        types = (np.arange(LENGTH) > np.array([[5], [7]])).astype(np.int32)
        assert_close(model(ids), model({"input_ids": ids, "token_type_ids": types}), 1e-6)
        other = model({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})
        assert np.abs(other["start_logits"] - model(ids)["start_logits"]).max() > 1e-2

    @pytest.mark.parametrize("shape", [(2,), (2, 1)])
    def test_lengths_may_be_given(self, model, shape):
        ids = random_ids()
        lengths = np.array([6, 8]).reshape(shape)
        assert_close(model({"input_ids": ids, "question_lengths": lengths}), model(ids), 1e-6)
        shorter = model({"input_ids": ids, "question_lengths": lengths - 2})
        assert shorter["end_logits"][1, 6] > -9e5 > model(ids)["end_logits"][1, 6]

    def test_without_separator_nobody_knows_where_the_question_ends(self, model):
        with pytest.raises(Exception, match="`question_lengths`"):
            model(np.full((1, LENGTH), 9))

    def test_no_separator_in_the_config(self):
        with pytest.raises(ValueError, match=r"needs `sep_token_id`.*sep_token_id=None"):
            BigBirdForQuestionAnswering(tiny_config(sep_token_id=None))
