"""Cuts the data of `tests/data/google_*.npz` out of the outputs of Google's code.

The whole outputs lie beside the repository where its CI runs. These small pieces of them let the
tests compare with Google's code on any machine. To make them again, from the repository's root:

    python tests/data/make_google_data.py ../shared/fixtures/google
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

LENGTHS = (592, 1024)
NUM_POSITIONS = 1024
# Outputs are kept at every 29th position: in all kinds of blocks, and anywhere in them.
STEP = 29


def main(fixtures: Path, folder: Path) -> None:
    """Writes three files into a folder, none as large as 150 kB."""
    variables = {
        **read_variables(fixtures / "bert_block_sparse/model.ckpt"),
        **read_variables(fixtures / "classifier/model.ckpt"),
    }
    del variables["global_step"]
    position_name = "bert/embeddings/position_embeddings"
    positions = variables.pop(position_name)[:NUM_POSITIONS]
    np.savez_compressed(folder / "google_positions.npz", **{position_name: positions})
    np.savez_compressed(folder / "google_variables.npz", **variables)

    outputs = {}
    for length in LENGTHS:
        with np.load(fixtures / f"bert_block_sparse/length{length}_block16_rand3.npz") as arrays:
            kept = dict(arrays)
        kept["sequence_output"] = kept["sequence_output"][:, ::STEP]
        kept["output_positions"] = kept["output_positions"][::STEP]
        outputs.update({f"pretraining_{length}/{name}": array for name, array in kept.items()})
    with np.load(fixtures / "classifier/length1024_block16_rand3.npz") as arrays:
        outputs.update({f"classifier_1024/{name}": array for name, array in arrays.items()})
    np.savez_compressed(folder / "google_outputs.npz", **outputs)


def read_variables(prefix: Path) -> dict[str, np.ndarray]:
    """Reads all variables of a checkpoint."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
