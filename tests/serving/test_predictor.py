"""How a predictor finds its model, and what it hands on; without a model."""

import pytest
import tensorflow as tf

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.serving import predictor
from bigbird_tf.serving.predictor import Predictor, model_class_of, read_records


def versions(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "saved_model.pb").write_bytes(b"")


@pytest.mark.parametrize(
    ("names", "latest"),
    [(("9", "10"), "10"), (("2", "10", "9"), "10"), (("99", "100"), "100"), (("1",), "1")],
)
def test_the_latest_version_by_number(tmp_path, names, latest):
    versions(tmp_path, *names)
    # Neither what is no SavedModel nor what is no number.
    (tmp_path / "1000").mkdir()
    versions(tmp_path, "v2000", "٩٩٩", "²")
    assert predictor._find_saved_model(tmp_path) == tmp_path / latest


def test_a_version_itself_and_none(tmp_path):
    versions(tmp_path, "3")
    assert predictor._find_saved_model(tmp_path / "3") == tmp_path / "3"
    assert predictor._find_saved_model(tmp_path / "4") is None
    assert predictor._find_saved_model(tmp_path / "3/saved_model.pb") is None
    (tmp_path / "empty").mkdir()
    assert predictor._find_saved_model(tmp_path / "empty") is None


class FakeServable:
    """A servable whose signatures give back what they get."""

    def functions(self):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def echo(text):
            return {"text": text, "length": tf.strings.length(text)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="number")])
        def double(number):
            return {"number": 2 * number}

        return {"serving_default": echo, "double": double}


@pytest.fixture
def calls(monkeypatch):
    made = []

    def load(*args):
        made.append(args)
        return "model", "tokenizer"

    def make(*args, **options):
        made.append((*args, options))
        return FakeServable()

    monkeypatch.setattr(predictor, "load_pretrained", load)
    monkeypatch.setattr(predictor, "make_servable", make)
    return made


def test_what_it_hands_on(calls):
    made = Predictor("no/folder", class_name="BigBirdModel", signature="double", max_length=9)
    assert calls == [("no/folder", "BigBirdModel"), ("model", "tokenizer", {"max_length": 9})]
    assert made.input_names == ["number"]
    assert made([{"number": 3}, {"number": 4}]) == [{"number": 6}, {"number": 8}]
    Predictor("no/folder")
    assert calls[2:] == [("no/folder", None), ("model", "tokenizer", {})]


def test_batches(calls):
    made = Predictor("no/folder")
    sizes = []
    function = made._function

    def counted(text):
        sizes.append(int(tf.shape(text)[0]))
        return function(text=text)

    made._function = counted
    records = [{"text": " " * i} for i in range(7)]
    for size, expected in ((3, [3, 3, 1]), (7, [7]), (8, [7]), (1, [1] * 7)):
        sizes.clear()
        found = list(made.in_batches(iter(records), size))
        assert [output["length"] for output in found] == list(range(7))
        # Spaces are the text's own.
        assert [output["text"] for output in found] == [record["text"] for record in records]
        assert sizes == expected
    sizes.clear()
    list(made.in_batches(records))
    assert sizes == [7]


def test_model_class():
    def named(architectures):
        return BigBirdConfig(extra={"architectures": architectures})

    assert model_class_of(named(["BigBirdModel"])).__name__ == "BigBirdModel"
    assert model_class_of(named("BigBirdModel")).__name__ == "BigBirdModel"
    # What is asked for goes before what is named.
    asked = model_class_of(named(["BigBirdModel"]), "BigBirdForMaskedLM")
    assert asked.__name__ == "BigBirdForMaskedLM"
    for config in (BigBirdConfig(), named([]), named(["BertModel"])):
        with pytest.raises(ValueError, match="The model's class must be one of"):
            model_class_of(config)


def test_lines_are_counted_from_one_with_the_empty_ones():
    lines = ["\n", '{"a": " b "}\n', "  \n", "{\n"]
    records = read_records(lines)
    assert next(records) == {"a": " b "}
    with pytest.raises(ValueError, match="Line 4 is no JSON"):
        next(records)


class TestLoading:
    """Which class and which tokenizer a checkpoint is loaded with."""

    @pytest.fixture
    def load(self, monkeypatch):
        """Returns what `load_pretrained` asks for, with a config that names masked LM."""

        class Loader:
            def __init__(self, name):
                self.name = name

            def from_pretrained(self, path):
                return f"{self.name} of {path}"

        config = BigBirdConfig(extra={"architectures": ["BigBirdForMaskedLM"]})
        classes = {name: Loader(name) for name in predictor.MODEL_CLASSES}
        monkeypatch.setattr(predictor, "MODEL_CLASSES", classes)
        monkeypatch.setattr(predictor, "Tokenizer", Loader("tokenizer"))
        monkeypatch.setattr(predictor, "config_of_any_family", lambda path: config)

        def load(files, *args):
            def find_file(path, name):
                assert path == "a/model"
                return name if name in files else None

            monkeypatch.setattr(predictor.hub, "find_file", find_file)
            return predictor.load_pretrained("a/model", *args)

        return load

    def test_the_class_that_the_config_names(self, load):
        expected = ("BigBirdForMaskedLM of a/model", "tokenizer of a/model")
        assert load([]) == load(["config.json"]) == load([], None) == expected

    def test_a_model_of_sentence_transformers(self, load):
        """Its config names the encoder alone."""
        model, _ = load(["modules.json"])
        assert model == "BigBirdForSentenceEmbedding of a/model"

    def test_the_class_that_is_asked_for(self, load):
        model, _ = load(["modules.json"], "BigBirdModel")
        assert model == "BigBirdModel of a/model"


def test_outputs_are_plain_python(calls):
    """Strings that are no UTF-8 lose those bytes alone; whatever comes is JSON."""
    made = Predictor("no/folder")
    made._function = lambda text: {
        "nested": tf.constant([[[b"caf\xc3\xa9", b"caf\xe9"]]]),
        "b": tf.constant([1.5]),
        "a": tf.constant([7]),
    }
    [found] = made([{"text": "x"}])
    assert found == {"a": 7, "b": 1.5, "nested": [["café", "caf\ufffd"]]}
    assert list(found) == ["a", "b", "nested"]
    assert [type(found[name]) for name in "ab"] == [int, float]


def test_answers_before_a_broken_record(calls):
    """What came before it is answered, then the error; nothing after it."""

    def records():
        yield from ({"text": "a" * i} for i in range(4))
        raise ValueError("Line 5 is no JSON")

    found = Predictor("no/folder").in_batches(records(), 3)
    assert [next(found)["length"] for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="Line 5"):
        next(found)


def test_records_are_objects():
    long = "[" + "1," * 99 + "1]"
    with pytest.raises(ValueError, match=r"^Line 1 must be a JSON object. Received: \[(1,){39}1$"):
        next(read_records([f" {long}\n"]))


def test_names_of_a_record_are_checked_each_time(calls):
    made = Predictor("no/folder")
    for record, received in (({}, "nothing"), ({"text": "a", "b": 1}, "b, text"), ({"b": 1}, "b")):
        with pytest.raises(ValueError, match=f"must have text. Received: {received}$"):
            made([{"text": "a"}, record])
