"""The subcommand `bigbird-tf evaluate`."""

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import rich.progress
import typer

from bigbird_tf.cli.terminal import ClassName, messages
from bigbird_tf.cli.unfinished import kept_until_done
from bigbird_tf.whole_files import write_whole

__all__ = ["evaluate"]


class DatasetSchema(enum.StrEnum):
    """Schemas of data sets, of question answering and of summaries."""

    squad = enum.auto()
    triviaqa = enum.auto()
    summaries = enum.auto()


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="For question answering or summaries: pretrained directory or SavedModel.",
        ),
    ],
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The data set, a JSON file; for summaries JSON lines with document and summary.",
        ),
    ],
    schema: Annotated[DatasetSchema, typer.Option(help="The file's schema.")] = DatasetSchema.squad,
    evidence: Annotated[
        Path | None, typer.Option(help="Folder of the documents that TriviaQA's files name.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Write answers as the official scripts read them, summaries as JSON lines; until "
            "all are done, in FILE.partial."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many questions (documents).")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="So many computed together.")] = 8,
    class_name: ClassName = None,
) -> None:
    """Measure exact match and F1 of answers to a file's questions, or ROUGE of summaries."""
    from bigbird_tf.serving.evaluation import evaluate_question_answering
    from bigbird_tf.serving.predictor import Predictor
    from bigbird_tf.serving.summary_evaluation import evaluate_summarization

    of_summaries = schema is DatasetSchema.summaries
    if of_summaries and evidence is not None:
        raise ValueError(f"--evidence is of --schema triviaqa. Received: --evidence {evidence}")
    # Better known now than after hours.
    if predictions is not None:
        if not predictions.parent.is_dir():
            raise NotADirectoryError(
                f"--predictions must be in a folder that is there: {predictions}"
            )
        if predictions.is_dir():
            raise IsADirectoryError(f"--predictions must be a file. Received: {predictions}")
    with messages.status("loading"):
        predictor = Predictor(model, class_name=class_name)
    with (
        kept_until_done(predictions) as keep,
        rich.progress.Progress(console=messages) as progress,
    ):
        task = progress.add_task("documents" if of_summaries else "questions", total=None)
        options: dict[str, Any] = {
            "limit": limit,
            "batch_size": batch_size,
            "on_progress": lambda done, total: progress.update(task, completed=done, total=total),
        }
        if of_summaries:
            scores, summaries = evaluate_summarization(
                predictor, dataset, on_summary=lambda text: keep({"summary": text}), **options
            )
            lines = [json.dumps({"summary": text}, ensure_ascii=False) for text in summaries]
            written = "".join(f"{line}\n" for line in lines)
        else:
            scores, answers = evaluate_question_answering(
                predictor,
                dataset,
                schema=str(schema),
                evidence=evidence,
                on_answer=lambda key, answer: keep({key: answer}),
                **options,
            )
            written = json.dumps(answers, ensure_ascii=False)
        print(json.dumps(scores), flush=True)
        if predictions is not None:
            write_whole(predictions, written)
