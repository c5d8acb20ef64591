"""Answers of ITC and ETC at equal training cost: `python -m benchmarks.construction_answers`.

The documentation example's model (`examples.docs_qa`) in both constructions, with the vocabulary of
the one that ships: each learns from nothing for the same time of all processors, and is asked the
same questions of packages that neither has read. ETC's global tokens are the question's pieces; it
has no random blocks.
"""

import tempfile
import time
from typing import Annotated, Any

import typer

from benchmarks import measuring

# Both with a table of positions, which the example's initial weights make use of.
CONSTRUCTIONS: dict[str, dict[str, Any]] = {
    "ITC": {},
    "ETC": {"construction": "etc", "num_random_blocks": 0},
}


def train_and_ask(
    splits: dict,
    tokenizer: Any,
    questions: Any,
    fields: dict[str, Any],
    seconds: float,
    length: int,
) -> dict[str, Any]:
    """Trains a model for some seconds of all processors, and asks it.

    Args:
        splits: Encoded splits: `"practice"`, `"train"` and `"validation"`.
        tokenizer: The vocabulary.
        questions: Indices of the questions in the last split.
        fields: Fields of the model's config.
        seconds: Training time.
        length: Pieces of the longest inputs.

    Returns:
        A dictionary: `weights`, `steps` by length, and `answers`, percentages by kind of question.
    """
    from examples.docs_qa.evaluate import MAX_QUESTION_PIECES, Reader, View, evaluate, trace
    from examples.docs_qa.train import Recipe, Stage, build_model, train
    from examples.docs_qa.train_from_scratch import processor_time
    from examples.docs_qa.training_model import with_global_question

    if fields.get("construction") == "etc":
        fields = {"num_global_tokens": MAX_QUESTION_PIECES, **fields}
    model = build_model(tokenizer.vocab_size, tokenizer.sep_token_id, **fields)
    stages = (
        Stage("practice", length // 8, 32, 0.1),
        Stage("practice", length // 2, 8, 0.4),
        Stage("train", length, 4, 0.5),
    )
    trained = train(model, splits, Recipe(stages), seconds=seconds, clock=processor_time)

    def answer(inputs, training=False):
        return model(with_global_question(inputs, model.config), training=training)

    reader = Reader(model, tokenizer, View(length), trace(answer))
    (found,) = evaluate([reader], splits["validation"], questions, batch_size=8)
    return {
        "weights": model.count_params(),
        "steps": {stage["length"]: stage["steps"] for stage in trained},
        "answers": {"all": found.summary(), **found.to_dict()},
    }


def compare(
    seconds: float, length: int, max_questions: int, pages_seconds: float, **pages: Any
) -> dict[str, dict[str, Any]]:
    """Returns what `train_and_ask` does of each construction.

    Args:
        seconds: Training time of each.
        length: Pieces of the longest inputs.
        max_questions: At most so many.
        pages_seconds: How long help pages are rendered for; the same ones for all.
        **pages: Other arguments of `load_pages`.
    """
    from bigbird_tf import BigBirdTokenizer
    from examples.docs_qa.dataset import encode_split
    from examples.docs_qa.evaluate import choose_questions
    from examples.docs_qa.pages import load_pages
    from examples.docs_qa.questions import make_practice, make_splits

    with tempfile.TemporaryDirectory() as folder:
        deadline = time.monotonic() + pages_seconds
        found, _ = load_pages(folder, **{"deadline": deadline, "at_least": 100, **pages})
    by_split = make_splits(found)
    tokenizer = BigBirdTokenizer.from_pretrained("bigbird-docs-qa-mini")
    splits = {name: encode_split(by_split[name], tokenizer) for name in ("train", "validation")}
    splits["practice"] = encode_split(make_practice(by_split["train"]), tokenizer)
    questions = choose_questions(splits["validation"], length=length, count=max_questions)
    results = {}
    for name, fields in CONSTRUCTIONS.items():
        results[name] = train_and_ask(splits, tokenizer, questions, fields, seconds, length)
        print(name, results[name], flush=True)
    return results


def main(
    minutes: Annotated[float, typer.Option(help="Training time of each construction.")] = 8.0,
    length: Annotated[int, typer.Option(help="Pieces of the longest inputs.")] = 1024,
    questions: Annotated[int, typer.Option(help="At most so many are asked.")] = 400,
) -> None:
    """Trains and asks both."""
    found = compare(60 * minutes, length, questions, 60.0)
    measuring.print_table(
        f"answers after {minutes:g} minutes, exactly right and F1, percent",
        ["", "steps", "weights", "exact", "F1"],
        [
            [
                name,
                sum(one["steps"].values()),
                f"{one['weights']:,}",
                *(f"{one['answers']['all'][score]:.1f}" for score in ("exact_match", "f1")),
            ]
            for name, one in found.items()
        ],
    )
    results = {"minutes": minutes, "length": length, "results": found}
    print(f"Wrote {measuring.write_json('construction_answers', results)}")


if __name__ == "__main__":
    typer.run(main)
