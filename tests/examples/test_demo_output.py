"""What `make demo DEMO_FLAGS=--quick` left, which CI runs just before."""

import json

import pytest

from examples.docs_qa import demo
from tests.conftest import ROOT

pytestmark = pytest.mark.demo

FOLDER = ROOT / "demo_output/quick"


@pytest.fixture(scope="module")
def results():
    return json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


def test_every_part_did_its_part(results):
    assert set(results["seconds_of_parts"]) == set(demo.SHARES)
    assert all(lesson["steps"] > 0 for lesson in results["lessons"].values())


def test_the_shipped_model_was_asked_in_four_ways(results):
    assert [found["view"] for found in results["as_shipped"]] == [
        "the first 4,096 pieces",
        "the first 512 pieces",
        "512 pieces, sliding over 4,096",
        "the right 512 of 4,096 pieces",
    ]
    groups = ("sentence", "class_near", "class_far")
    asked = {
        sum(found[group]["questions"] for group in groups if group in found)
        for found in results["as_shipped"]
    }
    assert len(asked) == 1
    assert 0 < asked.pop() <= demo.QUICK.max_questions


def test_the_new_kind_was_asked_of_all_three(results):
    questions = {name: found["questions"] for name, found in results["new_kind"].items()}
    assert set(questions) == {"as shipped", "taught", "from scratch"}
    assert len(set(questions.values())) == 1
    assert 0 < questions["taught"] <= demo.QUICK.max_new


def test_no_package_is_in_training_and_test(results):
    train, test = (set(results["data"][name]["packages"]) for name in ("train", "test"))
    assert train
    assert test
    assert not train & test
    assert train | test <= set(demo.QUICK.packages)
    for answer in results["answers"]:
        module = answer["module"]
        assert module.partition(".")[0] in test or module.startswith("digest")


def test_what_is_written():
    for name in ("accuracy.png", "learning.png"):
        assert (FOLDER / name).read_bytes().startswith(b"\x89PNG")
    assert (FOLDER / "model/model.safetensors").is_file()
    assert (FOLDER / "saved_model/1/saved_model.pb").is_file()
