"""What a summary says of the models."""

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
    assert ("462 of the non-trainable params are the backbone's pooler" in text) == bool(frozen)
    assert frozen in (0, 462)


def test_summary_says_it_where_it_prints(capsys):
    make("BigBirdForMaskedLM").summary()
    assert "backbone's pooler" in capsys.readouterr().out
