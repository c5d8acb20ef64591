"""What commands print, where, and in one piece; what they call is played."""

import io
import json
import logging
import os
import signal
from importlib import metadata
from pathlib import Path

import keras
import pytest
import rich.console

from bigbird_tf import checkpoints, config, serving
from bigbird_tf.attention.pattern.pattern_report import PatternReport
from bigbird_tf.cli import commands, interrupts, model_info, tables, terminal
from bigbird_tf.serving import evaluation, predictor
from bigbird_tf.version import __version__

# Longer than any terminal is wide, with what `rich` would take for a style or an emoji.
LONG = f"{'folder of many words/' * 20}[bold]x[/bold] :smile: [red]1"


def played(result):
    def play(*args, **kwargs):
        if isinstance(result, BaseException):
            raise result
        return result

    return play


def test_the_path_of_an_export_is_one_line_as_it_is(run, monkeypatch):
    monkeypatch.setattr(predictor, "load_pretrained", played(("model", "tokenizer")))
    monkeypatch.setattr(serving, "export_saved_model", played(Path("out") / LONG / "7"))
    outcome = run("export", "a/model", "out")
    assert outcome.out == f"out/{LONG}/7\n"


def test_what_was_written_is_said_in_one_line_of_standard_error(run, monkeypatch):
    monkeypatch.setattr(checkpoints, "lengthen", played(None))
    outcome = run("convert", "bert", "a/model", LONG)
    assert outcome.out == ""
    assert f"written: {LONG}\n" in outcome.err


@pytest.mark.parametrize(
    "error", [ValueError(f"`x` [1, 2) {LONG}"), OSError(LONG), TypeError(LONG)]
)
def test_an_error_is_one_line_as_it_is(run, monkeypatch, error):
    """Brackets in it are no style."""
    monkeypatch.setattr(predictor, "Predictor", played(error))
    outcome = run("predict", "a/model", "text")
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert lines[-2:] == [f"Error: {error}", "--verbose shows where it comes from."]


class Answers:
    input_names = ("text",)

    def in_batches(self, records, batch_size):
        yield {"answer": "Zürich 日本", "start": 0}


def test_results_are_json_as_people_read_it(run, monkeypatch):
    monkeypatch.setattr(predictor, "Predictor", played(Answers()))
    assert run("predict", "a/model", "x").out == '{"answer": "Zürich 日本", "start": 0}\n'


def test_results_come_as_soon_as_they_are_there(run, monkeypatch):
    """A pipe sees each line before the next text is read."""
    seen = []

    class Slow(Answers):
        def in_batches(self, records, batch_size):
            for number, record in enumerate(records):
                seen.append((number, len(written.getvalue().splitlines())))
                yield {"text": record["text"]}

    raw = io.BytesIO()

    class Pipe(io.TextIOWrapper):
        def isatty(self):
            return False

        def getvalue(self):
            return raw.getvalue()

    written = Pipe(raw, encoding="utf-8")
    monkeypatch.setattr(predictor, "Predictor", played(Slow()))
    monkeypatch.setattr("sys.stdout", written)
    run("predict", "a/model", "a", "b", "c")
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_jsonl_of_a_file(run, monkeypatch, tmp_path):
    """Characters that end a line for Python alone are part of a text."""
    seen = []

    class Reader(Answers):
        def in_batches(self, records, batch_size):
            seen.extend(records)
            return iter(())

    monkeypatch.setattr(predictor, "Predictor", played(Reader()))
    records = [{"text": " a\u2028b\u0085c "}, {"text": ""}]
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in [*records]) + "\n\n")
    assert run("predict", "a/model", "--jsonl", file).code == 0
    assert seen == records
    for arguments in (["text"], ["-f", str(file)]):
        outcome = run("predict", "a/model", *arguments, "--jsonl", file)
        assert (outcome.code, "--jsonl has the texts already" in outcome.err) == (1, True)
    file.write_bytes(b"\xff\n")
    outcome = run("predict", "a/model", "--jsonl", file)
    assert outcome.code == 1
    assert f"{file} must be UTF-8" in outcome.err.replace("\n", "")


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "pair"), ("n_best", "n_best"), ("pair", "pair")]
)
def test_a_signature_of_ones_own_with_a_pair(run, monkeypatch, given, expected):
    calls = []

    def make(model, **options):
        calls.append(options["signature"])
        return Answers()

    monkeypatch.setattr(predictor, "Predictor", make)
    options = [] if given is None else ["--signature", given]
    # An empty second text is one.
    assert run("predict", "a/model", "x", "--pair", "", *options).code == 0
    assert calls == [expected]


def test_progress_of_an_evaluation(run, monkeypatch):
    """How many are done, and of how many: three of seven."""
    seen = []

    def evaluate(*args, on_progress, **kwargs):
        monkeypatch.setattr(
            commands.rich.progress.Progress,
            "update",
            lambda self, task, **values: seen.append((task, values)),
        )
        on_progress(3, 7)
        return {"f1": 1.0}, {}

    monkeypatch.setattr(predictor, "Predictor", played("the predictor"))
    monkeypatch.setattr(evaluation, "evaluate_question_answering", evaluate)
    outcome = run("evaluate", "a/model", "dev.json")
    assert (outcome.code, outcome.out) == (0, '{"f1": 1.0}\n')
    assert seen == [(0, {"completed": 3, "total": 7})]


def lines_of(outcome):
    return [line.split(None, 1) for line in outcome.out.splitlines()]


class TestInfo:
    def test_versions_of_all_that_decides(self, run, monkeypatch):
        version = metadata.version

        def without_jax(name):
            if name == "jax":
                raise metadata.PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(metadata, "version", without_jax)
        monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "gpu:0"])
        outcome = run("info")
        lines = dict(lines_of(outcome))
        assert outcome.code == 0
        assert list(lines) == [
            "python", "bigbird-tf", "tensorflow", "tensorflow-text", "jax", "keras", "numpy",
            "backend", "devices",
        ]  # fmt: skip
        assert lines["bigbird-tf"] == __version__
        assert lines["jax"] == "not installed"
        for name in ("tensorflow", "tensorflow-text", "keras", "numpy"):
            assert lines[name] == version(name)
        assert (lines["backend"], lines["devices"]) == ("tensorflow", "cpu:0, gpu:0")
        # In a column of their own.
        assert {line.index(lines[line.split()[0]]) for line in outcome.out.splitlines()} == {17}

    def test_of_a_model(self, run, monkeypatch):
        calls = []
        monkeypatch.setattr(
            model_info,
            "describe_checkpoint",
            lambda m: calls.append(m) or {"class": LONG, "a": "b"},
        )
        outcome = run("info", "a/model")
        assert calls == ["a/model"]
        assert outcome.out == f"class  {LONG}\na      b\n"

    def test_of_its_config(self, run, monkeypatch):
        class Config:
            def to_dict(self):
                return {"b": "[1, 2]", "a": None, "c": LONG}

        calls = []
        monkeypatch.setattr(
            config, "config_of_any_family", lambda name: calls.append(name) or Config()
        )
        outcome = run("info", "a/model", "--config")
        assert calls == ["a/model"]
        assert outcome.out.splitlines()[:2] == ["a  None", "b  [1, 2]"]
        # A line each, cut where the terminal ends.
        assert len(outcome.out.splitlines()) == 3
        assert outcome.out.splitlines()[2].endswith("…")

    def test_version_where_it_is_not_installed(self, run, monkeypatch):
        def missing(name):
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "version", missing)
        assert run("--version").out == f"bigbird-tf {__version__}\n"


REPORT = PatternReport(
    num_tokens=4096,
    key_blocks=(2, 7.25, 64),
    share_of_full=0.12345,
    flops=1_234_000_000,
    full_flops=9_876_500_000,
    score_bytes=3 * 2**19,
    full_score_bytes=7 * 2**20,
    path_lengths={"window": (4.5, float("inf")), "all": (1.256, 2.0)},
)


@pytest.mark.parametrize("all_heads", [True, False])
def test_report_as_tables(all_heads):
    out = rich.console.Console(file=io.StringIO(), width=120)
    tables.print_report(REPORT, out, all_heads=all_heads)
    text = out.file.getvalue()
    lines = [line.strip() for line in text.splitlines()]
    rows = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in lines if "│" in line]
    reads = "key blocks that a query block reads" + (" in any head" if all_heads else "")
    assert rows == [
        [reads, "7.2 (2 to 64)", "all"],
        ["share of the matrix", "12.3%", "100%"],
        ["operations, one layer", "1.23 G", "9.88 G"],
        ["bytes of scores, one layer", "1.5 MiB", "7.0 MiB"],
        ["window", "4.50", "inf"],
        ["all", "1.26", "2"],
    ]
    assert "4096 tokens" in lines
    assert "Layers from one token to another" in " ".join(lines)
    heads = [line.strip("┃").split("┃") for line in lines if "┃" in line]
    assert [[cell.strip() for cell in head] for head in heads] == [
        ["", "BigBird", "full attention"],
        ["attention", "mean", "longest"],
    ]


@pytest.mark.parametrize(("options", "all_heads"), [([], True), (["--head", "0"], False)])
def test_whether_paths_may_change_heads(run, monkeypatch, options, all_heads):
    """A drawing's file is said on standard error, and results are on standard output."""
    calls = []
    monkeypatch.setattr(
        tables, "print_report", lambda *args, **kwargs: calls.append((args, kwargs))
    )
    monkeypatch.setattr(
        "bigbird_tf.attention.pattern.pattern_report.report_pattern", played("the report")
    )
    monkeypatch.setattr("bigbird_tf.attention.pattern.pattern_figure.draw_pattern", played(None))
    outcome = run("pattern", "-o", "[x]/:smile:.svg", *options)
    assert calls == [(("the report", commands.console), {"all_heads": all_heads})]
    assert (outcome.out, "drawn: [x]/:smile:.svg\n" in outcome.err) == ("", True)


def test_where_messages_go():
    assert terminal.console.stderr is False
    assert terminal.messages.stderr is True
    assert commands.console is terminal.console


def test_signals_are_sent_again_soon():
    """So that none is lost; often enough for people, and seldom enough for what clears up."""
    assert 0.05 <= interrupts.PAUSE <= 0.2
    before = signal.getsignal(signal.SIGTERM)
    with interrupts.signal_handler():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_malformed_option_is_known_before_the_model_is_loaded(run, monkeypatch):
    calls = []
    monkeypatch.setattr(predictor, "load_pretrained", lambda *args: calls.append(args))
    monkeypatch.setattr(predictor, "Predictor", lambda *args, **kwargs: calls.append(args))
    for command in (["export", "a/model", "out"], ["predict", "a/model", "text"]):
        outcome = run(*command, "--option", "num_best")
        assert (outcome.code, outcome.out, calls) == (1, "", [])
        assert "--option must be NAME=VALUE" in outcome.err


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("bigbird_tf.serving.export_saved_model", ["export", "m", "out"]),
        ("bigbird_tf.serving.evaluation.evaluate_question_answering", ["evaluate", "m", "x.json"]),
        (
            "bigbird_tf.checkpoints.convert_model_garden_encoder",
            ["convert", "model-garden", *"abc"],
        ),
        ("bigbird_tf.cli.model_info.describe_checkpoint", ["info", "m"]),
        ("bigbird_tf.config.config_of_any_family", ["info", "m", "--config"]),
        ("bigbird_tf.attention.pattern.pattern_figure.draw_pattern", ["pattern", "-o", "x.svg"]),
    ],
)
def test_a_mistake_in_the_second_half_of_a_command(run, monkeypatch, target, arguments):
    """Status 1, and nothing on standard output, nor that anything was written."""
    monkeypatch.setattr(predictor, "load_pretrained", played(("model", "tokenizer")))
    monkeypatch.setattr(predictor, "Predictor", played("the predictor"))
    loader = "bigbird_tf.checkpoints.model_garden_checkpoint.load_model_garden_encoder"
    monkeypatch.setattr(loader, played("the encoder"))
    monkeypatch.setattr(target, played(ValueError("`x` must be y")))
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert "Error: `x` must be y" in outcome.err
    assert "written" not in outcome.err
    assert "drawn" not in outcome.err


def test_the_demo_without_the_repository(run, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(commands.subprocess, "run", lambda *args, **kwargs: calls.append(args))
    monkeypatch.setattr(commands, "__file__", str(tmp_path / "bigbird_tf/cli/commands.py"))
    outcome = run("demo")
    assert (outcome.code, calls) == (1, [])
    assert "The demo is part of the repository" in outcome.err


@pytest.mark.parametrize(
    ("before", "arguments", "expected"),
    [
        (None, [], "3"),
        ("0", [], "0"),
        (None, ["--verbose"], None),
    ],
)
def test_what_libraries_log(run, monkeypatch, before, arguments, expected):
    """Nothing, unless the user wants it."""
    name = "TF_CPP_MIN_LOG_LEVEL"
    if before is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, before)
    levels = {}
    for logger in ("absl", "huggingface_hub"):
        monkeypatch.setattr(logging.getLogger(logger), "level", logging.DEBUG)
        monkeypatch.setattr(
            logging.getLogger(logger),
            "setLevel",
            lambda level, logger=logger: levels.update({logger: level}),
        )
    assert run(*arguments, "--version").code == 0
    assert os.environ.get(name) == expected
    monkeypatch.setenv(name, "3")
    hidden = dict.fromkeys(["absl", "huggingface_hub"], logging.ERROR)
    assert levels == ({} if "--verbose" in arguments else hidden)
