import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird_tf import models
from bigbird_tf.cli import commands, inputs
from bigbird_tf.preprocessing import BigBirdTokenizer
from bigbird_tf.serving import export_saved_model
from tests.preprocessing.conftest import train_vocabulary
from tests.serving.conftest import small_config

ROOT = Path(__file__).parents[2]
COMMANDS = ("convert", "demo", "evaluate", "export", "info", "pattern", "predict", "prepare")
PAGE = "Eleven birds walks in the stone house. A river sings for it."


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A question-answering model as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("pretrained")
    models.BigBirdForQuestionAnswering(small_config()).save_pretrained(folder)
    BigBirdTokenizer(train_vocabulary()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def squad(tmp_path_factory):
    file = tmp_path_factory.mktemp("squad") / "dev.json"
    qas = [
        {"id": f"q{i}", "question": q, "answers": [{"text": "Eleven birds", "answer_start": 0}]}
        for i, q in enumerate(["Who?", "What sings?", "Where?"])
    ]
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": PAGE, "qas": qas}]}]}))
    return file


class TestHelp:
    def test_lists_the_commands(self, run):
        outcome = run("--help")
        assert outcome.code == 0
        for command in COMMANDS:
            assert re.search(rf"\b{command}\b", outcome.out), command

    @pytest.mark.parametrize("command", [*COMMANDS, "convert google", "convert bert"])
    def test_of_each_command(self, run, command):
        outcome = run(*command.split(), "--help")
        assert outcome.code == 0
        assert f"Usage: bigbird-tf {command}" in outcome.out

    def test_nothing_given(self, run):
        assert "Usage:" in (outcome := run()).out + outcome.err
        assert outcome.code == 2

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["--help"], 0),
            (["predict", "--help"], 0),
            (["pattern", "--colour", "red"], 2),
            (["export"], 2),
            (["nothing"], 2),
        ],
    )
    def test_does_not_import_tensorflow(self, arguments, code):
        script = (
            "import sys\n"
            f"sys.argv = ['bigbird-tf', *{arguments!r}]\n"
            "from bigbird_tf.cli import main\n"
            "try:\n"
            "    main()\n"
            "except SystemExit as exit_:\n"
            f"    assert exit_.code == {code}, exit_.code\n"
            "heavy = {'tensorflow', 'keras', 'numpy', 'bigbird_tf.config'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def test_as_a_module(self):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "bigbird_tf.cli", "pattern", "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Usage: bigbird-tf pattern" in done.stdout
        imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
        assert "bigbird_tf.cli.commands" in imported
        assert not {"tensorflow", "keras", "numpy"} & imported

    def test_version(self, run):
        outcome = run("--version")
        assert outcome.code == 0
        assert re.fullmatch(r"bigbird-tf \d+\.\d+\S*\n", outcome.out)


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["info", "no/such/folder/here"], "No directory"),
            (["predict", "no/such/folder/here", "text"], "No directory"),
            (["export", "no/such/folder/here", "out"], "No directory"),
            (["convert", "google", "nothing", "nothing.json", "out"], "nothing"),
            (["convert", "bert", "no/such/folder/here", "out"], "No directory"),
            (["pattern", "--window", "4"], "`num_window_blocks` must be odd"),
            (["pattern", "--window", "-1"], "`num_window_blocks` must be a positive integer"),
            (["pattern", "--window", "1,2,3"], "`num_window_blocks` must be a number or two"),
            (["pattern", "--global=-1,0"], "`num_global_blocks` must be an integer, 0 or more"),
            (["pattern", "--plan", "mine"], "`random_plan` must be"),
            (
                ["pattern", "--causal", "--global-tokens", "9"],
                "read all of it, which no decoder's do",
            ),
            (["pattern", "--length", "320"], "too short for its random blocks"),
            (["pattern", "--head", "12", "-o", "x.png"], "`head` must be from 0 to 11"),
        ],
    )
    def test_a_message_and_no_traceback(self, run, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        outcome = run(*arguments)
        assert outcome.code == 1
        assert message in outcome.err
        assert "Traceback" not in outcome.err
        assert outcome.out == ""
        assert list(tmp_path.iterdir()) == []

    def test_unknown_options(self, run):
        outcome = run("pattern", "--colour", "red")
        assert outcome.code == 2
        assert "--colour" in outcome.err

    def test_verbose_shows_the_traceback(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["bigbird-tf", "pattern", "--window", "4", "--verbose"])
        with pytest.raises(ValueError, match="odd"):
            commands.main()

    def test_defects_are_not_hidden(self, monkeypatch):
        def fail(*args, **kwargs):
            raise ZeroDivisionError

        monkeypatch.setattr(commands.subprocess, "run", fail)
        monkeypatch.setattr(sys, "argv", ["bigbird-tf", "demo"])
        with pytest.raises(ZeroDivisionError):
            commands.main()

    def test_out_of_the_graph(self, run, tmp_path):
        """What a check inside a SavedModel says is a message, too."""
        model = models.BigBirdForCausalLM(small_config())
        model.save_pretrained(tmp_path)
        BigBirdTokenizer(train_vocabulary()).save_pretrained(tmp_path)
        outcome = run("predict", tmp_path, "bird " * 99, "--option", "max_new_tokens=3")
        assert outcome.code == 1
        assert "A prompt must have at most 58 pieces" in outcome.err
        assert "Traceback" not in outcome.err

    @pytest.mark.parametrize("option", ["num_best", "=3", "num best=3"])
    def test_malformed_options(self, run, pretrained, option):
        outcome = run("predict", pretrained, "text", "--option", option)
        assert outcome.code == 1
        assert "--option must be NAME=VALUE" in outcome.err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("None", None),
        ("true", True),
        ("True", True),
        ("False", False),
        ("3", 3),
        ('{"top_k": 5}', {"top_k": 5}),
        ("none", "none"),
        ("float16", "float16"),
    ],
)
def test_values_of_options(text, value):
    parsed = inputs.parse_options([f"no_answer_threshold={text}"])
    assert parsed == {"no_answer_threshold": value}
    assert type(parsed["no_answer_threshold"]) is type(value)


class TestDamagedModels:
    @pytest.fixture(scope="class")
    @classmethod
    def exported(cls, tmp_path_factory):
        model = models.BigBirdForTokenClassification(small_config())
        tokenizer = BigBirdTokenizer(train_vocabulary())
        return export_saved_model(model, tmp_path_factory.mktemp("exported"), tokenizer)

    @pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
    def test_truncated_saved_model(self, run, exported, tmp_path, file):
        folder = shutil.copytree(exported, tmp_path / "1")
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        outcome = run("predict", tmp_path, "a text")
        assert outcome.code == 1
        assert f"The SavedModel {folder} is damaged" in outcome.err
        assert "Traceback" not in outcome.err

    @pytest.mark.parametrize("file", ["model.safetensors", "config.json", "spiece.model"])
    def test_truncated_checkpoint(self, run, pretrained, tmp_path, file):
        folder = shutil.copytree(pretrained, tmp_path / "model")
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        for arguments in (["predict", folder, "a text"], ["export", folder, tmp_path / "out"]):
            outcome = run(*arguments)
            assert outcome.code == 1
            # The message names the file, or what it must be.
            assert file in outcome.err or "SentencePiece model" in outcome.err
            assert "Traceback" not in outcome.err
        assert not (tmp_path / "out").exists()


class TestInfo:
    def test_versions(self, run):
        import tensorflow as tf

        outcome = run("info")
        assert outcome.code == 0
        assert tf.__version__ in outcome.out

    def test_model(self, run, pretrained):
        outcome = run("info", pretrained)
        lines = dict(re.split(r"  +", line, maxsplit=1) for line in outcome.out.splitlines())
        model = models.BigBirdForQuestionAnswering.from_pretrained(pretrained)
        assert lines == {
            "class": "BigBirdForQuestionAnswering",
            "encoder": "1 layers, width 28, 4 heads, vocabulary of 131, 2 token types, up to 61 "
            "tokens; block_sparse attention, blocks of 4, 1 random, full up to 28 tokens",
            "weights": str(pretrained / "model.safetensors"),
            "parameters": f"{model.count_params():,} (F32)",
            "heads": "question answering",
            "tokenizer": "BigBirdTokenizer, 118 pieces",
            "special ids": "pad 0, bos 2 (the config has 1), eos 1 (the config has 2), cls 3, "
            "sep 4, mask 5, unk 6",
        }

    def test_long_lines_are_whole(self, run, pretrained, tmp_path):
        folder = shutil.copytree(pretrained, tmp_path / ("long " * 45).strip())
        assert str(folder / "model.safetensors") in run("info", folder).out

    def test_a_line_for_each_field(self, run, tmp_path):
        """The shipped model's config has the names of 120 packages in it."""
        model = models.BigBirdModel(small_config(extra={"packages": [f"p{i}" for i in range(99)]}))
        model.save_pretrained(tmp_path)
        outcome = run("info", tmp_path, "--config")
        names = [line.split()[0] for line in outcome.out.splitlines()]
        assert names == sorted(model.config.to_dict() | {"architectures": 0})
        assert max(map(len, outcome.out.splitlines())) <= 200
        assert re.search(r"packages +\['p0', 'p1'.*…", outcome.out)


class TestQuestionAnswering:
    """`export`, `predict` on both forms of a model, and `evaluate`."""

    def test_from_end_to_end(self, run, pretrained, squad, tmp_path, monkeypatch):
        exported = run("export", pretrained, tmp_path / "qa", "--option", "num_best=2")
        assert exported.code == 0, exported.err
        assert exported.out.strip() == str(tmp_path / "qa/1")

        page = tmp_path / "page.txt"
        page.write_text(PAGE)
        outcome = run("predict", pretrained, "-q", "Who?", "-f", page, "-f", page)
        assert outcome.code == 0, outcome.err
        first, second = map(json.loads, outcome.out.splitlines())
        assert first == second
        assert first["answer"] == PAGE[first["start"] : first["end"]]

        records = tmp_path / "records.jsonl"
        record = {"question": "Who?", "context": PAGE}
        records.write_text(f"{json.dumps(record)}\n\n{json.dumps(record)}\n")
        n_best = run("predict", tmp_path / "qa", "--jsonl", records, "--signature", "n_best")
        for line in n_best.out.splitlines():
            answers = json.loads(line)
            assert len(answers["answer"]) == 2
            assert answers["answer"][0] == first["answer"]
            assert answers["score"][0] == pytest.approx(first["score"], abs=1e-4)

        predictions = tmp_path / "predictions.json"
        arguments = ["--predictions", predictions, "--limit", 2, "--batch-size", 2]
        outcome = run("evaluate", tmp_path / "qa", squad, *arguments)
        assert outcome.code == 0, outcome.err
        answers = json.loads(predictions.read_text())
        assert list(answers) == ["q0", "q1"]
        assert answers["q0"] == first["answer"]
        assert set(json.loads(outcome.out)) == {"exact_match", "f1"}

    def test_lines_of_standard_input(self, run, pretrained, monkeypatch):
        monkeypatch.setattr(sys, "stdin", iter(["one line\n", "\n", "eleven birds\n"]))
        outcome = run("predict", pretrained, "-q", "Who?", "--batch-size", 2)
        assert [json.loads(line)["end"] <= 12 for line in outcome.out.splitlines()] == [True] * 3

    def test_lines_before_a_broken_one_are_answered(self, run, pretrained, monkeypatch):
        record = json.dumps({"question": "Who?", "context": PAGE}) + "\n"
        monkeypatch.setattr(sys, "stdin", iter([record, record, "broken\n", record]))
        outcome = run("predict", pretrained, "--jsonl", "-")
        assert len(outcome.out.splitlines()) == 2
        assert outcome.code == 1
        assert "Line 3 is no JSON" in outcome.err

    def test_files_that_are_no_utf8(self, run, pretrained, tmp_path):
        file = tmp_path / "latin.txt"
        file.write_bytes(b"caf\xe9 " + PAGE.encode())
        outcome = run("predict", pretrained, "-q", "Who?", "-f", file)
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["end"] <= len(PAGE) + 5
        outcome = run("predict", pretrained, "--jsonl", file)
        assert outcome.code == 1
        assert "latin.txt must be UTF-8" in outcome.err

    def test_predictions_into_a_folder(self, run, pretrained, squad, tmp_path):
        outcome = run("evaluate", pretrained, squad, "--predictions", tmp_path)
        assert outcome.code == 1
        assert "--predictions must be a file" in outcome.err
        assert outcome.out == ""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["text", "--option", "tokenizer=null"], "--option cannot set tokenizer"),
            (["text", "--option", "doc_stride=abc"], "`doc_stride` must be a positive integer"),
            (["text", "--option", "no_answer_threshold=x"], "`no_answer_threshold` must be a num"),
            (["text"], "A record must have context, question. Received: context"),
            (["text", "--signature", "best"], "`signature` must be one of from_ids, n_best"),
            (["text", "--option", "top_p=3"], "no option top_p"),
            (["text", "--class", "BigBird"], "must be one of BigBirdForCausalLM"),
            (["text", "--jsonl", "x.jsonl"], "--jsonl has the texts already"),
            (["--jsonl", "no_such_file.jsonl"], "no_such_file.jsonl"),
        ],
    )
    def test_mistakes(self, run, pretrained, arguments, message):
        outcome = run("predict", pretrained, *arguments)
        assert outcome.code == 1
        assert message in outcome.err
        assert "Traceback" not in outcome.err
