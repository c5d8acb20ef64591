"""Runs models on JAX in a process in which TensorFlow cannot be imported.

It reads a JSON request from standard input: `models`, a list of entries with `class`, `saved` (a
`.keras` file), `pretrained` (a directory), `inputs` and `labels` (`.npz` files of arrays by name;
one label without a name is `labels`), and `folder`, where it writes what the model computes and the
model itself, in both forms. It prints a JSON answer: the losses of two epochs by class.
"""

import importlib.abc
import json
import os
import sys
from pathlib import Path


class NoTensorFlow(importlib.abc.MetaPathFinder):
    """As if TensorFlow were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_text"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoTensorFlow())
os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402
import numpy as np  # noqa: E402

import bigbird_tf as bb  # noqa: E402


def read(path):
    with np.load(path) as arrays:
        found = dict(arrays)
    return found.get("labels", found)


def run(entry: dict) -> list[float]:
    """Runs one model in all ways; returns its losses in `fit`."""
    folder = Path(entry["folder"])
    inputs = read(entry["inputs"])
    model = keras.saving.load_model(entry["saved"])
    again = getattr(bb, entry["class"]).from_pretrained(entry["pretrained"])
    assert type(model) is type(again) is getattr(bb, entry["class"])
    for mine, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    outputs = model.predict(inputs, verbose=0)
    np.savez(folder / "outputs.npz", *keras.tree.flatten(outputs))
    if hasattr(model, "generate"):
        np.savez(folder / "tokens.npz", model.generate(inputs["input_ids"], 5))
    model.save(folder / "model.keras")
    model.save_pretrained(folder / "pretrained")

    # Trained with what the backward pass computes again, which is where tables matter.
    config = again.config.replace(gradient_checkpointing=True)
    trained = type(model)(config)
    trained.set_weights(model.get_weights())
    trained.compile(optimizer=keras.optimizers.SGD(0.05))
    history = trained.fit(inputs, read(entry["labels"]), epochs=2, verbose=0)
    return history.history["loss"]


def refused(folder: Path) -> dict[str, str]:
    """Returns what is said of parts that need TensorFlow."""
    said = {}
    for name in ("BigBirdTokenizer", "QuestionAnsweringPreprocessor", "export_saved_model"):
        try:
            getattr(bb, name)
        except ImportError as error:
            said[name] = str(error)
    try:
        bb.checkpoints.convert_google_checkpoint(
            "model.ckpt", bb.BigBirdConfig(), folder / "converted"
        )
    except ImportError as error:
        said["convert_google_checkpoint"] = str(error)
    return said


def main() -> None:
    losses = {}
    for entry in json.loads(sys.stdin.read())["models"]:
        losses[entry["class"]] = run(entry)
    assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
    print(json.dumps({"losses": losses, "refused": refused(Path(entry["folder"]))}))


if __name__ == "__main__":
    main()
