"""What `evaluate` hands on and writes. What it calls only takes notes."""

import json
from pathlib import Path

import pytest

from bigbird_tf.serving import evaluation, predictor, summary_evaluation


class TestEvaluate:
    def test_all_options(self, run, notes, tmp_path):
        make = notes(predictor, "Predictor", "the predictor")
        evaluate = notes(
            evaluation, "evaluate_question_answering", ({"f1": 12.5}, {"q1": "Zürich"})
        )
        file = tmp_path / "answers.json"
        outcome = run(
            "evaluate", "a/model", "dev.json", "--schema", "triviaqa", "--evidence", "pages",
            "--predictions", file, "--limit", 7, "--batch-size", 3, "--class", "BigBirdModel",
        )  # fmt: skip
        assert (outcome.code, json.loads(outcome.out)) == (0, {"f1": 12.5}), outcome.err
        assert make.call == (("a/model",), {"class_name": "BigBirdModel"})
        args, kwargs = evaluate.call
        assert args == ("the predictor", Path("dev.json"))
        assert callable(kwargs.pop("on_progress"))
        assert callable(kwargs.pop("on_answer"))
        assert kwargs == {
            "schema": "triviaqa", "evidence": Path("pages"), "limit": 7, "batch_size": 3
        }  # fmt: skip
        assert file.read_text(encoding="utf-8") == '{"q1": "Zürich"}'

    def test_defaults(self, run, notes):
        notes(predictor, "Predictor", "the predictor")
        evaluate = notes(evaluation, "evaluate_question_answering", ({}, {}))
        assert run("evaluate", "a/model", "dev.json").code == 0
        kwargs = evaluate.call[1]
        assert (kwargs["schema"], kwargs["evidence"]) == ("squad", None)
        assert (kwargs["limit"], kwargs["batch_size"]) == (None, 8)

    def test_a_failed_write_leaves_the_old_predictions(self, run, notes, tmp_path, monkeypatch):
        """The scores are printed all the same."""
        notes(predictor, "Predictor", "the predictor")
        notes(evaluation, "evaluate_question_answering", ({"f1": 12.5}, {"q1": "Zürich"}))
        file = tmp_path / "answers.json"
        file.write_text("the old ones")
        write_text = Path.write_text

        def write_half(path, text, **options):
            write_text(path, text[:5], **options)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", write_half)
        outcome = run("evaluate", "a/model", "dev.json", "--predictions", file)
        assert (outcome.code, json.loads(outcome.out)) == (1, {"f1": 12.5})
        assert "No space left" in outcome.err
        assert [entry.read_text() for entry in tmp_path.iterdir()] == ["the old ones"]

    @pytest.mark.parametrize("schema", ["summaries", "squad"])
    def test_what_was_done_stays_after_an_interrupt(
        self, run, notes, tmp_path, monkeypatch, schema
    ):
        """It is there at once, not only when the command ends."""
        notes(predictor, "Predictor", "the predictor")
        file = tmp_path / "there"
        partial, seen = tmp_path / "there.partial", []

        def interrupted(*_, on_summary=None, on_answer=None, **options):
            for number in range(2):
                if on_summary is not None:
                    on_summary(f"ü{number}")
                else:
                    on_answer(f"q{number}", f"ü{number}")
                seen.append(partial.read_text(encoding="utf-8"))
            raise OSError("the machine's disk")

        for module, name in (
            (summary_evaluation, "evaluate_summarization"),
            (evaluation, "evaluate_question_answering"),
        ):
            monkeypatch.setattr(module, name, interrupted)
        outcome = run("evaluate", "m", "x", "--schema", schema, "--predictions", file)
        assert outcome.code == 1
        assert f"What was done is in {partial}" in outcome.err
        keys = ["summary"] * 2 if schema == "summaries" else ["q0", "q1"]
        lines = [f'{{"{key}": "ü{number}"}}\n' for number, key in enumerate(keys)]
        assert seen == [lines[0], "".join(lines)]
        assert [entry.read_text() for entry in tmp_path.iterdir()] == ["".join(lines)]

    def test_a_folder_in_place_of_the_file(self, run, notes, tmp_path):
        make = notes(predictor, "Predictor")
        outcome = run("evaluate", "a/model", "dev.json", "--predictions", tmp_path)
        assert outcome.code == 1
        assert f"--predictions must be a file. Received: {tmp_path}" in outcome.err
        assert make.calls == []

    def test_summaries(self, run, notes, tmp_path):
        notes(predictor, "Predictor", "the predictor")
        summaries = ["über", "two\nlines"]
        evaluate = notes(summary_evaluation, "evaluate_summarization", ({"rouge1": 2.5}, summaries))
        file = tmp_path / "summaries.jsonl"
        arguments = ["evaluate", "a/model", "test.jsonl", "--schema", "summaries"]
        outcome = run(*arguments, "--predictions", file, "--limit", 7, "--batch-size", 3)
        assert (outcome.code, json.loads(outcome.out)) == (0, {"rouge1": 2.5}), outcome.err
        args, kwargs = evaluate.call
        assert args == ("the predictor", Path("test.jsonl"))
        assert callable(kwargs.pop("on_progress"))
        assert callable(kwargs.pop("on_summary"))
        assert kwargs == {"limit": 7, "batch_size": 3}
        text = file.read_text(encoding="utf-8")
        assert text == '{"summary": "über"}\n{"summary": "two\\nlines"}\n'
        outcome = run(*arguments, "--evidence", tmp_path)
        assert outcome.code == 1
        assert "--evidence is of --schema triviaqa" in outcome.err

    def test_a_folder_that_is_not_there_is_known_before_the_model_is_loaded(
        self, run, notes, tmp_path
    ):
        make = notes(predictor, "Predictor")
        outcome = run("evaluate", "a/model", "dev.json", "--predictions", tmp_path / "no/x.json")
        assert outcome.code == 1
        assert "--predictions must be in a folder that is there" in outcome.err
        assert make.calls == []
