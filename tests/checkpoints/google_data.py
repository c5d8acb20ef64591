"""Checkpoints and outputs of Google's code, for the tests that compare with them."""

from pathlib import Path

import numpy as np
import tensorflow as tf

DATA = Path(__file__).parents[1] / "data"

SETTINGS = {
    "attention_type": "block_sparse",
    "block_size": 16,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_encoder_length": 1024,
    "max_position_embeddings": 1024,
    "norm_type": "postnorm",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_rand_blocks": 3,
    "rescale_embedding": False,
    "scope": "bert",
    "type_vocab_size": 2,
    "use_bias": True,
    "vocab_size": 128,
}
# Folders, and the files in them; the stacks of the last one share their weights.
PEGASUS_FILES = (
    ("pegasus", "length1024_block16_rand3"),
    ("pegasus", "length1100_block16_rand3"),
    ("coupled_encoder_decoder", "length1024_block16_rand3"),
)


def committed_variables(*heads: str) -> dict[str, np.ndarray]:
    """Reads the variables of the encoder and of some heads.

    Args:
        *heads: Of `"pooler"`, `"masked_lm"`, `"next_sentence"`, `"classifier"`.
    """
    beginnings = {
        "pooler": ("bert/pooler",),
        "masked_lm": ("transform/", "cls/predictions"),
        "next_sentence": ("cls/seq_relationship",),
        "classifier": ("bert/classifier",),
    }
    wanted = ("bert/embeddings", "bert/encoder", *(b for head in heads for b in beginnings[head]))
    arrays = {}
    for file in ("google_positions.npz", "google_variables.npz"):
        with np.load(DATA / file) as stored:
            arrays.update({name: stored[name] for name in stored if name.startswith(wanted)})
    return arrays


def committed_outputs(folder: str) -> dict[str, np.ndarray]:
    """Reads outputs of Google's code: `"pretraining_592"`, `"pretraining_1024"`, …"""
    with np.load(DATA / "google_outputs.npz") as stored:
        names = [name for name in stored if name.startswith(f"{folder}/")]
        return {name.partition("/")[2]: stored[name] for name in names}


def write_checkpoint(variables: dict[str, np.ndarray], folder: Path) -> Path:
    """Writes variables by name, as TensorFlow 1 does, and gives the checkpoint's prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / "model.ckpt"
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(array) for array in variables.values()],
    )
    return prefix


def model_inputs(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns inputs for Google's models: padded to the blocks, with a mask of what is real."""
    padded = int(arrays.get("padded_encoder_length", arrays["input_ids"].shape[1]))
    paddings = ((0, 0), (0, padded - arrays["input_ids"].shape[1]))
    ids = np.pad(arrays["input_ids"], paddings)
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).astype("int32")}
    if "token_type_ids" in arrays:
        inputs["token_type_ids"] = np.pad(arrays["token_type_ids"], paddings)
    return inputs


def random_block_overrides(arrays: dict[str, np.ndarray]) -> dict[str, int]:
    """Returns the settings that a file of outputs was made with in place of the config's."""
    return {
        "block_size": int(arrays["block_size"]),
        "num_random_blocks": int(arrays["num_rand_blocks"]),
    }
