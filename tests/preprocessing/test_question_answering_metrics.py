import json
import random
from typing import ClassVar

import pytest

from bigbird_tf.preprocessing.question_answering_metrics import (
    evaluate_squad,
    evaluate_triviaqa,
    exact_match,
    f1_score,
    normalize_squad_answer,
    normalize_triviaqa_answer,
)


@pytest.mark.parametrize(
    ("text", "squad", "triviaqa"),
    [
        ("The  Bird!", "bird", "bird"),
        ("a well-known\tbird, an owl", "wellknown bird owl", "well known bird owl"),
        ("snake_case", "snakecase", "snake case"),
        ("theatre of the absurd", "theatre of absurd", "theatre of absurd"),
        ("Rock\u2019n\u2018Roll\u00b4s `90", "rock\u2019n\u2018roll\u00b4s 90", "rock n roll s 90"),
        ("U.S.A.", "usa", "u s"),  # the A alone is an article by then
        ("3.14", "314", "3 14"),
        ("the", "", ""),
        ("", "", ""),
        ("ÉTÉ\u00a0猫", "été 猫", "été 猫"),
    ],
)
def test_normalisation(text, squad, triviaqa):
    assert normalize_squad_answer(text) == squad
    assert normalize_triviaqa_answer(text) == triviaqa


def test_scores_by_hand():
    assert exact_match("The Bird.", "bird") == 1.0
    assert exact_match("birds", "bird") == 0.0
    # Two of three words are right, and two of four were to be found.
    assert f1_score("green stone house", "stone house by river") == pytest.approx(4 / 7)
    # A word counts as often as both have it.
    assert f1_score("bird bird bird", "bird bird river") == pytest.approx(2 / 3)
    assert f1_score("river", "bird") == 0.0
    assert f1_score("", "the") == 0.0
    assert f1_score("", "the", empty_matches_empty=True) == 1.0
    assert f1_score("", "bird", empty_matches_empty=True) == 0.0
    assert f1_score("snake_case", "snake case", normalize_triviaqa_answer) == 1.0


def squad(questions):
    """A data set in SQuAD's schema, spread over articles and paragraphs."""
    paragraphs = [{"context": "not read here", "qas": [question]} for question in questions]
    return {
        "version": "x",
        "data": [{"paragraphs": paragraphs[:2]}, {"paragraphs": paragraphs[2:]}],
    }


def question(key, *answers, **more):
    return {"id": key, "answers": [{"text": text, "answer_start": 0} for text in answers], **more}


class TestSquad1:
    DATASET = squad(
        [
            question("a", "green house", "the house"),
            question("b", "a bird"),
            question("c", "river"),
            question("d", "1987"),
        ]
    )

    def test_by_hand(self):
        predictions = {"a": "House", "b": "bird and stone", "c": "", "d": "in 1987", "else": "x"}
        # a: 1, 1 (its second answer); b: 0, 1/2; c: 0, 0; d: 0, 2/3.
        result = evaluate_squad(self.DATASET, predictions)
        assert result == {
            "exact_match": pytest.approx(25.0),
            "f1": pytest.approx(100 * (1 + 0.5 + 2 / 3) / 4),
        }

    def test_missing_predictions_score_0(self):
        with pytest.warns(UserWarning, match="3 of 4 questions have no prediction, e.g. 'b'"):
            result = evaluate_squad(self.DATASET, {"a": "green house"})
        assert result == {"exact_match": 25.0, "f1": 25.0}

    def test_files(self, tmp_path):
        (tmp_path / "data.json").write_text(json.dumps(self.DATASET))
        (tmp_path / "predictions.json").write_text(json.dumps(dict.fromkeys("abcd", "river")))
        result = evaluate_squad(tmp_path / "data.json", str(tmp_path / "predictions.json"))
        assert result == {"exact_match": 25.0, "f1": 25.0}


class TestSquad2:
    DATASET = squad(
        [
            question("a", "green house", is_impossible=False),
            question("b", is_impossible=True),
            question("c", is_impossible=True),
            question("d", "the", "bird river", is_impossible=False),
            question("e", "stone", is_impossible=False),
        ]
    )
    PREDICTIONS: ClassVar = {"a": "the green house", "b": "", "c": "stone", "d": "bird", "e": ""}

    def test_by_hand(self):
        result = evaluate_squad(self.DATASET, self.PREDICTIONS)
        # f1 of d: one of one right, one of two found.
        assert result == {
            "exact": pytest.approx(40.0),
            "f1": pytest.approx(100 * (1 + 1 + 2 / 3) / 5),
            "total": 5,
            "HasAns_exact": pytest.approx(100 / 3),
            "HasAns_f1": pytest.approx(100 * (1 + 2 / 3) / 3),
            "HasAns_total": 3,
            "NoAns_exact": 50.0,
            "NoAns_f1": 50.0,
            "NoAns_total": 2,
        }

    def test_no_answers_are_none_whatever_is_impossible(self):
        """As in the official script, which looks at the answers alone."""
        dataset = squad(
            [question("a", is_impossible=False), question("b", "x", is_impossible=False)]
        )
        result = evaluate_squad(dataset, {"a": "", "b": "x"})
        assert (result["exact"], result["NoAns_total"]) == (100.0, 1)

    def test_no_answer_probabilities(self):
        probabilities = {"a": 0.1, "b": 0.9, "c": 0.8, "d": 0.4, "e": 0.3}
        result = evaluate_squad(self.DATASET, self.PREDICTIONS, probabilities, 0.35)
        # Above 0.35: b and c become right, d wrong; below: a right, e wrong.
        assert (result["exact"], result["f1"]) == (60.0, 60.0)
        # From two right ones: a +1, e +0, d +0 or +2/3, c -1, b +0.
        assert (result["best_exact"], result["best_exact_thresh"]) == (60.0, 0.1)
        assert result["best_f1"] == pytest.approx(100 * (3 + 2 / 3) / 5)
        assert result["best_f1_thresh"] == 0.4

    def test_best_threshold_by_hand(self):
        """Two without an answer, so that "" everywhere has two of five right.

        In the order of probability: n1 is answered, 1; a, 2 again; b, half right, 2.5; c, 3.5;
        n2, "" anyway, 3.5; and c is where that is reached first.
        """
        dataset = squad(
            [
                question("c", "river", is_impossible=False),
                question("n1", is_impossible=True),
                question("a", "bird", is_impossible=False),
                question("n2", is_impossible=True),
                question("b", "stone house green", is_impossible=False),
            ]
        )
        predictions = {"a": "bird", "b": "house", "c": "river", "n1": "bird", "n2": ""}
        probabilities = {"n1": 0.1, "a": 0.2, "b": 0.3, "c": 0.4, "n2": 0.5}
        result = evaluate_squad(dataset, predictions, probabilities)
        # One word of one, of three to find.
        assert result["best_f1"] == pytest.approx(100 * 3.5 / 5)
        assert result["best_f1_thresh"] == 0.4
        assert (result["best_exact"], result["best_exact_thresh"]) == (60.0, 0.4)
        # "" for all is best where the first answers are wrong, and that is a threshold of 0.
        worse = {**predictions, "b": "x", "c": "x"}
        result = evaluate_squad(dataset, worse, probabilities)
        assert (result["best_exact"], result["best_exact_thresh"]) == (40.0, 0.0)

    def test_a_probability_at_the_threshold_is_not_above_it(self):
        probabilities = {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5, "e": 0.5}
        at, below = (
            evaluate_squad(self.DATASET, self.PREDICTIONS, probabilities, threshold)
            for threshold in (0.5, 0.4999)
        )
        plain = evaluate_squad(self.DATASET, self.PREDICTIONS)
        # All refused would have the same share of questions right, but others of them.
        assert plain["exact"] == below["exact"] == 40.0
        assert plain["HasAns_exact"] > below["HasAns_exact"]
        assert {name: at[name] for name in plain} == plain
        assert (below["HasAns_exact"], below["NoAns_exact"]) == (0.0, 100.0)
        # By default nothing is: a probability of 1 is not above 1.
        certain = dict.fromkeys("abcde", 1.0)
        by_default = evaluate_squad(self.DATASET, self.PREDICTIONS, certain)
        assert {name: by_default[name] for name in plain} == plain

    def test_missing_predictions_are_left_out(self):
        with pytest.warns(UserWarning, match="4 of 5"):
            result = evaluate_squad(self.DATASET, {"b": ""})
        assert result == {
            "exact": 100.0,
            "f1": 100.0,
            "total": 1,
            "NoAns_exact": 100.0,
            "NoAns_f1": 100.0,
            "NoAns_total": 1,
        }

    def test_missing_probability(self):
        with pytest.raises(ValueError, match="`no_answer_probabilities`"):
            evaluate_squad(self.DATASET, self.PREDICTIONS, {"a": 0.5})

    def test_no_prediction_at_all(self):
        with pytest.warns(UserWarning, match="5 of 5"), pytest.raises(ValueError, match="none of"):
            evaluate_squad(self.DATASET, {"else": ""})


def trivia(domain, **more):
    def pages(*names):
        return [{"Filename": name, "DocPartOfVerifiedEval": name != "q.txt"} for name in names]

    return {
        "Domain": domain,
        "Data": [
            {
                "QuestionId": "tc_1",
                "QuestionPartOfVerifiedEval": True,
                "Answer": {"NormalizedAliases": ["green house", "stone house"]},
                "EntityPages": pages("p.txt"),
                "SearchResults": pages("q.txt"),
            },
            {
                "QuestionId": "tc_2",
                "QuestionPartOfVerifiedEval": False,
                "Answer": {"NormalizedAliases": ["bird"], "HumanAnswers": ["The_River"]},
                "SearchResults": pages("r.txt"),
            },
        ],
        **more,
    }


class TestTriviaQA:
    def test_wikipedia_by_hand(self):
        predictions = {"tc_1": "a Stone-House", "tc_2": "river bird", "tc_9": "x"}
        assert evaluate_triviaqa(trivia("Wikipedia"), predictions) == {
            "exact_match": 50.0,
            "f1": pytest.approx(100 * (1 + 2 / 3) / 2),
            "common": 2,
            "denominator": 2,
            "pred_len": 3,
            "gold_len": 2,
        }

    def test_web_counts_documents(self):
        predictions = {"tc_1--p.txt": "green house", "tc_1--q.txt": "", "tc_2--r.txt": "river"}
        result = evaluate_triviaqa(trivia("Web"), predictions)
        assert result["exact_match"] == pytest.approx(200 / 3)
        assert result["denominator"] == 3

    @pytest.mark.parametrize(
        ("domain", "keys"), [("Web", ["tc_1--p.txt"]), ("Wikipedia", ["tc_1"])]
    )
    def test_verified_part(self, domain, keys):
        dataset = trivia(domain, VerifiedEval=True)
        result = evaluate_triviaqa(dataset, dict.fromkeys(keys, "green house"))
        assert (result["exact_match"], result["denominator"]) == (100.0, 1)

    def test_missing_predictions_score_0(self, tmp_path):
        for name, content in (("d", trivia("Wikipedia")), ("p", {"tc_2": "bird"})):
            (tmp_path / name).write_text(json.dumps(content))
        with pytest.warns(UserWarning, match="1 of 2 questions"):
            result = evaluate_triviaqa(tmp_path / "d", tmp_path / "p")
        assert (result["exact_match"], result["common"]) == (50.0, 1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("evaluate", "dataset", "message"),
        [
            (evaluate_squad, {"Data": []}, "SQuAD's schema"),
            (evaluate_squad, {"data": [{"paragraphs": [{"qas": [{}]}]}]}, "SQuAD's schema"),
            (evaluate_squad, {"data": []}, "no questions"),
            (evaluate_triviaqa, {"data": []}, "TriviaQA's schema"),
            (evaluate_triviaqa, {"Domain": "Web", "Data": [{}]}, "TriviaQA's schema"),
            (evaluate_triviaqa, {"Domain": "Web", "Data": []}, "no questions"),
        ],
    )
    def test_schema(self, evaluate, dataset, message):
        with pytest.raises(ValueError, match=message):
            evaluate(dataset, {})

    @pytest.mark.parametrize(
        ("dataset", "message"),
        [
            (squad([{"id": "q7"}]), "SQuAD's schema.*missing or misplaced: 'answers'"),
            (squad([{"id": "q7", "answers": None}]), "SQuAD's schema"),
            (squad([{"id": "q7", "answers": [{"text": None}]}]), "SQuAD's schema.*'q7'.*None"),
            (squad([{"id": [], "answers": []}]), r"SQuAD's schema.*id.*\[\]"),
            (squad([question("a", "x"), question("q7")]), "an answer to each.*'q7' and 0 others"),
        ],
    )
    def test_squad_answers(self, dataset, message):
        with pytest.raises(ValueError, match=message):
            evaluate_squad(dataset, {"a": "x", "q7": "x"})

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            ({}, "TriviaQA's schema.*'NormalizedAliases'"),
            (None, "TriviaQA's schema"),
            ({"NormalizedAliases": None}, "TriviaQA's schema.*'tc_1'.*None"),
            ({"NormalizedAliases": "bird"}, "TriviaQA's schema.*'tc_1'.*'bird'"),
            ({"NormalizedAliases": ["x"], "HumanAnswers": [3]}, "TriviaQA's schema.*Human.*3"),
            ({"NormalizedAliases": []}, "an answer to each question.*'tc_1'"),
        ],
    )
    def test_triviaqa_answers(self, answer, message):
        dataset = trivia("Wikipedia")
        dataset["Data"][0]["Answer"] = answer
        with pytest.raises(ValueError, match=message):
            evaluate_triviaqa(dataset, {"tc_1": "bird", "tc_2": "bird"})

    @pytest.mark.parametrize("value", [None, ["x"], 3])
    def test_predictions_that_are_no_strings(self, value):
        message = '`predictions` must have a string .*"" for no answer.*predictions\\['
        for dataset in (TestSquad1.DATASET, TestSquad2.DATASET):
            with pytest.raises(ValueError, match=message):
                evaluate_squad(dataset, {**dict.fromkeys("abde", ""), "c": value})
        with pytest.raises(ValueError, match=message):
            evaluate_triviaqa(trivia("Wikipedia"), {"tc_1": "x", "tc_2": value})

    @pytest.mark.parametrize("value", [None, "0.5", float("nan")])
    def test_probabilities_that_are_no_numbers(self, value):
        with pytest.raises(ValueError, match=r"`no_answer_probabilities` must have a number"):
            evaluate_squad(
                TestSquad2.DATASET,
                TestSquad2.PREDICTIONS,
                {**dict.fromkeys("abde", 0.5), "c": value},
            )

    @pytest.mark.parametrize("evaluate", [evaluate_squad, evaluate_triviaqa])
    def test_files(self, evaluate, tmp_path):
        with pytest.raises(FileNotFoundError):
            evaluate(tmp_path / "none.json", {})
        for content, message in (
            (b"{", "not valid JSON"),
            (b"\xff", "not valid"),
            (b"[]", "object"),
        ):
            (tmp_path / "broken.json").write_bytes(content)
            with pytest.raises(ValueError, match=f"`dataset`.*{message}"):
                evaluate(tmp_path / "broken.json", {})


@pytest.mark.parity
class TestAgainstTheOfficialScripts:
    """The Model Garden ships SQuAD's two scripts."""

    WORDS = ("the", "a", "Bird", "river,", "green-house", "U.S.", "1987", "été", "", " ", "!", "_")

    def make(self, seed, impossible):
        rng = random.Random(seed)

        def text(least=0):
            return " ".join(rng.choices(self.WORDS, k=rng.randrange(least, 5)))

        questions, predictions, probabilities = [], {}, {}
        for number in range(307):
            key = f"q{number}"
            answers = [text(least=1) for _ in range(rng.randrange(1, 4))]
            more = {}
            if impossible:
                more = {"is_impossible": rng.random() < 0.4}
                answers = [] if more["is_impossible"] else answers
            questions.append(question(key, *answers, **more))
            guess = rng.choice([*answers, "", text()])
            predictions[key] = guess
            probabilities[key] = rng.random()
        return squad(questions), predictions, probabilities

    @pytest.mark.parametrize("seed", range(5))
    def test_version_1(self, seed):
        from official.nlp.tools import squad_evaluate_v1_1

        dataset, predictions, _ = self.make(seed, impossible=False)
        expected = squad_evaluate_v1_1.evaluate(dataset["data"], predictions)
        actual = evaluate_squad(dataset, predictions)
        assert 0 < actual["exact_match"] < 100
        # Theirs are fractions here.
        assert actual["exact_match"] == pytest.approx(100 * expected["exact_match"])
        assert actual["f1"] == pytest.approx(100 * expected["final_f1"])

    @pytest.mark.parametrize("seed", range(5))
    def test_version_2(self, seed):
        from official.nlp.tools import squad_evaluate_v2_0

        dataset, predictions, probabilities = self.make(seed, impossible=True)
        expected = squad_evaluate_v2_0.evaluate(dataset["data"], predictions, probabilities)
        actual = evaluate_squad(dataset, predictions, probabilities)
        for key in actual:
            assert actual[key] == pytest.approx(expected[key.replace("best_", "final_")]), key
