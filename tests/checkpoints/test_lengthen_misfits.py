"""Checkpoints to be lengthened that lack a part: an error names it, and nothing is written."""

import re

import pytest

from bigbird_tf.checkpoints import lengthen
from bigbird_tf.models import BigBirdForMaskedLM, BigBirdForSequenceClassification, BigBirdModel
from tests.checkpoints.test_lengthen import edit_config, edit_tensors, make_original, write_bert


def refuse(directory, match):
    with pytest.raises(ValueError, match=match):
        lengthen(directory / "bert", 64, output_dir=directory / "big")
    assert not (directory / "big").exists()


def test_a_decoder_without_a_bias(tmp_path):
    write_bert(make_original(BigBirdForMaskedLM, "bert", num_hidden_layers=1), tmp_path / "bert")

    def edit(tensors):
        words = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = words + 1
        del tensors["cls.predictions.bias"]

    edit_tensors(tmp_path / "bert", edit)
    refuse(tmp_path, r"no tensor cls\.predictions\.bias \(.*\), which the decoder needs$")


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ("bert.pooler.dense.weight", "bert.pooler.weight"),
        ("bert.pooler.dense.bias", "bert.pooler.bias"),
        ("classifier.bias", "classifier.bias"),
    ],
)
def test_a_classifier_that_is_not_whole(tmp_path, stored, named):
    original = make_original(BigBirdForSequenceClassification, "bert", num_hidden_layers=1)
    write_bert(original, tmp_path / "bert")

    def edit(tensors):
        # BERT's pooler is inside of BigBird's head.
        for kind in ("weight", "bias"):
            tensors[f"bert.pooler.dense.{kind}"] = tensors.pop(f"classifier.dense.{kind}")
            tensors[f"classifier.{kind}"] = tensors.pop(f"classifier.out_proj.{kind}")
        del tensors[stored]

    edit_tensors(tmp_path / "bert", edit)
    refuse(tmp_path, rf"no tensor {re.escape(named)} \(.*\), which the classifier needs$")


def test_a_config_without_positions(tmp_path):
    write_bert(make_original(BigBirdModel, "bert", num_hidden_layers=1), tmp_path / "bert")
    edit_config(tmp_path / "bert", max_position_embeddings=None, architectures=[None])
    refuse(tmp_path, r"how many positions .* Received: max_position_embeddings=None$")
