"""The steps of the demo; `demo.py` has the settings and the command line."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console

import bigbird_tf as bb
from bigbird_tf.preprocessing import BigBirdTokenizer
from examples.docs_qa.asking_export import ask_export
from examples.docs_qa.console import (
    FitProgress,
    evaluate_with_progress,
    heading,
    load_pages_with_progress,
    make_progress,
    print_evaluations,
)
from examples.docs_qa.dataset import MAX_LENGTH, EncodedSplit, describe, encode_split
from examples.docs_qa.evaluate import (
    MAX_ANSWER_PIECES,
    Evaluation,
    Reader,
    View,
    choose_questions,
)
from examples.docs_qa.explain import (
    ABOUT_QUESTIONS,
    ABOUT_VIEWS,
    pick_examples,
    print_example,
    why_windows_fail,
)
from examples.docs_qa.plotting import plot_accuracy, plot_learning
from examples.docs_qa.questions import KINDS, SIGNATURE, Split, make_splits
from examples.docs_qa.teach import Lesson, Teacher, lesson_dataset, make_examples
from examples.docs_qa.time_plan import Part, TimePlan
from examples.docs_qa.train import faster_dtype_policy

__all__ = ["CHECKPOINT", "SHARES", "Demo", "Settings"]

CHECKPOINT = "bigbird-docs-qa-mini"
SHORT = 512
FEW_STEPS = 30
KNOWN = ("sentence", "class_near", "class_far")
# Of the time; in seconds if all is to take ten minutes.
SHARES = {
    "pages": 90,
    "prepare": 60,
    "ask": 100,
    "ask the new kind": 30,
    "teach": 130,
    "ask what was taught": 60,
    "teach from scratch": 130,
    "ask who began from scratch": 20,
    "export": 60,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How much of everything, if there is time for it.

    Attributes:
        minutes: The time.
        checkpoint: Name or folder of the model to start from.
        max_modules: At most so many modules of each package.
        packages: Only these packages; `None` for all.
        min_pages: Pages to render whatever the time.
        length: Pieces of a long input.
        lesson: How to teach.
        max_questions: At most so many questions of the kinds that the model knows.
        max_new: At most so many questions of the new kind.
        shown: Questions that the exported model is asked.
    """

    minutes: float = 10.0
    checkpoint: str = CHECKPOINT
    max_modules: int = 40
    packages: tuple[str, ...] | None = None
    min_pages: int = 100
    length: int = MAX_LENGTH
    lesson: Lesson = dataclasses.field(default_factory=Lesson)
    max_questions: int = 300
    max_new: int = 120
    shown: int = 3


class Demo:
    """The demo's steps, and what one leaves for the next."""

    def __init__(self, settings: Settings, output: Path, console: Console, plan: TimePlan):
        self.settings = settings
        self.output = output
        self.console = console
        self.plan = plan
        self.results: dict = {}

    def prepare(self) -> None:
        """Renders pages and makes questions."""
        settings, console = self.settings, self.console
        heading(console, "1. Pages and questions", "of this machine's own Python packages")
        part = self.plan.begin("pages")
        pages, left_out = load_pages_with_progress(
            self.output,
            console,
            max_per_package=settings.max_modules,
            packages=settings.packages,
            deadline=part.deadline,
            at_least=settings.min_pages,
            clock=part.clock,
        )
        if left_out:
            self._leave_out(
                f"rendered {len(pages):,} help pages; {left_out:,} more modules have to wait for "
                "the next run"
            )
        self.plan.begin("prepare")
        dtype = faster_dtype_policy()
        name = settings.checkpoint
        self.model = bb.BigBirdForQuestionAnswering.from_pretrained(name, dtype=dtype)
        self.tokenizer = BigBirdTokenizer.from_pretrained(name)
        known = self.model.config.extra.get("docs_qa_packages", {})
        splits = make_splits(pages, known=known, kinds=(*KINDS, SIGNATURE))
        with console.status("cutting pages into pieces"):
            self.train, self.test = (
                self._encode(splits[split], split) for split in ("train", "test")
            )
        for groups in (KNOWN, (SIGNATURE,)):
            if not len(choose_questions(self.test, length=settings.length, groups=groups)):
                raise RuntimeError(_too_few_pages("test"))
        self._trace()
        data = {
            "train": describe(splits["train"], self.train),
            "test": describe(splits["test"], self.test),
        }
        self.results |= {"data": data, "dtype": dtype}
        console.print(ABOUT_QUESTIONS)
        console.print(
            f"\nOnly packages count that the model never saw in training: {len(self.test.pages):,} "
            f"pages of {len(data['test']['packages'])} packages, half of them longer than "
            f"{data['test']['median_pieces']:,.0f} pieces. {name}: "
            f"{self.model.count_params():,} weights, {dtype}."
        )

    def _trace(self) -> None:
        """Traces all graphs now, so that later parts share out what time that leaves."""
        settings = self.settings
        self.views = {
            "long input": View(settings.length),
            "beginning only": View(SHORT),
            "sliding window": View(SHORT, up_to=settings.length),
            "right window": View(SHORT, up_to=settings.length, chosen=True),
        }
        self.readers = Reader.for_views(self.model, self.tokenizer, self.views.values())
        self.reader = self.readers[0]
        with self.console.status("tracing the graphs of answering and training"):
            for reader in self.readers[:2]:  # The others share the graph of the second.
                reader.answer(self.test, [0])
            examples = make_examples(self.train, settings.lesson)
            self.dataset = lesson_dataset(examples, self.tokenizer, settings.lesson)
            self.teacher = Teacher(self.model, settings.lesson, clock=self.plan.clock)
            self.teacher.trace(self.dataset)

    def ask(self) -> None:
        """Asks the model what it knows, in several views."""
        settings, console = self.settings, self.console
        heading(console, "2. The model as it ships", "a long input, and what shorter ones miss")
        part = self.plan.begin("ask")
        self.known = choose_questions(
            self.test, length=settings.length, count=settings.max_questions, groups=KNOWN
        )
        found = self._evaluate(
            self.readers, self.known, part, "questions of the two kinds it knows"
        )
        self.before = dict(zip(self.views, found, strict=True))
        console.print(ABOUT_VIEWS)
        print_evaluations(self.before, console, title="the model sees", groups=KNOWN)
        whole, _, sliding, chosen = found
        console.print(why_windows_fail(whole, sliding, chosen))
        console.print("\nThe first question of each kind that was asked:")
        for place in pick_examples(whole, KNOWN):
            answers = [
                (name, self.before[name].predictions[place])
                for name in ("long input", "sliding window")
            ]
            print_example(console, self.test, whole.asked[place], answers)
        console.print(f"picture: {plot_accuracy(found, self.output / 'accuracy.png')}")
        self.results["as_shipped"] = [evaluation.to_dict() for evaluation in found]

    def teach(self) -> None:
        """Teaches a new kind of question to the model, and to one of random weights."""
        settings, console, lesson = self.settings, self.console, self.settings.lesson
        heading(console, "3. Teaching it something new", 'model.fit on "How is it called?"')
        console.print(
            "A third kind of question, which the model has never met: given [bold]signature of"
            "[/bold] and the name of a function, point at the line that tells how it is called. "
            "It learns on this machine's other packages; half of the examples are old questions, "
            "so that it does not forget them. Then a model of random weights, of the same size, "
            "gets the same lesson for as long."
        )
        new = choose_questions(
            self.test, length=settings.length, count=settings.max_new, groups=(SIGNATURE,)
        )
        part = self.plan.begin("ask the new kind")
        (shipped,) = self._evaluate([self.reader], new, part, "new questions, before the lesson")

        part = self.plan.begin("teach")
        teacher, dataset = self.teacher, self.dataset
        lessons = {"taught": self._fit(teacher, dataset, "taught", part.seconds, part.latest)}
        folder = self.output / "model"
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

        part = self.plan.begin("ask what was taught")
        # In turns, so that there is some of each if time is short.
        old = self.before["long input"].asked
        turns = np.concatenate([np.arange(len(shipped.asked)), np.arange(len(old))])
        both = np.concatenate([shipped.asked, old])[np.argsort(turns, kind="stable")]
        (taught,) = self._evaluate([self.reader], both, part, "old and new questions, after it")

        part = self.plan.begin("teach from scratch")
        teacher.forget(seed=lesson.seed)
        seconds = lessons["taught"]["seconds"] or part.seconds
        lessons["from scratch"] = self._fit(teacher, dataset, "from scratch", seconds, part.latest)
        part = self.plan.begin("ask who began from scratch")
        (untaught,) = self._evaluate(
            [self.reader], shipped.asked, part, "new questions, from scratch"
        )
        self._compare(shipped, taught, untaught, lessons)

    def _compare(
        self, shipped: Evaluation, taught: Evaluation, untaught: Evaluation, lessons: dict
    ) -> None:
        console = self.console
        # The same questions for all.
        new = set(shipped.asked) & set(taught.asked) & set(untaught.asked)
        first = self.before["long input"]
        old = set(first.asked) & set(taught.asked)

        def only(evaluation: Evaluation, asked: set[int]) -> Evaluation:
            return evaluation.only(np.isin(evaluation.asked, list(asked)))

        rows = {
            "as it ships": only(shipped, new),
            f"after {_minutes(lessons['taught'])}": only(taught, new),
            f"from scratch, {_minutes(lessons['from scratch'])}": only(untaught, new),
        }
        for fitted, name in ((lessons["taught"], "shipped"), (lessons["from scratch"], "random")):
            console.print(
                f"from {name} weights: {_minutes(fitted)} of training, {fitted['steps']:,} steps, "
                f"{fitted['examples']:,} examples"
            )
        print_evaluations(rows, console, title="the model", groups=(SIGNATURE,))
        console.print("And what it knew already:")
        old_rows = {"as it ships": only(first, old), "after the lesson": only(taught, old)}
        print_evaluations(old_rows, console, title="the model", groups=KNOWN)
        console.print("The first two of the new questions:")
        for place in range(min(2, len(new))):
            answers = [(name, row.predictions[place]) for name, row in rows.items()]
            print_example(console, self.test, rows["as it ships"].asked[place], answers)
        names = ("as it ships", "after the lesson", "from scratch,\nthe same lesson")
        picture = plot_learning(
            {
                name: (100 * float(row.f1.mean()), len(row.f1))
                for name, row in zip(names, rows.values(), strict=True)
            },
            {
                name: [(step["seconds"] / 60, step["loss"]) for step in lessons[key]["curve"]]
                for name, key in (("shipped weights", "taught"), ("random weights", "from scratch"))
            },
            self.output / "learning.png",
        )
        console.print(f"picture: {picture}")
        self.results["lessons"] = {
            name: {key: value for key, value in fitted.items() if key != "curve"}
            for name, fitted in lessons.items()
        }
        new_rows = zip(("as shipped", "taught", "from scratch"), rows.values(), strict=True)
        self.results["new_kind"] = {name: row.summary() for name, row in new_rows}
        self.results["old_kinds"] = {
            "as shipped": only(first, old).to_dict(),
            "taught": only(taught, old).to_dict(),
        }

    def export(self) -> None:
        """Exports the model that was taught, and asks it in another process."""
        console = self.console
        heading(console, "4. Export", "a SavedModel, asked by a process without bigbird_tf")
        self.plan.begin("export")
        with console.status("exporting"):
            # In full precision, as it was saved: servers need no mixed one.
            exported = bb.export_saved_model(
                bb.BigBirdForQuestionAnswering.from_pretrained(self.output / "model"),
                self.output / "saved_model",
                tokenizer=self.tokenizer,
                max_answer_length=MAX_ANSWER_PIECES,
                no_answer_threshold=None,
                # The calibration in the config is that of the weights before teaching.
                confidence_threshold=0.0,
            )
        asked = choose_questions(
            self.test,
            length=self.settings.length,
            count=self.settings.shown,
            seed=1,
            groups=(SIGNATURE, "sentence", "class_far", "class_near"),
        )
        with console.status("loading it in another process and asking"):
            answers = ask_export(exported, self.test, asked)
        for index, answer in zip(asked, answers, strict=True):
            print_example(console, self.test, index, [("the server", answer["answer"])])
        self.results |= {"answers": answers, "saved_model": str(exported)}

    def finish(self) -> dict:
        """Tells how long it took and what was left out, and writes the results."""
        self.plan.end()
        took = sum(part["took"] for part in self.plan.took.values())
        self.results |= {
            "minutes": took / 60,
            "seconds_of_parts": self.plan.took,
            "left_out": self.plan.left_out,
        }
        text = json.dumps(self.results, indent=2)
        (self.output / "results.json").write_text(text + "\n", encoding="utf-8")
        self.console.print(
            f"\n{took / 60:.1f} minutes (planned: {self.settings.minutes:g}); everything is in "
            f"{self.output}/"
        )
        for what in self.plan.left_out:
            self.console.print(f"for lack of time: {what}")
        return self.results

    def _leave_out(self, what: str) -> None:
        self.console.print(f"[yellow]For lack of time: {self.plan.leave_out(what)}.[/yellow]")

    def _encode(self, split: Split, name: str) -> EncodedSplit:
        if not any(question.kind == SIGNATURE for question in split.questions):
            raise RuntimeError(_too_few_pages(name))
        return encode_split(split, self.tokenizer)

    def _evaluate(
        self, readers: Sequence[Reader], questions: np.ndarray, part: Part, what: str
    ) -> list[Evaluation]:
        found = evaluate_with_progress(
            readers, self.test, questions, self.console, is_over=part.is_over
        )
        asked = len(found[0].asked)
        if asked < len(questions):
            self._leave_out(f"asked {asked} of {len(questions)} {what}")
        return found

    def _fit(
        self, teacher: Teacher, dataset: tf.data.Dataset, name: str, seconds: float, latest: float
    ) -> dict:
        with make_progress(self.console) as progress:
            fitted = teacher.teach(
                dataset,
                seconds=seconds,
                latest=latest,
                callbacks=[FitProgress(progress, name)],
            )
        if fitted["seconds"] < 0.9 * seconds or fitted["steps"] < FEW_STEPS:
            self._leave_out(
                f"trained for {fitted['seconds']:.0f} seconds, {fitted['steps']} steps ({name}): "
                "too few to learn much"
            )
        return fitted


def _too_few_pages(split: str) -> str:
    return (
        f"There are too few help pages to ask about: a kind of question is missing for the {split} "
        "packages. Give it more time: --minutes"
    )


def _minutes(fitted: dict) -> str:
    return f"{fitted['seconds'] / 60:.1f} minutes"
