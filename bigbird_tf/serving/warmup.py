"""Requests that TensorFlow Serving runs before it serves a version."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

__all__ = ["WARMUP_FILE", "import_serving_apis", "write_warmup_requests"]

# TensorFlow Serving looks for this file in a version's folder.
WARMUP_FILE = Path("assets.extra/tf_serving_warmup_requests")


def import_serving_apis() -> Any:
    """Returns `tensorflow_serving.apis`' modules `predict_pb2` and `prediction_log_pb2`.

    Raises:
        ImportError: If `tensorflow-serving-api` is not installed. The message says how to.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "Warm-up requests need the package tensorflow-serving-api: "
            "pip install 'bigbird-tf[serving]'"
        ) from error
    return predict_pb2, prediction_log_pb2


def write_warmup_requests(
    version: str | os.PathLike,
    requests: Iterable[dict[str, Any]],
    *,
    model_name: str,
    signature_name: str = "serving_default",
) -> Path:
    """Writes warm-up requests into a version's folder.

    Args:
        version: The folder of a SavedModel.
        requests: Inputs of each request by name; lists, arrays or tensors.
        model_name: The name that the model is served by.
        signature_name: The signature to call.

    Returns:
        The file's path.

    Raises:
        ImportError: If `tensorflow-serving-api` is not installed.
    """
    predict_pb2, prediction_log_pb2 = import_serving_apis()
    path = Path(version) / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for inputs in requests:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature_name
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value, tf.string))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return path
