"""Asks a served model over gRPC: `python -m examples.serving.grpc_client "Who sings?" page.txt`.

Needs `pip install 'bigbird-tf[serving]'`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

__all__ = ["ask", "main", "predict_request"]


def predict_request(
    model: str, inputs: dict[str, Sequence[str | bytes]], signature_name: str = "serving_default"
) -> Any:
    """Makes a `PredictRequest`.

    Args:
        model: The name that the model is served by.
        inputs: Strings by the signature's names, one for each document.
        signature_name: Such as `"n_best"`.
    """
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature_name
    for name, texts in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(texts, tf.string))
    return request


def ask(server: str, request: Any, timeout: float = 60.0) -> dict[str, Any]:
    """Sends a request and gives the outputs as arrays.

    Raises:
        grpc.RpcError: If the server refuses it, or there is none.
    """
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    # Documents are larger than gRPC's default of 4 MB.
    size = 256 * 2**20
    options = [("grpc.max_send_message_length", size), ("grpc.max_receive_message_length", size)]
    with grpc.insecure_channel(server, options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout)
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks a question of files."""
    import grpc

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--server", default="127.0.0.1:8500")
    parser.add_argument("--model", default="qa")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")
    options = parser.parse_args(arguments)
    try:
        contexts = [file.read_bytes() for file in options.files]
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    inputs = {"question": [options.question] * len(contexts), "context": contexts}
    try:
        outputs = ask(options.server, predict_request(options.model, inputs), options.timeout)
    except grpc.RpcError as error:
        print(f"{options.server}: {error.details()}", file=sys.stderr)
        return 1
    for file, answer, score in zip(options.files, outputs["answer"], outputs["score"], strict=True):
        print(f"{file}\t{score:.2f}\t{answer.decode(errors='replace')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
