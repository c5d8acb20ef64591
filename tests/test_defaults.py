"""Defaults are a promise: who has not given an argument must get the same as before."""

import json

import pytest

from tests.data.make_defaults import FILE, read_defaults

# Found again where they act by tests of their own; here for those that act seldom.
RENEW = "If that is meant, say so in CHANGELOG.md, and: python -m tests.data.make_defaults"


@pytest.fixture(scope="module")
def recorded():
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_defaults_are_as_they_were(recorded):
    found = read_defaults()
    assert len(found) > 100
    changed = {
        f"{function}({name})": (default, found.get(function, {}).get(name))
        for function, defaults in recorded.items()
        for name, default in defaults.items()
        if found.get(function, {}).get(name) != default
    }
    assert not changed, RENEW


def test_public_functions_are_recorded(recorded):
    """A few of the widest signatures, so that the file cannot be emptied unseen."""
    prefix = "bigbird_tf."
    for name, count in (
        ("preprocessing.masking_preprocessor.MaskingPreprocessor.__init__", 8),
        ("models.text_generation.TextGeneration.generate", 10),
        ("serving.evaluation.evaluate_question_answering", 5),
        ("attention.pattern.block_pattern.BlockPattern.build", 5),
    ):
        assert len(recorded[prefix + name]) >= count, name
