"""What loads from the hub hands on all that says how: for every file that it asks for."""

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from bigbird_tf import checkpoints, hub
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import BigBirdForMaskedLM, BigBirdModel
from bigbird_tf.preprocessing import BigBirdTokenizer, MaskedLMPreprocessor
from tests.contract import tiny_config
from tests.preprocessing.conftest import train_vocabulary

OPTIONS = {"revision": "v2", "cache_dir": "a/cache", "token": "hf_x", "local_files_only": True}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    BigBirdModel(tiny_config(num_hidden_layers=0)).save_pretrained(folder)
    BigBirdTokenizer(train_vocabulary()).save_pretrained(folder)
    return folder


@pytest.fixture
def asked(saved, monkeypatch):
    """Which files were asked for; each with all options, and those alone."""
    files = []

    def find_file(name_or_path, filename, **options):
        assert name_or_path == "someone/model"
        assert options == OPTIONS, filename
        files.append(filename)
        file = saved / filename
        return file if file.is_file() else None

    monkeypatch.setattr(hub, "find_file", find_file)
    return files


def test_config(asked):
    config = BigBirdConfig.from_pretrained("someone/model", **OPTIONS, num_random_blocks=2)
    assert config.num_random_blocks == 2
    assert asked == ["config.json"]


def test_model(asked):
    BigBirdModel.from_pretrained("someone/model", **OPTIONS, dtype="mixed_bfloat16")
    assert asked[0] == "config.json"
    assert "model.safetensors" in asked


def test_model_without_weights(asked, saved):
    """All places where there might be some, in their order."""
    (saved / "model.safetensors").rename(saved / "elsewhere")
    try:
        with pytest.raises(FileNotFoundError, match="has a config but no weights"):
            BigBirdModel.from_pretrained("someone/model", **OPTIONS)
    finally:
        (saved / "elsewhere").rename(saved / "model.safetensors")
    assert asked[:3] == ["config.json", "model.safetensors", "model.safetensors.index.json"]
    assert "pytorch_model.bin" in asked


def test_dtype_and_fields(saved):
    model = BigBirdModel.from_pretrained(saved, dtype="mixed_bfloat16", block_size=8)
    assert (model.dtype_policy.name, model.config.block_size) == ("mixed_bfloat16", 8)


def test_tokenizer_and_preprocessor(asked):
    BigBirdTokenizer.from_pretrained("someone/model", **OPTIONS)
    assert asked[0] == "spiece.model"
    asked.clear()
    made = MaskedLMPreprocessor.from_pretrained("someone/model", **OPTIONS, max_length=33, seed=7)
    assert (made.max_length, made.seed) == (33, 7)
    assert asked[0] == "spiece.model"


def test_lengthen(asked, tmp_path):
    """It is no BERT, which is known as soon as its config has been read."""
    with pytest.raises(ValueError, match="must be the config of one of"):
        checkpoints.lengthen("someone/model", 99, output_dir=tmp_path / "out", **OPTIONS)
    assert asked == ["config.json"]


@pytest.mark.parametrize("private", [None, True])
def test_push(monkeypatch, private):
    calls = []

    class Api:
        def __init__(self, token):
            calls.append(("token", token))

        def create_repo(self, repo_id, **options):
            calls.append((repo_id, options))
            return huggingface_hub.RepoUrl("https://huggingface.co/someone/made")

        def upload_folder(self, *, repo_id, folder_path, **options):
            names = sorted(entry.name for entry in folder_path_entries(folder_path))
            calls.append((repo_id, names, options))
            return "uploaded"

    def folder_path_entries(folder):
        from pathlib import Path

        return Path(folder).iterdir()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    model = BigBirdForMaskedLM(tiny_config(num_hidden_layers=0))
    done = model.push_to_hub("made", private=private, token="hf_x", commit_message="first")
    assert done == "uploaded"
    assert calls == [
        ("token", "hf_x"),
        ("made", {"private": private, "exist_ok": True}),
        ("someone/made", ["config.json", "model.safetensors"], {"commit_message": "first"}),
    ]


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        (401, False),
        (403, True),
        (404, False),
        (408, True),
        (429, True),
        (499, False),
        (500, True),
        (503, True),
    ],
)
def test_answers_after_which_nothing_more_is_asked(monkeypatch, status, is_final):
    """A hub that is out of order, or forbids the file; all others `hf_hub_download` tells apart."""
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    error = HfHubHTTPError("no", response=response)

    def refuse(url, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    found = hub._ask_once("someone/model", "config.json", None, None)
    assert found is (error if is_final else None)
