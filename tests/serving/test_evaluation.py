import json

import pytest

from bigbird_tf.serving.evaluation import evaluate_question_answering
from bigbird_tf.serving.predictor import Predictor, read_records


class FirstWords:
    """Answers with the context's first two words; longer contexts score higher."""

    input_names = ("context", "question")

    def __init__(self):
        self.input_names = list(self.input_names)
        self.asked = []
        self.batch_size = None

    def in_batches(self, records, batch_size):
        self.batch_size = batch_size
        for record in records:
            self.asked.append(record)
            answer = " ".join(record["context"].split()[:2])
            yield {"answer": answer, "score": len(record["context"])}


def squad(*questions):
    """Questions are pairs of an id and an answer."""
    qas = [
        {"id": key, "question": f"{key}?", "answers": [{"text": answer, "answer_start": 0}]}
        for key, answer in questions
    ]
    return {"data": [{"paragraphs": [{"context": "eleven birds sing", "qas": qas}]}]}


def write(path, data):
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_squad(tmp_path):
    file = write(tmp_path / "x.json", squad(("a", "eleven birds"), ("b", "birds"), ("c", "x")))
    progress, predictor = [], FirstWords()
    scores, answers = evaluate_question_answering(
        predictor, file, on_progress=lambda *numbers: progress.append(numbers)
    )
    assert answers == dict.fromkeys("abc", "eleven birds")
    # Right; one word of two right, so precision 1/2 and recall 1; wrong.
    assert scores["exact_match"] == pytest.approx(100 / 3)
    assert scores["f1"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert predictor.asked[1] == {"question": "b?", "context": "eleven birds sing"}


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}])
def test_questions_computed_together(tmp_path, options):
    file = write(tmp_path / "x.json", squad(("a", "eleven birds")))
    predictor = FirstWords()
    evaluate_question_answering(predictor, file, **options)
    assert predictor.batch_size == options.get("batch_size", 8)


def test_a_limit_of_triviaqa_counts_documents(evidence):
    """Two documents of the first question, and so nothing of the second."""
    data = triviaqa("Wikipedia")
    data["Data"].append({**data["Data"][0], "QuestionId": "q2"})
    file = write(evidence / "qa.json", data)
    options = {"schema": "triviaqa", "evidence": evidence}
    for limit, keys in ((2, ["q1"]), (3, ["q1", "q2"]), (99, ["q1", "q2"])):
        predictor = FirstWords()
        scores, answers = evaluate_question_answering(predictor, file, limit=limit, **options)
        assert list(answers) == keys
        assert scores["denominator"] == len(keys)
        assert len(predictor.asked) == min(limit, 4)


def test_squad_2_has_questions_without_answers(tmp_path):
    data = squad(("a", "eleven birds"), ("b", "x"))
    one, other = data["data"][0]["paragraphs"][0]["qas"]
    one["is_impossible"] = False
    other |= {"is_impossible": True, "answers": []}
    scores, _ = evaluate_question_answering(FirstWords(), write(tmp_path / "x.json", data))
    assert (scores["HasAns_exact"], scores["NoAns_exact"], scores["total"]) == (100, 0, 2)


def test_a_limit_leaves_the_rest_out_of_the_scores(tmp_path):
    file = write(tmp_path / "x.json", squad(("a", "eleven birds"), ("b", "x")))
    scores, answers = evaluate_question_answering(FirstWords(), file, limit=1)
    assert scores["exact_match"] == 100
    assert list(answers) == ["a"]


def triviaqa(domain):
    answer = {"Value": "Stone house", "NormalizedAliases": ["stone house"], "Aliases": []}
    answer["NormalizedValue"] = "stone house"
    pages = {"EntityPages": [{"Filename": "a.txt"}, {"Filename": "b.txt"}]}
    if domain == "Web":
        pages = {"EntityPages": [{"Filename": "a.txt"}], "SearchResults": [{"Filename": "c.txt"}]}
    question = {"QuestionId": "q1", "Question": "where?", "Answer": answer, **pages}
    return {"Domain": domain, "Data": [question]}


@pytest.fixture
def evidence(tmp_path):
    for name, text in (
        ("wikipedia/a.txt", "short page"),
        ("wikipedia/b.txt", "stone house by the river"),
        ("web/c.txt", "stone house"),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_triviaqa_wikipedia_takes_the_best_of_the_pages(evidence):
    file = write(evidence / "qa.json", triviaqa("Wikipedia"))
    scores, answers = evaluate_question_answering(
        FirstWords(), file, schema="triviaqa", evidence=evidence
    )
    assert answers == {"q1": "stone house"}
    assert scores["exact_match"] == 100


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        # The "no answer" of an irrelevant page, however sure.
        ([("", 15.0, 15.0), ("stone house", 12.0, 3.0)], "stone house"),
        ([("stone house", 12.0, 3.0), ("", 15.0, 15.0)], "stone house"),
        # High scores all over a page.
        ([("river", 40.0, 39.0), ("stone house", 12.0, 3.0)], "stone house"),
        # Of equal ones, the first.
        ([("stone house", 3.0, 1.0), ("river", 4.0, 2.0)], "stone house"),
        ([("stone house", 3.0, 1.0), ("river", 4.5, 2.0)], "river"),
        # The model never says "no answer"; one page is empty.
        ([("", 5.0, 5.0), ("stone house", 1.0, 3.0)], "stone house"),
        ([("", 5.0, 5.0), ("", 1.0, 1.0)], ""),
    ],
)
def test_triviaqa_compares_what_exceeds_the_pages_no_answer(evidence, outputs, answer):
    class Predictor(FirstWords):
        def in_batches(self, records, batch_size):
            for _, values in zip(records, outputs, strict=True):
                yield dict(zip(("answer", "score", "no_answer_score"), values, strict=True))

    file = write(evidence / "qa.json", triviaqa("Wikipedia"))
    _, answers = evaluate_question_answering(
        Predictor(), file, schema="triviaqa", evidence=evidence
    )
    assert answers == {"q1": answer}


def test_triviaqa_without_answers_is_known_before_asking(evidence):
    data = triviaqa("Wikipedia")
    data["Data"][0]["Answer"]["NormalizedAliases"] = []
    predictor = FirstWords()
    with pytest.raises(ValueError, match=r"an answer to each question.*'q1'"):
        evaluate_question_answering(
            predictor, write(evidence / "qa.json", data), schema="triviaqa", evidence=evidence
        )
    assert not predictor.asked


def test_triviaqa_web_counts_each_page(evidence):
    file = write(evidence / "qa.json", triviaqa("Web"))
    scores, answers = evaluate_question_answering(
        FirstWords(), file, schema="triviaqa", evidence=evidence
    )
    assert answers == {"q1--a.txt": "short page", "q1--c.txt": "stone house"}
    assert scores["exact_match"] == 50


QUESTION = (
    '{"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "q7", "question": "q"%s}]}]}]}'
)


class TestBadInput:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "`dataset` must be a JSON file"),
            ('{"data": [{"paragraphs": [{}]}]}', "`dataset` must follow its schema.*context"),
            ('{"data": []}', "`dataset` has no questions"),
            (QUESTION % "", "`dataset` must follow its schema.*answers"),
            (QUESTION % ', "answers": [{}]', "`dataset` must follow its schema.*text"),
            (QUESTION % ', "answers": "x"', "`dataset` must follow its schema"),
            (QUESTION % ', "answers": []', "an answer to each question.*'q7'"),
            ("[]", "`dataset` must follow its schema"),
        ],
    )
    def test_files(self, tmp_path, content, message):
        file = tmp_path / "x.json"
        file.write_text(content)
        with pytest.raises(ValueError, match=message):
            evaluate_question_answering(FirstWords(), file)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nothing"):
            evaluate_question_answering(FirstWords(), tmp_path / "nothing.json")

    def test_unknown_schema(self, tmp_path):
        file = write(tmp_path / "x.json", squad(("a", "b")))
        with pytest.raises(ValueError, match="`schema` must be 'squad' or 'triviaqa'"):
            evaluate_question_answering(FirstWords(), file, schema="nq")

    def test_triviaqa_without_evidence(self, evidence):
        file = write(evidence / "qa.json", triviaqa("Web"))
        with pytest.raises(ValueError, match="give their folder as `evidence`"):
            evaluate_question_answering(FirstWords(), file, schema="triviaqa")
        with pytest.raises(FileNotFoundError, match=r"a\.txt"):
            evaluate_question_answering(
                FirstWords(), file, schema="triviaqa", evidence=evidence / "nothing"
            )

    def test_other_models(self, exported, tmp_path):
        predictor = Predictor(exported("BigBirdModel").folder)
        with pytest.raises(ValueError, match=r"must be one for question answering.*takes text"):
            evaluate_question_answering(predictor, tmp_path / "x.json")


class TestPredictor:
    def test_latest_version(self, exported, tmp_path):
        folder = exported("BigBirdModel").folder
        for name in ("9", "10"):
            (tmp_path / name).symlink_to(folder)
        (tmp_path / "11").mkdir()
        predictor = Predictor(tmp_path)
        outputs = predictor([{"text": "a bird"}, {"text": ""}])
        expected = exported("BigBirdModel").run(text=["a bird", ""])
        assert outputs[0]["cls"] == pytest.approx(expected["cls"][0].tolist(), abs=1e-5)
        assert predictor([]) == []

    def test_records_that_do_not_fit(self, exported):
        predictor = Predictor(exported("BigBirdForMultipleChoice").folder)
        with pytest.raises(
            ValueError, match=r"A record must have choices, text. Received: nothing"
        ):
            predictor([{}])
        records = [{"text": "a", "choices": ["b"]}, {"text": "a", "choices": ["b", "c"]}]
        with pytest.raises(ValueError, match="`choices` must be string of one shape"):
            predictor(records)
        with pytest.raises(ValueError, match="`text` must be string"):
            predictor([{"text": 3, "choices": ["b"]}])

    def test_options_of_a_saved_model(self, exported):
        with pytest.raises(ValueError, match=r"has its options inside. Received: num_best"):
            Predictor(exported("BigBirdModel").folder, num_best=3)

    @pytest.mark.parametrize(
        ("lines", "message"),
        [(['{"a": 1}', "{"], "Line 2 is no JSON"), (["", "[1]"], "Line 2 must be a JSON object")],
    )
    def test_lines(self, lines, message):
        with pytest.raises(ValueError, match=message):
            list(read_records(lines))
