import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from examples.docs_qa import demo, demo_steps, train_from_scratch
from examples.docs_qa.asking_export import ask_export
from examples.docs_qa.time_plan import TimePlan
from examples.docs_qa.train import Recipe, Stage

PACKAGES = (
    *("bisect", "calendar", "colorsys", "copy", "csv", "fnmatch", "glob", "heapq"),
    *("html", "json", "linecache", "shlex", "textwrap", "tempfile"),
)


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


def test_what_there_was_no_time_for_is_said(tmp_path, monkeypatch):
    console, plan = Console(record=True, width=130), TimePlan(60, demo.SHARES)
    made = demo_steps.Demo(demo.QUICK, tmp_path, console, plan)
    found = [SimpleNamespace(asked=range(4))]
    monkeypatch.setattr(demo_steps, "evaluate_with_progress", lambda *args, **kwargs: found)
    made.test = None
    part = plan.begin("pages")
    assert made._evaluate([], np.arange(4), part, "questions") == found
    assert plan.left_out == []
    made._evaluate([], np.arange(8), part, "questions of the two kinds it knows")
    fits = [{"seconds": 30.0, "steps": 99}, {"seconds": 0.0, "steps": 1}]
    teacher = SimpleNamespace(teach=lambda *args, **kwargs: fits.pop(0))
    for name in ("taught", "from scratch"):
        made._fit(teacher, None, name, seconds=30.0, latest=60.0)
    assert plan.left_out == [
        "asked 4 of 8 questions of the two kinds it knows",
        "trained for 0 seconds, 1 steps (from scratch): too few to learn much",
    ]
    told = console.export_text()
    assert all(f"For lack of time: {what}." in told for what in plan.left_out)


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
