"""Runs SavedModels as a user does who has `tensorflow` and `tensorflow_text` and nothing of ours.

usage: run_saved_models.py REQUESTS RESULTS

REQUESTS is a pickled list of `(folder, signature, inputs)`; RESULTS becomes the pickled list of the
outputs by name, as arrays.
"""

import pickle
import sys

# Wherever it is installed: it must not be needed.
sys.modules["bigbird_tf"] = None

import tensorflow as tf  # noqa: E402
import tensorflow_text  # noqa: E402, F401

with open(sys.argv[1], "rb") as file:
    requests = pickle.load(file)
loaded, results = {}, []
for folder, signature, inputs in requests:
    if folder not in loaded:
        loaded[folder] = tf.saved_model.load(folder)
    function = loaded[folder].signatures[signature]
    outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
    results.append({name: value.numpy() for name, value in outputs.items()})
with open(sys.argv[2], "wb") as file:
    pickle.dump(results, file)
