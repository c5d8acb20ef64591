"""Forms in which checkpoints of `transformers` come."""

import re
import warnings

import numpy as np
import pytest

from bigbird_tf.models import (
    BigBirdForMaskedLM,
    BigBirdForPreTraining,
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from tests.checkpoints.test_transformers_format import assert_same_weights, change
from tests.contract import randomize, tiny_config


class TestOtherForms:
    """Checkpoints that differ in names, and are whole."""

    def test_legacy_names_of_layer_norms(self, model, saved):
        def rename(tensors):
            renamed = {}
            for name, array in tensors.items():
                name = re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name)
                renamed[re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", name)] = array
            assert set(renamed) != set(tensors)
            return renamed

        change(saved, rename)
        assert_same_weights(BigBirdForSequenceClassification.from_pretrained(saved), model)

    def test_positions_and_tied_copies_are_no_weights(self, tmp_path):
        model = BigBirdForMaskedLM(tiny_config())
        randomize(model)
        model.save_pretrained(tmp_path)

        def add(tensors):
            tensors["bert.embeddings.position_ids"] = np.arange(61)[None]
            tensors["bert.embeddings.token_type_ids"] = np.zeros((1, 61), np.int64)
            tensors["cls.predictions.decoder.weight"] = tensors[
                "bert.embeddings.word_embeddings.weight"
            ].copy()
            tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].copy()

        change(tmp_path, add)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same_weights(BigBirdForMaskedLM.from_pretrained(tmp_path), model)

    def test_encoder_of_a_headed_checkpoint(self, model, saved):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loaded = BigBirdModel.from_pretrained(saved)
        assert_same_weights(loaded, model.backbone)

    def test_headed_model_of_an_encoder_checkpoint(self, model, tmp_path):
        model.backbone.save_pretrained(tmp_path)
        with pytest.warns(
            UserWarning, match=r"classifier\.dense\.weight, .* start from fresh weights"
        ) as caught:
            loaded = BigBirdForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
        assert_same_weights(loaded.backbone, model.backbone)
        assert loaded.head.dense.kernel.shape == (21, 21)
        assert "encoder" not in str(caught[0].message).replace(str(tmp_path), "")
        # The warning points to the caller's own line.
        assert caught[0].filename == __file__

    def test_head_of_another_model_is_passed_over(self, saved, model):
        with pytest.warns(UserWarning, match=r"qa_classifier\.intermediate\.dense\.weight"):
            loaded = BigBirdForQuestionAnswering.from_pretrained(saved)
        np.testing.assert_array_equal(
            loaded.backbone.embeddings.word_embeddings.embeddings,
            model.backbone.embeddings.word_embeddings.embeddings,
        )

    @pytest.mark.parametrize("make", [BigBirdForQuestionAnswering, BigBirdModel])
    def test_head_that_no_model_here_has(self, make, tmp_path):
        """As the answer types of models that are trained on Natural Questions."""
        model = make(tiny_config())
        randomize(model)
        model.save_pretrained(tmp_path)
        head = {"cls.weight": np.ones((5, 21), np.float32), "cls.bias": np.ones(5, np.float32)}
        change(tmp_path, lambda tensors: {**tensors, **head})
        expected = rf"^{make.__name__} has no place for cls\.bias, cls\.weight of the checkpoint"
        with pytest.warns(UserWarning, match=expected) as caught:
            assert_same_weights(make.from_pretrained(tmp_path), model)
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_one_of_two_heads(self, tmp_path):
        model = BigBirdForMaskedLM(tiny_config())
        randomize(model)
        model.save_pretrained(tmp_path)
        with pytest.warns(UserWarning, match="cls.seq_relationship.weight") as caught:
            loaded = BigBirdForPreTraining.from_pretrained(tmp_path)
        assert "cls.predictions" not in str(caught[0].message)
        ids = np.array([[2, 7, 1, 8]])
        np.testing.assert_allclose(loaded(ids)["prediction_logits"], model(ids), rtol=0, atol=1e-6)

    def test_checkpoint_without_pooler(self, model, saved):
        change(saved, lambda tensors: {n: a for n, a in tensors.items() if "pooler" not in n})
        expected = r"pooler\.weight, pooler\.bias of the model are not .* Train the model"
        with pytest.warns(UserWarning, match=expected):
            loaded = BigBirdModel.from_pretrained(saved)
        np.testing.assert_array_equal(loaded.weights[0], model.backbone.weights[0])

    def test_pooler_that_is_not_read(self, model, saved):
        change(saved, lambda tensors: {n: a for n, a in tensors.items() if "pooler" not in n})
        with pytest.warns(UserWarning, match=r"pooler\.bias .* This model does not read them"):
            loaded = BigBirdForSequenceClassification.from_pretrained(saved)
        ids = np.array([[2, 7, 1, 8]])
        np.testing.assert_array_equal(loaded(ids), model(ids))

    def test_pooler_and_head_that_are_missing(self, saved):
        """The head is read, so the model is to be trained."""
        change(
            saved,
            lambda tensors: {n: a for n, a in tensors.items() if "pooler" not in n[:12]
                             and "classifier" not in n},
        )  # fmt: skip
        expected = (
            r"bert\.pooler\.weight, .*classifier\.out_proj\.bias of the model .* Train the model"
        )
        with pytest.warns(UserWarning, match=expected):
            BigBirdForSequenceClassification.from_pretrained(saved)
