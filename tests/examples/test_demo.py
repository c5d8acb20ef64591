import dataclasses
import json

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from examples.docs_qa import demo, train_from_scratch
from examples.docs_qa.train import Recipe, Stage

PACKAGES = (
    *("bisect", "calendar", "colorsys", "copy", "csv", "fnmatch", "glob", "heapq"),
    *("html", "json", "linecache", "shlex", "textwrap", "tempfile"),
)


def test_the_demo_from_end_to_end(tmp_path):
    """Real pages, one step a stage, and a model too small to learn: every part does its part."""
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

    settings = dataclasses.replace(
        demo.QUICK,
        checkpoint=str(tmp_path / "scratch"),
        max_modules=4,
        packages=PACKAGES,
        length=1024,
        recipe=Recipe(stages=(Stage("train", 64, 4, 1.0),)),
        training_minutes=0.001,
        max_questions=3,
    )
    results = demo.run(settings, tmp_path, console)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert [stage["steps"] for stage in results["training"]] == [1]
    assert len(results["as_shipped"]) == 3
    assert len(results["trained_on"]) == 1
    shipped = results["as_shipped"][0]
    assert shipped["sentence"]["questions"] + shipped["class"]["questions"] == 3
    train, test = (set(results["data"][name]["packages"]) for name in ("train", "test"))
    # What the model was tested on before it is tested on again.
    assert test == set(trained["data"]["test"]["packages"])
    assert train
    assert not train & test
    for answer in results["answers"]:
        assert answer["module"].partition(".")[0] in test or answer["module"].startswith("digest")
        assert answer["answer"]
    assert (tmp_path / "accuracy.png").is_file()
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "saved_model" / "1" / "saved_model.pb").is_file()
    told = console.export_text()
    assert all(answer["question"] in told for answer in results["answers"])


def test_a_saved_model_that_cannot_be_asked(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"(?s)process that asks the SavedModel failed:\n.*Traceback"
    ):
        demo._ask_export(tmp_path / "nothing", None, [])


def test_markup_in_pages_is_text():
    console = Console(record=True, width=100)
    answer = {
        "module": "m",
        "question": "f",
        "right_answer": "Closes [/bold].",
        "answer": "Opens [red].",
        "exact": False,
        "f1": 0.25,
    }
    demo._print_answers([answer], console)
    assert "Opens [red]." in (told := console.export_text())
    assert "(it says: Closes [/bold].)" in told
    assert "F1 0.25" in told


def test_command_line(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(demo, "run", lambda *args: calls.append(args))
    demo.main(["--quick", "--checkpoint", "my-model", "--output", str(tmp_path)])
    demo.main([])
    settings, output, _ = calls[0]
    assert settings == dataclasses.replace(demo.QUICK, checkpoint="my-model")
    assert output == tmp_path / "quick"
    assert calls[1][0] == demo.STANDARD


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
