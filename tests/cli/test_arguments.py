"""What each subcommand hands on, and the status it ends with. What it calls only takes notes."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from bigbird_tf import checkpoints, serving
from bigbird_tf.attention import BlockPattern
from bigbird_tf.attention.pattern import pattern_figure, pattern_report
from bigbird_tf.checkpoints import model_garden_checkpoint
from bigbird_tf.cli import commands
from bigbird_tf.cli.inputs import parse_options
from bigbird_tf.serving import predictor
from tests.cli.conftest import Notes


class FakePredictor:
    """Takes texts, and answers each with itself."""

    input_names = ("text",)

    def __init__(self):
        self.records, self.batch_size = [], None

    def in_batches(self, records, batch_size):
        self.batch_size = batch_size
        for record in records:
            self.records.append(record)
            yield {"number": len(self.records)}


class TestExport:
    def test_all_options(self, run, notes):
        load = notes(predictor, "load_pretrained", ("model", "tokenizer"))
        export = notes(serving, "export_saved_model", Path("out/7"))
        outcome = run(
            "export", "a/model", "out", "--class", "BigBirdModel", "--max-length", 99,
            "--weight-dtype", "bfloat16", "--warmup", "--option", "num_best=3", "--option", "x=y",
        )  # fmt: skip
        assert (outcome.code, outcome.out) == (0, "out/7\n"), outcome.err
        assert load.call == (("a/model", "BigBirdModel"), {})
        arguments = {"max_length": 99, "weight_dtype": "bfloat16", "num_best": 3, "x": "y"}
        assert export.call == (
            ("model", Path("out"), "tokenizer"), {"warmup": True, **arguments}
        )  # fmt: skip

    def test_no_options(self, run, notes):
        load = notes(predictor, "load_pretrained", ("model", "tokenizer"))
        export = notes(serving, "export_saved_model", Path("out/1"))
        assert run("export", "a/model", "out").code == 0
        assert load.call == (("a/model", None), {})
        assert export.call == (("model", Path("out"), "tokenizer"), {"warmup": False})


class TestPredict:
    @pytest.fixture
    def fake(self):
        return FakePredictor()

    @pytest.fixture
    def make(self, notes, fake):
        return notes(predictor, "Predictor", fake)

    def test_all_options(self, run, make, fake, tmp_path):
        file = tmp_path / "page.txt"
        file.write_bytes(b"  of a file \xff\n")
        outcome = run(
            "predict", "a/model", "one", "two", "-f", file, "-q", "Who?", "-c", "a", "-c", "b",
            "--pair", "second", "--signature", "n_best", "--batch-size", 3,
            "--class", "BigBirdModel", "--option", "num_best=4",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        assert [json.loads(line) for line in outcome.out.splitlines()] == [
            {"number": i} for i in (1, 2, 3)
        ]
        options = {"class_name": "BigBirdModel", "signature": "n_best", "num_best": 4}
        assert make.call == (("a/model",), options)
        assert fake.batch_size == 3
        shared = {"question": "Who?", "choices": ["a", "b"], "text_pair": "second"}
        # Files as they are, to the last byte.
        assert fake.records == [
            {"text": text, **shared} for text in ("one", "two", b"  of a file \xff\n")
        ]

    def test_defaults(self, run, make, fake):
        assert run("predict", "a/model", "one").code == 0
        assert make.call == (("a/model",), {"class_name": None, "signature": "serving_default"})
        assert (fake.batch_size, fake.records) == (8, [{"text": "one"}])

    def test_a_pair_has_its_signature(self, run, make, fake):
        assert run("predict", "a/model", "one", "--pair", "two").code == 0
        assert make.call[1]["signature"] == "pair"

    def test_texts_are_contexts_where_the_model_asks_for_these(self, run, make, fake):
        fake.input_names = ("context", "question")
        assert run("predict", "a/model", "one", "-q", "Who?").code == 0
        assert fake.records == [{"context": "one", "question": "Who?"}]

    def test_lines_of_standard_input_as_they_are(self, run, make, fake, monkeypatch):
        """Spaces at both ends are the text's; the end of the line alone is not."""
        lines = b"  two before\ntwo after  \r\n\n\t\n \xff\nno end "
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
        assert run("predict", "a/model").code == 0
        texts = [b"  two before", b"two after  ", b"", b"\t", b" \xff", b"no end "]
        assert fake.records == [{"text": text} for text in texts]

    def test_records_of_standard_input(self, run, make, fake, monkeypatch):
        monkeypatch.setattr(sys, "stdin", iter(['{"text": "  a "}\n', " \n", '{"text": ""}']))
        assert run("predict", "a/model", "--jsonl", "-").code == 0
        assert fake.records == [{"text": "  a "}, {"text": ""}]

    def test_no_standard_input(self, run, make, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        outcome = run("predict", "a/model")
        assert (outcome.code, outcome.out) == (1, "")
        assert "There is no text" in outcome.err


@pytest.mark.parametrize(
    "name", ["class_name", "model", "name_or_path", "path", "signature", "tokenizer", "warmup"]
)
def test_what_no_option_of_a_head_may_set(name):
    """Else it would be given twice, or to another function than is meant."""
    with pytest.raises(ValueError, match=f"--option cannot set {name}"):
        parse_options([f"{name}=1"])


def test_values_of_options():
    """The first equals sign ends the name; what is no JSON is a string."""
    given = [
        "a=b=c",
        'prompt="x=1"',
        'generation={"top_k": 5}',
        "num_best=3",
        "text=",
        "b= c ",
        "n==",
    ]
    assert parse_options(given) == {
        "a": "b=c", "prompt": "x=1", "generation": {"top_k": 5}, "num_best": 3, "text": "",
        "b": " c ", "n": "=",
    }  # fmt: skip
    assert parse_options(None) == parse_options([]) == {}
    for option in ("num_best", "=3", "num-best=3", ""):
        with pytest.raises(ValueError, match=f"--option must be NAME=VALUE.*Received: {option}$"):
            parse_options([option])


class TestPattern:
    def test_all_options(self, run, notes, monkeypatch):
        build = Notes("the pattern")
        monkeypatch.setattr(BlockPattern, "build", build)
        report = notes(pattern_report, "report_pattern", "the report")
        draw = notes(pattern_figure, "draw_pattern")
        as_json = Notes({"shown": 1})
        monkeypatch.setattr("bigbird_tf.cli.tables.report_as_json", as_json)
        outcome = run(
            "pattern", "--length", 129, "--block-size", 16, "--random", 2, "--window", "5,2",
            "--global", 3, "--heads", 7, "--head-size", 11, "--layer", 4, "--plan", "transformers",
            "--causal", "--head", 6, "-o", "figure.svg", "--json",
        )  # fmt: skip
        assert (outcome.code, json.loads(outcome.out)) == (0, {"shown": 1}), outcome.err
        # 129 tokens are nine blocks of 16, the last one with a single token.
        assert build.call == (
            (9, 7),
            {
                "block_size": 16, "num_random_blocks": 2, "num_window_blocks": (5, 2),
                "num_global_blocks": 3, "seed": 4, "random_plan": "transformers",
                "is_causal": True,
            },
        )  # fmt: skip
        assert report.call == (("the pattern", 16, 11, 6), {})
        assert draw.call == (("the pattern", Path("figure.svg"), 6), {})
        assert as_json.call == (("the report",), {})


class TestConvert:
    def test_google(self, run, notes):
        convert = notes(checkpoints, "convert_google_checkpoint")
        outcome = run("convert", "google", "model.ckpt", "config.json", "out")
        assert (outcome.code, outcome.out) == (0, "")
        assert "written: out" in outcome.err
        assert convert.call == ((Path("model.ckpt"), Path("config.json"), Path("out")), {})

    def test_model_garden(self, run, notes):
        load = notes(model_garden_checkpoint, "load_model_garden_encoder", "the encoder")
        convert = notes(checkpoints, "convert_model_garden_encoder")
        outcome = run("convert", "model-garden", "ckpt-3", "config.json", "out")
        assert outcome.code == 0
        assert "written: out" in outcome.err
        assert load.call == ((Path("ckpt-3"), Path("config.json")), {})
        assert convert.call == (("the encoder", Path("out")), {})

    def test_bert(self, run, notes):
        lengthen = notes(checkpoints, "lengthen")
        outcome = run("convert", "bert", "a/model", "out", "--length", 999, "--block-size", 32)
        assert outcome.code == 0
        assert "written: out" in outcome.err
        assert lengthen.call == (("a/model", 999), {"output_dir": Path("out"), "block_size": 32})
        run("convert", "bert", "a/model", "out")
        assert lengthen.calls[1] == (
            ("a/model", 4096), {"output_dir": Path("out"), "block_size": 64}
        )  # fmt: skip


class TestDemo:
    @pytest.mark.parametrize("code", [0, 3])
    @pytest.mark.parametrize("quick", [True, False])
    def test_the_demos_status_is_the_commands(self, run, monkeypatch, code, quick):
        ran = Notes(subprocess.CompletedProcess([], code))
        monkeypatch.setattr(commands.subprocess, "run", ran)
        assert run("demo", *(["--quick"] if quick else [])).code == code
        [command], kwargs = ran.call
        assert command[1:] == ["-m", "examples.docs_qa.demo", *(["--quick"] if quick else [])]
        assert (kwargs["cwd"] / "examples/docs_qa/demo.py").is_file()


class TestStatus:
    """0 for success; 1 for a mistake that a function names; 2 for what is no such command."""

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("`x` must be y"),
            TypeError("no text"),
            FileNotFoundError("no such file"),
            PermissionError("not yours"),
            ImportError("pip install it"),
            tf.errors.InvalidArgumentError(None, None, "not in the vocabulary"),
            tf.errors.ResourceExhaustedError(None, None, "no memory"),
        ],
        ids=lambda error: type(error).__name__,
    )
    @pytest.mark.parametrize(
        ("module", "name", "arguments"),
        [
            (predictor, "load_pretrained", ["export", "a/model", "out"]),
            (predictor, "Predictor", ["predict", "a/model", "text"]),
            (predictor, "Predictor", ["evaluate", "a/model", "dev.json"]),
            (checkpoints, "convert_google_checkpoint", ["convert", "google", "a", "b", "out"]),
            (checkpoints, "lengthen", ["convert", "bert", "a", "out"]),
            (pattern_report, "report_pattern", ["pattern"]),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_mistakes(self, run, notes, module, name, arguments, error):
        notes(module, name, error)
        outcome = run(*arguments)
        assert (outcome.code, outcome.out) == (1, "")
        assert "Error:" in outcome.err
        assert "--verbose" in outcome.err
        assert "Traceback" not in outcome.err
        assert "written" not in outcome.err

    @pytest.mark.parametrize(
        "arguments",
        [
            ["predict", "a/model", "--batch-size", "0"],
            ["evaluate", "a/model", "dev.json", "--batch-size", "0"],
            ["evaluate", "a/model", "dev.json", "--limit", "0"],
            ["evaluate", "a/model", "dev.json", "--schema", "glue"],
            ["evaluate", "a/model"],
            ["export", "a/model"],
            ["export", "a/model", "out", "--weight-dtype", "float8"],
            ["pattern", "--length", "0"],
            ["pattern", "--heads", "0"],
            ["pattern", "--random", "-1"],
            ["convert", "google", "a", "b"],
            ["convert", "bert", "a"],
            ["convert", "model-garden"],
            ["convert", "nothing"],
            ["info", "a", "b"],
            ["demo", "--slow"],
        ],
        ids=" ".join,
    )
    def test_what_is_no_such_command(self, run, arguments):
        outcome = run(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "Usage: bigbird-tf" in outcome.err

    @pytest.mark.parametrize("error", [ZeroDivisionError(), AttributeError(), AssertionError()])
    def test_defects_keep_their_traceback(self, notes, monkeypatch, error):
        notes(predictor, "Predictor", error)
        monkeypatch.setattr(sys, "argv", ["bigbird-tf", "predict", "a/model", "text"])
        with pytest.raises(type(error)):
            commands.main()

    def test_verbose_wherever_it_stands(self, notes, monkeypatch):
        notes(predictor, "Predictor", ValueError("`x`"))
        for arguments in (["--verbose", "predict", "m", "t"], ["predict", "m", "--verbose", "t"]):
            monkeypatch.setattr(sys, "argv", ["bigbird-tf", *arguments])
            with pytest.raises(ValueError, match="`x`"):
                commands.main()
