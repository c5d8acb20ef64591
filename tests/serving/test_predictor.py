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

    def signatures(self):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def echo(text):
            return {"text": text, "length": tf.strings.length(text)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="number")])
        def double(number):
            return {"number": 2 * number}

        return {
            "serving_default": echo.get_concrete_function(),
            "double": double.get_concrete_function(),
        }


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
