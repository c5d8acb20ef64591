"""Runs SavedModels where bigbird_tf cannot be imported: a JSON request a line in, an answer out.

A request has `path` (of the SavedModel), `function` (the name of one of its functions), `inputs`
(paths of serialized tensors, with their dtypes) and `outputs` (where to write the flat outputs as
`.npz`; strings as objects of bytes).
"""

import json
import sys
import traceback

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (its operations are in the graphs)


def answer(request: dict) -> dict:
    module = tf.saved_model.load(request["path"])
    inputs = [
        tf.io.parse_tensor(tf.io.read_file(path), tf.as_dtype(dtype))
        for path, dtype in request["inputs"]
    ]
    outputs = tf.nest.flatten(getattr(module, request["function"])(*inputs))
    np.savez(request["outputs"], *[output.numpy() for output in outputs])
    assert "bigbird_tf" not in sys.modules
    return {}


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), flush=True)
