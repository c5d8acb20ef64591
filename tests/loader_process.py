"""Loads saved models in a process of its own: a JSON request a line in, a JSON answer a line out.

A request has `path` (a `.keras` file, or a directory of `save_pretrained` together with `cls`, the
class's name in `bigbird_tf`), `inputs` (an `.npz` of the inputs, a list if there are several, named
`<position>`, or `<position>.<key>` for the entries of a dictionary) and `outputs` (where to write
the flat outputs as `.npz`). The answer has the name of the model's class.
"""

import json
import sys
import traceback

import keras
import numpy as np

import bigbird_tf
from tests.backends import compile_fast


def save_arguments(path, arguments) -> None:
    """Writes positional arguments, arrays or dictionaries of arrays, as `read_arguments` reads."""
    arrays = {}
    for position, argument in enumerate(arguments):
        if isinstance(argument, dict):
            arrays |= {f"{position}.{key}": value for key, value in argument.items()}
        else:
            arrays[str(position)] = argument
    np.savez(path, **arrays)


def read_arguments(path) -> list:
    arguments: dict = {}
    with np.load(path) as arrays:
        for name, array in arrays.items():
            position, _, key = name.partition(".")
            if key:
                arguments.setdefault(int(position), {})[key] = array
            else:
                arguments[int(position)] = array
    return [arguments[position] for position in sorted(arguments)]


def answer(request: dict) -> dict:
    path = request["path"]
    if path.endswith(".keras"):
        model = keras.saving.load_model(path)
    else:
        model = getattr(bigbird_tf, request["cls"]).from_pretrained(path)
    arguments = read_arguments(request["inputs"])
    outputs = keras.tree.flatten(model(arguments[0] if len(arguments) == 1 else arguments))
    outputs = [keras.ops.convert_to_numpy(output) for output in outputs]
    np.savez(request["outputs"], *outputs)
    return {"class": type(model).__name__}


def main() -> None:
    compile_fast()
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
