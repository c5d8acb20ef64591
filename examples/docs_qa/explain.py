"""What the demo says to a reader who knows neither the task nor the model."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from bigbird_tf.preprocessing.question_answering_metrics import exact_match
from examples.docs_qa.dataset import MAX_LENGTH, EncodedSplit
from examples.docs_qa.evaluate import FAR, GROUPS, Evaluation

__all__ = [
    "ABOUT_QUESTIONS",
    "ABOUT_VIEWS",
    "COLUMNS",
    "ask_in_words",
    "excerpt",
    "name_page",
    "pick_examples",
    "print_example",
    "why_windows_fail",
]

# Headings of tables, by group of questions.
COLUMNS = {
    "sentence": "What does it do?",
    "class_near": "Whose method?\nheading near",
    "class_far": f"Whose method?\nheading {FAR}+ away",
    "signature": "How is it called?",
}
IN_WORDS = {
    "sentence": "What does {} do?",
    "class": "Whose method is {}?",
    "signature": "How is {} called?",
}

ABOUT_QUESTIONS = f"""\
A page is what Python's help() shows. The model reads a question and a page, and points at the \
answer: some words of that page. It counts in pieces, of three or four letters each; an input of \
{MAX_LENGTH:,} pieces is about six printed pages. It knows two kinds of questions:

[bold]What does it do?[/bold] It is given the name of a function, and should point at the first \
sentence of that function's documentation. Name and sentence stand together; the only difficulty \
is that they may be anywhere on the page.

[bold]Whose method is it?[/bold] It is given "class of" and the name of a method, and should point \
at the class that defines the method. The page is a digest then: classes of several modules, one \
after the other, in outline. The class's name stands in its heading alone. That may be thousands \
of pieces above the method, and other classes look just the same: whoever does not see the heading \
and the method at once can only guess.\
"""

ABOUT_VIEWS = f"""\
[bold]long input[/bold]: the first {MAX_LENGTH:,} pieces of the page at once, which is what \
BigBird is for.
[bold]beginning only[/bold]: the first {FAR} pieces, as a model for short texts would cut it.
[bold]sliding window[/bold]: {FAR} pieces at a time, one window after the other over the same \
{MAX_LENGTH:,}, each half over the one before; the answer with the highest score wins.
[bold]right window[/bold]: only the one window of {FAR} pieces that holds what it takes to answer. \
Somebody chose it who knows the answer: so would windows do if all others said "not here".\
"""


def ask_in_words(kind: str, name: str) -> str:
    """Returns a question as a person would ask it.

    Args:
        kind: The question's kind.
        name: The name that it is about.
    """
    return IN_WORDS[kind].format(name)


def name_page(module: str) -> str:
    """Returns what to call a page.

    Args:
        module: The page's module.
    """
    if module.startswith("digest "):
        return f"a digest of several classes (no. {module.removeprefix('digest ')})"
    return f"the help page of {module}"


def excerpt(encoded: EncodedSplit, index: int, *, margin: int = 1) -> list[str]:
    """Returns the lines of a page that it takes to answer, with what is between them counted.

    Args:
        encoded: The split.
        index: Index of the question.
        margin: How many more lines to show on each side.
    """
    question = encoded.questions[index]
    page = encoded.pages[encoded.page_of[index]]
    start = encoded.page_starts[encoded.page_of[index]]
    ends = encoded.offsets[start : encoded.page_starts[encoded.page_of[index] + 1], 1]
    lines = page.splitlines(keepends=True)
    shown: set[int] = set()
    line_starts = [0]
    for number, line in enumerate(lines):
        begin, end = line_starts[-1], line_starts[-1] + len(line)
        line_starts.append(end)
        for first, last in (
            (question.start, question.end),
            (question.name_start, question.name_end),
        ):
            if first < end and begin < last:
                shown.update(range(number - margin, number + margin + 1))
    kept = [number for number in sorted(shown) if 0 <= number < len(lines)]
    found = []
    before = -1
    for number in [*kept, len(lines)]:
        pieces = int(((ends > line_starts[before + 1]) & (ends <= line_starts[number])).sum())
        if number > before + 1:
            found.append(f"… {pieces:,} pieces …")
        if number < len(lines):
            found.append(lines[number].decode("utf-8", "replace").rstrip())
        before = number
    return found


def print_example(
    console: Console, encoded: EncodedSplit, index: int, answers: Sequence[tuple[str, str]]
) -> None:
    """Shows a question with an excerpt of its page, the answer expected and those given.

    Args:
        console: Where.
        encoded: The split.
        index: Index of the question.
        answers: Who answered, and what.
    """
    question = encoded.questions[index]
    # The pages' own text may look like markup.
    parts = [Text("\n".join(excerpt(encoded, index)), style="dim"), Text()]
    parts.append(Text(f"the model is given: {question.text}"))
    parts.append(Text(f"expected: {_in_one_line(question.answer)}"))
    for who, answer in answers:
        mark = ("  right", "green") if exact_match(answer, question.answer) else ("  wrong", "red")
        parts.append(Text(f"{who}: {_in_one_line(answer) or '(no answer)'}").append(*mark))
    title = f"{ask_in_words(question.kind, question.name)} (in {name_page(question.module)})"
    console.print(Panel(Group(*parts), title=Text(title), title_align="left", width=100))


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def pick_examples(evaluation: Evaluation, groups: Sequence[str]) -> list[int]:
    """Returns the place of the first question asked of each group that has any.

    Args:
        evaluation: The answers.
        groups: The groups.
    """
    found = evaluation.groups()
    return [int((found == group).argmax()) for group in groups if (found == group).any()]


def why_windows_fail(whole: Evaluation, sliding: Evaluation, chosen: Evaluation) -> str:
    """Returns why a sliding window scores as it does, with the numbers of this run.

    Args:
        whole, sliding, chosen: The same questions, with a long input, a window that slides, and
            the right window.
    """

    def percent(evaluation: Evaluation, group: str) -> str:
        right = evaluation.summary(group)["exact_match"]
        return "-" if right is None else f"{right:.0f}%"

    def told(group: str) -> str:
        return ", ".join(
            f"{name} {percent(evaluation, group)}"
            for name, evaluation in (
                ("long input", whole),
                ("sliding", sliding),
                ("right window", chosen),
            )
        )

    return f"""\
[bold]Why does the sliding window score like that?[/bold]
What does it do? ({told("sentence")}): the window that has the name has the sentence, too, and \
nothing in other windows looks like it. Windows do as well as a long input, but for a few.
Whose method, heading near ({told("class_near")}): some window holds both, but the others shout. A \
window that has the method without its heading, or neither, still names one of the classes that it \
does see, and its score may be higher. Had the model learnt to abstain there, sliding would do as \
the right window does.
Whose method, heading {FAR}+ away ({told("class_far")}): no window of {FAR} pieces holds both \
the method and the heading, so there is no right window; what is right there is a lucky guess \
among the few classes of a window. Abstaining cannot mend that: it would turn wrong answers into \
none.\
{_are_few(whole)}"""


def _are_few(evaluation: Evaluation, enough: int = 20) -> str:
    counts = [evaluation.summary(group)["questions"] for group in GROUPS[:3]]
    if min(counts) >= enough:
        return ""
    told = ", ".join(map(str, counts))
    return f"\nThere were but {told} such questions, and of so few, percentages say little."
