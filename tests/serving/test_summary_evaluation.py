import json

import pytest

from bigbird_tf.preprocessing import evaluate_rouge
from bigbird_tf.serving.summary_evaluation import evaluate_summarization

RECORDS = [
    {"document": "eleven birds sing", "summary": "birds sing", "source": 1},
    {"document": "the river, of stone", "summary": "a river"},
    {"document": "walls and grass", "summary": "grass"},
]


class FirstWords:
    """Summarises by the first two words."""

    input_names = ("text",)
    output_names = ("num_cut", "summary", "tokens")

    def __init__(self, several=False):
        self.input_names, self.several = list(self.input_names), several

    def in_batches(self, records, batch_size):
        for record in records:
            assert list(record) == ["text"]
            words = " ".join(record["text"].split()[:2])
            yield {"summary": [words, "other"] if self.several else words}


def write(path, records=RECORDS):
    path.write_text("\n".join(map(json.dumps, records)) + "\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("several", [False, True])
def test_scores(tmp_path, several):
    progress, written = [], []
    scores, summaries = evaluate_summarization(
        FirstWords(several),
        write(tmp_path / "x.jsonl"),
        on_progress=lambda *numbers: progress.append(numbers),
        on_summary=written.append,
    )
    assert written == summaries
    assert summaries == ["eleven birds", "the river,", "walls and"]
    assert scores == evaluate_rouge(["birds sing", "a river", "grass"], summaries)
    assert scores["rouge1"] == pytest.approx(100 * (1 / 2 + 1 / 2 + 0) / 3)
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_limit(tmp_path):
    _, summaries = evaluate_summarization(FirstWords(), write(tmp_path / "x.jsonl"), limit=2)
    assert summaries == ["eleven birds", "the river,"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`dataset` has no documents. Received: .*x.jsonl"),
        ("{\n", "JSON lines. .*x.jsonl: Line 1 is no JSON"),
        ("[1]\n", "Line 1 must be a JSON object"),
        ('{"document": "a"}', "Record 1 must have the strings 'document' and 'summary'.*fields: "),
        ('{"document": "a", "summary": ["b"]}', "Record 1 must have the strings"),
    ],
)
def test_bad_files(tmp_path, text, message):
    file = tmp_path / "x.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        evaluate_summarization(FirstWords(), file)


def test_other_models(tmp_path):
    predictor = FirstWords()
    predictor.output_names = ["labels", "probabilities"]
    with pytest.raises(ValueError, match="one that takes text and gives labels, probabilities"):
        evaluate_summarization(predictor, write(tmp_path / "x.jsonl"))
