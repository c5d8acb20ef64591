import dataclasses
import json

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from examples.docs_qa import demo, train_from_scratch
from examples.docs_qa.asking_export import ask_export
from examples.docs_qa.teach import Lesson
from examples.docs_qa.train import Recipe, Stage, build_model

PACKAGES = (
    *("bisect", "calendar", "colorsys", "copy", "csv", "fnmatch", "glob", "heapq"),
    *("html", "json", "linecache", "shlex", "textwrap", "tempfile"),
)
TEST_PACKAGES = ("calendar", "csv", "json", "tempfile", "textwrap")


@pytest.mark.slow
def test_training_from_scratch_from_end_to_end(tmp_path):
    """Real pages, one step a stage, and a model too small to learn."""
    plan = train_from_scratch.Plan(
        Recipe(stages=(Stage("practice", 64, 4, 1.0),)),
        {
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "num_hidden_layers": 3,
        },
    )
    console = Console(record=True, width=130)
    trained = train_from_scratch.run(
        *(plan, tmp_path / "scratch", console),
        minutes=0.001,
        packages=PACKAGES,
        vocab_size=700,
        max_questions=3,
    )
    assert json.loads((tmp_path / "scratch" / "results.json").read_text()) == trained
    assert [stage["steps"] for stage in trained["training"]] == [1]
    assert [found["view"] for found in trained["validation"]] == [
        "the first 4,096 pieces",
        "the first 512 pieces",
        "512 pieces, sliding over 4,096",
    ]
    assert "test" not in trained
    longer = train_from_scratch.run(
        *(plan, tmp_path / "longer", console),
        minutes=0.001,
        packages=PACKAGES,
        start=tmp_path / "scratch",
        max_questions=1,
    )
    assert [stage["steps"] for stage in longer["training"]] == [1]
    vocabularies = [tmp_path / name / "spiece.model" for name in ("scratch", "longer")]
    assert vocabularies[0].read_bytes() == vocabularies[1].read_bytes()


@pytest.fixture
def checkpoint(tmp_path, tokenizer):
    """A model too small to learn, which says of some packages that it was not trained on them."""
    model = build_model(
        tokenizer.vocab_size,
        tokenizer.sep_token_id,
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=16,
        num_hidden_layers=3,
    )
    known = {"test": list(TEST_PACKAGES), "train": sorted(set(PACKAGES) - set(TEST_PACKAGES))}
    model.config = model.config.replace(extra={"docs_qa_packages": known})
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path, checkpoint):
    """Real pages, and no time: every part does its part once, and says what it left out."""
    console = Console(record=True, width=130)
    settings = dataclasses.replace(
        demo.QUICK,
        minutes=0.001,
        checkpoint=checkpoint,
        max_modules=4,
        packages=PACKAGES,
        min_pages=20,
        lesson=Lesson(length=64, batch_size=4),
        max_questions=8,
        max_new=6,
        shown=2,
    )
    results = demo.run(settings, tmp_path, console)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    # There was no time at all: everything is done once.
    assert [lesson["steps"] for lesson in results["lessons"].values()] == [1, 1]
    assert [found["view"] for found in results["as_shipped"]] == [
        "the first 4,096 pieces",
        "the first 512 pieces",
        "512 pieces, sliding over 4,096",
        "the right 512 of 4,096 pieces",
    ]
    for found in results["as_shipped"]:
        groups = ("sentence", "class_near", "class_far")
        assert sum(found[group]["questions"] for group in groups) == 4
    questions = {name: found["questions"] for name, found in results["new_kind"].items()}
    assert questions == dict.fromkeys(("as shipped", "taught", "from scratch"), 2)
    assert results["left_out"][:2] == [
        "asked 4 of 8 questions of the two kinds it knows",
        "asked 4 of 6 new questions, before the lesson",
    ]
    for name in ("taught", "from scratch"):
        assert any(f"1 steps ({name})" in what for what in results["left_out"])
    assert set(results["seconds_of_parts"]) == set(demo.SHARES)
    train, test = (set(results["data"][name]["packages"]) for name in ("train", "test"))
    assert test == set(TEST_PACKAGES)
    assert train == set(PACKAGES) - test
    for answer in results["answers"]:
        assert answer["module"].partition(".")[0] in test or answer["module"].startswith("digest")
    for name in ("accuracy.png", "learning.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "saved_model" / "1" / "saved_model.pb").is_file()
    told = console.export_text()
    assert "for lack of time: asked 4 of 8 questions" in told
    assert all(answer["question"] in told for answer in results["answers"])


def test_no_time_for_enough_pages(tmp_path):
    settings = dataclasses.replace(
        demo.QUICK, minutes=0.001, packages=("keyword",), max_modules=1, min_pages=1
    )
    with pytest.raises(RuntimeError, match=r"too few help pages.*Give it more time: --minutes"):
        demo.run(settings, tmp_path, Console(record=True))


def test_the_plan_is_for_ten_minutes():
    assert demo.STANDARD.minutes <= 10
    assert 0 < demo.SHARES["teach"] == demo.SHARES["teach from scratch"]


def test_a_saved_model_that_cannot_be_asked(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"(?s)process that asks the SavedModel failed:\n.*Traceback"
    ):
        ask_export(tmp_path / "nothing", None, [])


def test_command_line(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(demo, "run", lambda *args: calls.append(args))
    demo.main(["--quick", "--checkpoint", "my-model", "--output", str(tmp_path)])
    demo.main(["--minutes", "4.5"])
    settings, output, _ = calls[0]
    assert settings == dataclasses.replace(demo.QUICK, checkpoint="my-model")
    assert output == tmp_path / "quick"
    assert calls[1][0] == dataclasses.replace(demo.STANDARD, minutes=4.5)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "soon"])
def test_impossible_minutes(minutes, capsys):
    with pytest.raises(SystemExit):
        demo.main(["--minutes", minutes])
    assert "--minutes" in capsys.readouterr().err


def test_command_line_of_training(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(train_from_scratch, "run", lambda *args, **kw: calls.append((args, kw)))
    app = typer.Typer()
    app.command()(train_from_scratch.main)
    runner = CliRunner()
    result = runner.invoke(app, ["--minutes", "3", "--output", str(tmp_path), "--test"])
    assert result.exit_code == 0
    ((plan, output, _), options) = calls[0]
    assert plan in train_from_scratch.RECIPES.values()
    assert output == tmp_path
    assert options == {"minutes": 3.0, "max_questions": None, "test": True, "start": None}
    assert runner.invoke(app, ["--recipe", "longer"]).exit_code == 2
    refused = runner.invoke(app, ["--recipe", "cake"])
    assert refused.exit_code == 2
    assert "cake" in refused.output
