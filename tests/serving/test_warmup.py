"""Warm-up records, and requests as TensorFlow Serving's clients make them."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.serving import export_saved_model
from bigbird_tf.serving.warmup import WARMUP_FILE, write_warmup_requests
from examples.serving.rest_client import rest_request
from tests.serving.conftest import OPTIONS


def run_request(loaded, request) -> dict:
    """Runs a `PredictRequest` as the server does: tensors by name, checked by the signature."""
    function = loaded.signatures[request.model_spec.signature_name]
    specs = function.structured_input_signature[1]
    assert sorted(request.inputs) == sorted(specs)
    inputs = {}
    for name, value in request.inputs.items():
        inputs[name] = tf.constant(tf.make_ndarray(value))
        assert inputs[name].dtype == specs[name].dtype
    return {name: value.numpy() for name, value in function(**inputs).items()}


def run_json(loaded, body: str) -> dict:
    """Runs a REST body by the documented rules of the predict API.

    `instances` has rows, `inputs` has columns; `{"b64": …}` is a string of bytes.
    """
    import base64

    def to_value(value):
        if isinstance(value, dict) and list(value) == ["b64"]:
            return base64.b64decode(value["b64"])
        return [to_value(item) for item in value] if isinstance(value, list) else value

    request = json.loads(body)
    function = loaded.signatures[request["signature_name"]]
    if "instances" in request:
        rows = request["instances"]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
    else:
        columns = request["inputs"]
    specs = function.structured_input_signature[1]
    inputs = {k: tf.constant(to_value(v), specs[k].dtype) for k, v in columns.items()}
    return {name: value.numpy() for name, value in function(**inputs).items()}


@pytest.mark.parametrize("columns", [False, True])
def test_rest_requests(exported, columns):
    qa = exported("BigBirdForQuestionAnswering")
    questions, contexts = ["who?", "wo?"], [b"Eleven birds.", b"broken \xff utf-8"]
    body = rest_request({"question": questions, "context": contexts}, columns=columns)
    found = run_json(qa.loaded, json.dumps(body))
    expected = qa.run(question=questions, context=contexts)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_without_the_package(exported, tmp_path, monkeypatch):
    """The message names the package, and nothing has been written yet."""
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    qa = exported("BigBirdForQuestionAnswering")
    with pytest.raises(ImportError, match=r"bigbird-tf\[serving\]"):
        export_saved_model(qa.model, tmp_path, qa.tokenizer, warmup=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parity
class TestWarmup:
    def test_parses_and_replays(self, exported, tmp_path):
        from tensorflow_serving.apis import prediction_log_pb2

        qa = exported("BigBirdForQuestionAnswering")
        folder = export_saved_model(
            qa.model,
            tmp_path / "qa",
            qa.tokenizer,
            warmup=True,
            **OPTIONS["BigBirdForQuestionAnswering"],
        )
        assert (folder / "assets.extra/tf_serving_warmup_requests").is_file()
        loaded = tf.saved_model.load(str(folder))
        lengths = []
        for record in tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            assert log.WhichOneof("log_type") == "predict_log"
            request = log.predict_log.request
            assert request.model_spec.name == "qa"
            outputs = run_request(loaded, request)
            assert np.isfinite(outputs["score"]).all()
            context = tf.make_ndarray(request.inputs["context"])[0]
            lengths.append(len(qa.tokenizer.tokenize(context)))
        # Both kinds of attention are warm then: full and sparse.
        assert min(lengths) + 8 <= qa.model.config.longest_full_attention < max(lengths)

    def test_predict_requests(self, exported, tmp_path):
        from examples.serving.grpc_client import predict_request

        qa = exported("BigBirdForQuestionAnswering")
        inputs = {"question": ["who?"], "context": ["Eleven birds sing."]}
        request = predict_request("qa", inputs, signature_name="n_best")
        assert request.model_spec.name == "qa"
        found = run_request(qa.loaded, type(request).FromString(request.SerializeToString()))
        expected = qa.run("n_best", **inputs)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)

    def test_records_of_ones_own(self, exported, tmp_path):
        from tensorflow_serving.apis import prediction_log_pb2

        requests = [{"text": ["a"]}, {"text": ["b", "c"]}]
        path = write_warmup_requests(
            tmp_path, requests, model_name="m", signature_name="serving_default"
        )
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        read = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
        texts = [tf.make_ndarray(log.predict_log.request.inputs["text"]).tolist() for log in read]
        assert texts == [[b"a"], [b"b", b"c"]]
