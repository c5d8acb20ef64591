"""Decoders of language models: the word embeddings, or a matrix of their own."""

import json
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bigbird_tf.checkpoints.transformers_format import tensor_table
from bigbird_tf.models import (
    BigBirdForCausalLM,
    BigBirdForMaskedLM,
    BigBirdForPreTraining,
    BigBirdModel,
)
from tests.checkpoints.torch_archive import storage, tensor, write_archive
from tests.contract import randomize, tiny_config

IDS = np.array([[2, 7, 1, 8, 28, 18, 28, 45, 9, 44]])
WORDS, DECODER = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"


@pytest.fixture(scope="module")
def model():
    model = BigBirdForMaskedLM(tiny_config(tie_word_embeddings=False))
    randomize(model)
    return model


def load_in_silence(directory, make=BigBirdForMaskedLM, **overrides):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make.from_pretrained(directory, **overrides)


def change_config(directory, **fields):
    file = directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_decoder_is_used(model):
    decoder = model.head.decoder.kernel
    assert decoder.shape == (21, 53)
    before = np.array(decoder)
    expected = np.array(model(IDS))
    decoder.assign(2 * before)
    bias = np.array(model.head.bias)
    np.testing.assert_allclose(model(IDS) - bias, 2 * (expected - bias), rtol=1e-5, atol=1e-5)
    decoder.assign(before)


@pytest.mark.parametrize("make", [BigBirdForMaskedLM, BigBirdForCausalLM, BigBirdForPreTraining])
def test_round_trip(make, tmp_path):
    model = make(tiny_config(tie_word_embeddings=False, is_decoder=make is BigBirdForCausalLM))
    randomize(model)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    # `transformers` reads the decoder's own bias, and has the other all the same.
    for name in ("cls.predictions.bias", "cls.predictions.decoder.bias"):
        np.testing.assert_array_equal(
            tensors[name], tensor_table(model)["cls.predictions.bias"].read()
        )
    loaded = load_in_silence(tmp_path, make)
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_encoder_of_it(model, saved):
    loaded = load_in_silence(saved, BigBirdModel, tie_word_embeddings=True)
    np.testing.assert_array_equal(loaded.weights[0], model.backbone.weights[0])


def test_config_says_tied_and_tensors_do_not(model, saved):
    change_config(saved, tie_word_embeddings=True)
    expected = r"decoder\.weight of .* is not its word embeddings, .* pass tie_word_embeddings=True"
    with pytest.warns(UserWarning, match=expected) as caught:
        loaded = BigBirdForMaskedLM.from_pretrained(saved)
    assert caught[0].filename == __file__
    assert not loaded.config.tie_word_embeddings
    np.testing.assert_allclose(loaded(IDS), model(IDS), rtol=0, atol=1e-6)
    # An encoder alone has no decoder, and nothing to say.
    assert load_in_silence(saved, BigBirdModel).config.tie_word_embeddings
    tied = load_in_silence(saved, tie_word_embeddings=True)
    assert tied.head.decoder is None


def test_decoder_that_is_missing(saved):
    file = saved / "model.safetensors"
    save_file({n: a for n, a in load_file(file).items() if n != DECODER}, file)
    with pytest.raises(ValueError, match=r"missing: cls\.predictions\.decoder\.weight\.$"):
        BigBirdForMaskedLM.from_pretrained(saved)


def test_tied_copies_in_one_storage(tmp_path):
    """As `torch.save` writes them: two names, one storage."""
    model = BigBirdForMaskedLM(tiny_config())
    randomize(model)
    model.save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    storages = {str(key): array.tobytes() for key, array in enumerate(arrays.values())}
    views = {
        name: tensor(storage("FloatStorage", str(key), array.size), array.shape)
        for key, (name, array) in enumerate(arrays.items())
    }
    views[DECODER] = views[WORDS]
    views["cls.predictions.decoder.bias"] = views["cls.predictions.bias"]
    write_archive(tmp_path / "pytorch_model.bin", views, storages)
    loaded = load_in_silence(tmp_path)
    assert loaded.head.decoder is None
    np.testing.assert_allclose(loaded(IDS), model(IDS), rtol=0, atol=1e-6)


@pytest.mark.parity
class TestTransformers:
    TOLERANCE = 1e-4

    def outputs(self, theirs):
        import torch

        with torch.no_grad():
            return theirs(torch.tensor(IDS)).logits.numpy()

    def make_theirs(self, **fields):
        import torch
        import transformers

        torch.manual_seed(2)
        config = transformers.BigBirdConfig.from_dict(tiny_config(**fields).to_dict())
        theirs = transformers.BigBirdForMaskedLM(config).eval()
        with torch.no_grad():
            for name, parameter in theirs.named_parameters():
                parameter.normal_(mean=float("LayerNorm.weight" in name), std=0.2)
        return theirs

    @pytest.mark.parametrize("is_torch_file", [False, True])
    def test_theirs_loads_here(self, tmp_path, is_torch_file):
        import torch

        theirs = self.make_theirs(tie_word_embeddings=False)
        theirs.save_pretrained(tmp_path)
        if is_torch_file:
            (tmp_path / "model.safetensors").unlink()
            torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
        ours = load_in_silence(tmp_path)
        assert np.abs(ours(IDS) - self.outputs(theirs)).max() <= self.TOLERANCE

    def test_ours_loads_there(self, model, saved):
        import transformers

        theirs, report = transformers.BigBirdForMaskedLM.from_pretrained(
            saved, output_loading_info=True
        )
        assert not any(report.values()), report
        assert np.abs(model(IDS) - self.outputs(theirs.eval())).max() <= self.TOLERANCE

    def test_config_that_says_tied(self, saved):
        """Neither side ties what differs."""
        import transformers

        change_config(saved, tie_word_embeddings=True)
        theirs = transformers.BigBirdForMaskedLM.from_pretrained(saved).eval()
        with pytest.warns(UserWarning, match="is not its word embeddings"):
            ours = BigBirdForMaskedLM.from_pretrained(saved)
        assert np.abs(ours(IDS) - self.outputs(theirs)).max() <= self.TOLERANCE
