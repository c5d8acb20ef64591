"""What export writes beside the graph: assets, warm-up requests; and errors of files on the way."""

import types

import pytest
import tensorflow as tf

from bigbird_tf.serving import export, warmup
from bigbird_tf.serving.export import SERVABLES


class TinyServable:
    """A servable of one weight, which adds it to numbers."""

    def __init__(self):
        self.variables = {"weight": tf.Variable([2.5, 0.0])}

    def write_assets(self, folder):
        (folder / "labels.txt").write_text("a\nb\n")
        (folder / "spiece.model").write_bytes(b"pieces")

    def signatures(self):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")], autograph=False)
        def add(x):
            return {"sum": x + self.variables["weight"][0]}

        return {"serving_default": add.get_concrete_function()}


def test_what_is_in_a_version(tmp_path):
    export._write_saved_model(TinyServable(), tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "assets", "fingerprint.pb", "saved_model.pb", "variables",
    ]  # fmt: skip
    assets = {entry.name: entry.read_bytes() for entry in (tmp_path / "assets").iterdir()}
    assert assets == {"labels.txt": b"a\nb\n", "spiece.model": b"pieces"}
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.signatures["serving_default"](x=tf.constant([1.0]))
    assert found["sum"].numpy().tolist() == [3.5]
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "variables/variables"))]
    assert any("weights/weight/" in name for name in names)


def test_gradients_are_left_out(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(tf.saved_model, "save", lambda *args: seen.append(args))
    export._write_saved_model(TinyServable(), tmp_path)
    [(module, folder, signatures, options)] = seen
    assert options.experimental_custom_gradients is False
    assert folder == str(tmp_path)
    assert list(signatures) == ["serving_default"]
    assert [asset.asset_path.numpy().decode()[-10:] for asset in module.assets] == [
        "labels.txt", "iece.model",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kind", [tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError]
)
def test_errors_of_tensorflow_are_errors_of_files(tmp_path, monkeypatch, kind):
    def fail(*args):
        raise kind(None, None, "no room left")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match=r"^no room left$") as caught:
        export._write_saved_model(TinyServable(), tmp_path)
    assert isinstance(caught.value.__cause__, kind)


class Message:
    """Stands for a message of `tensorflow_serving.apis`; its bytes name all that was set."""

    def __init__(self, **fields):
        self.model_spec = types.SimpleNamespace()
        self.inputs = {}
        vars(self).update(fields)

    def SerializeToString(self):
        request = self.predict_log.request
        inputs = {
            name: tf.make_ndarray(slot.value).tolist() for name, slot in request.inputs.items()
        }
        return repr((vars(request.model_spec), inputs)).encode()


class Slots(dict):
    def __missing__(self, name):
        self[name] = types.SimpleNamespace()
        self[name].CopyFrom = lambda value: setattr(self[name], "value", value)
        return self[name]


@pytest.fixture
def serving_apis(monkeypatch):
    predict_pb2 = types.SimpleNamespace(PredictRequest=lambda: Message(inputs=Slots()))
    log_pb2 = types.SimpleNamespace(PredictionLog=Message, PredictLog=Message)
    monkeypatch.setattr(warmup, "import_serving_apis", lambda: (predict_pb2, log_pb2))


@pytest.mark.parametrize("options", [{}, {"signature_name": "n_best"}])
def test_warmup_requests(tmp_path, serving_apis, options):
    """Where TensorFlow Serving looks for them, all strings, under the model's name."""
    requests = [
        {"question": ["a"], "context": ["b"]},
        {"question": ["c", "d"], "context": ["", ""]},
    ]
    file = warmup.write_warmup_requests(tmp_path, iter(requests), model_name="qa", **options)
    assert file == tmp_path / "assets.extra/tf_serving_warmup_requests"
    records = [eval(r) for r in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()]
    name = options.get("signature_name", "serving_default")
    assert [spec for spec, _ in records] == [{"name": "qa", "signature_name": name}] * 2
    assert [inputs for _, inputs in records] == [
        {"question": [b"a"], "context": [b"b"]},
        {"question": [b"c", b"d"], "context": [b"", b""]},
    ]


def test_servables_by_class():
    """A head's servable has its name; a pre-training model serves what its masks hide."""
    others = {
        "BigBirdModel": "EncoderServable",
        "BigBirdForPreTraining": "MaskedLMServable",
        "BigBirdPegasusForConditionalGeneration": "SummarizationServable",
    }
    for name, servable in SERVABLES.items():
        expected = others.get(
            name, name.replace("Pegasus", "").replace("BigBirdFor", "") + "Servable"
        )
        assert servable.__name__ == expected
