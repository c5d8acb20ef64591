"""Runs the README's snippets on a published checkpoint as it is: PyTorch's form, and no PyTorch."""

import json
import os
import re
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file

import bigbird_tf as bb
from tests.checkpoints.torch_archive import STORAGES, storage, tensor, write_archive
from tests.contract import randomize
from tests.hub_server import HubServer
from tests.preprocessing.conftest import train_vocabulary
from tests.test_docs import ROOT, code_of

PRELUDE = """
import sys, warnings


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "sentence_transformers", "msgpack"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
import bigbird_tf as bb
warnings.simplefilter("ignore")  # fresh heads, which the page speaks of
"""
# What the published config.json has beside its sizes.
PUBLISHED = {
    "architectures": ["BigBirdForPreTraining"],
    "attention_type": "block_sparse",
    "gradient_checkpointing": False,
    "hidden_act": "gelu_new",
    "layer_norm_eps": 1e-12,
    "model_type": "big_bird",
    "position_embedding_type": "absolute",
    "rescale_embeddings": False,
    "transformers_version": "4.4.0.dev0",
    "use_bias": True,
    "use_cache": True,
}


def write_published(directory):
    """Writes a checkpoint of the published form and small sizes; returns its weights."""
    tokenizer = bb.BigBirdTokenizer(train_vocabulary())
    sizes = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "max_position_embeddings": 1024,
        "block_size": 16,
        "sep_token_id": tokenizer.sep_token_id,
    }
    model = bb.BigBirdForPreTraining(bb.BigBirdConfig(**sizes))
    randomize(model)
    model.save_pretrained(directory)
    arrays = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    (directory / "config.json").write_text(json.dumps({**PUBLISHED, **sizes}))
    tokenizer.save_pretrained(directory)
    stored = {"bert.embeddings.position_ids": np.arange(1024)[None], **arrays}
    views = {
        name: tensor(storage(STORAGES[array.dtype], str(key), array.size), array.shape)
        for key, (name, array) in enumerate(stored.items())
    }
    # Tied weights are two names of one storage.
    for name, tied in (("weight", "bert.embeddings.word_embeddings.weight"), ("bias", None)):
        views[f"cls.predictions.decoder.{name}"] = views[tied or "cls.predictions.bias"]
    data = {str(key): array.tobytes() for key, array in enumerate(stored.values())}
    write_archive(directory / "pytorch_model.bin", views, data)
    return arrays


def test_snippets_run(tmp_path):
    published = tmp_path / "published"
    published.mkdir()
    arrays = write_published(published)
    code = code_of(ROOT / "README.md")
    names = set(re.findall(r'"(google/[\w-]+)"', code))
    assert names
    script = tmp_path / "snippets.py"
    script.write_text(PRELUDE + code, encoding="utf-8")
    with HubServer() as server:
        for name in names:
            server.add(name, published)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": "0",
        }
        run = subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        assert "pytorch_model.bin" in server.downloads()
    # What the page saves at its end is the checkpoint's encoder.
    saved = load_file(tmp_path / "my-bigbird/model.safetensors")
    assert saved
    for name, array in saved.items():
        np.testing.assert_array_equal(array, arrays[f"bert.{name}"], err_msg=name)
