"""What a summary says of the models."""

import re

import numpy as np
import pytest

from tests.models.test_checked_model import NAMES, make


def summary_of(model) -> str:
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line), expand_nested=True)
    return "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_summary_has_all_shapes(name):
    model = make(name)
    text = summary_of(model)
    assert "?" not in text
    assert "(None, None, 21)" in text
    frozen = sum(int(np.prod(w.shape)) for w in model.non_trainable_weights)
    # The pooler of 21 * 21 + 21 numbers, where the head does not read it.
    assert frozen in (0, 462)
    says = "462 of the non-trainable params are the backbone's pooler" in text
    if name == "BigBirdForSentenceEmbedding":
        # It has no backbone: the pooler is a row of its own table.
        assert re.search(r"pooler \(Pooler\).* 462 ", text)
    else:
        assert says == bool(frozen)


def test_summary_says_it_where_it_prints(capsys):
    make("BigBirdForMaskedLM").summary()
    assert "backbone's pooler" in capsys.readouterr().out
