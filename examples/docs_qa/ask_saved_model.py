"""Asks a SavedModel, as a server would: `python ask_saved_model.py FOLDER < questions.json`.

Knows TensorFlow and the operations of `tensorflow_text`, and nothing of bigbird_tf.
"""

import json
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  Registers the tokenizer's operations.


def main() -> None:
    """Reads a JSON list of `{"question", "context"}`; writes one of `{"answer", "score"}`."""
    answers = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
    found = []
    for item in json.load(sys.stdin):
        result = answers(
            question=tf.constant([item["question"]]), context=tf.constant([item["context"]])
        )
        answer = result["answer"].numpy()[0].decode("utf-8", "replace")
        found.append({"answer": answer, "score": float(result["score"].numpy()[0])})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
