import dataclasses
import json

import pytest
from rich.console import Console

from examples.docs_qa import demo
from examples.docs_qa.train import Recipe, Stage


def test_the_demo_from_end_to_end(tmp_path, monkeypatch):
    """Real pages, one step a stage, and a model too small to learn: every part does its part."""
    monkeypatch.setattr(demo, "MAX_LENGTH", 1024)
    settings = dataclasses.replace(
        demo.QUICK,
        minutes=0.01,
        max_modules=4,
        packages=(
            *("bisect", "calendar", "colorsys", "copy", "csv", "fnmatch", "glob", "heapq"),
            *("html", "json", "linecache", "shlex", "textwrap", "tempfile"),
        ),
        vocab_size=700,
        recipe=Recipe(stages=(Stage("abridged", 64, 4, 1.0),)),
        max_questions=3,
        shown=2,
        model={
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "num_hidden_layers": 3,
            "max_position_embeddings": 1024,
        },
    )
    console = Console(record=True, width=100)
    results = demo.run(settings, tmp_path, console)

    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert [stage["steps"] for stage in results["training"]] == [1]
    assert set(results["evaluation"]) == {"1024", "512"}
    assert {numbers["questions"] for numbers in results["evaluation"].values()} <= {1, 2, 3}
    train, test = (set(results["data"][name]["packages"]) for name in ("train", "test"))
    assert train
    assert test
    assert not train & test
    for answer in results["answers"]:
        assert answer["module"].partition(".")[0] in test
        assert answer["answer"]
    assert (tmp_path / "accuracy_by_position.png").is_file()
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "saved_model" / "1" / "saved_model.pb").is_file()
    told = console.export_text()
    assert all(answer["question"] in told for answer in results["answers"])


def test_a_saved_model_that_cannot_be_asked(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"process that asks the SavedModel failed:\n.*Traceback"
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


def test_command_line(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(demo, "run", lambda *args: calls.append(args))
    demo.main(["--quick", "--minutes", "3", "--output", str(tmp_path)])
    demo.main([])
    settings, output, _ = calls[0]
    assert settings == dataclasses.replace(demo.QUICK, minutes=3.0)
    assert output == tmp_path / "quick"
    assert calls[1][0] == demo.STANDARD
    with pytest.raises(SystemExit):
        demo.main(["--minutes", "0"])
    assert "--minutes must be positive. Received: 0" in capsys.readouterr().err
