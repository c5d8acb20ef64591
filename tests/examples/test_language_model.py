"""The example of language models: its data and its measure by hand, and all of it in miniature."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from examples.language_model.sources import (
    END,
    Vocabulary,
    find_modules,
    read_modules,
    split_modules,
)


def test_modules_of_this_interpreter(tmp_path):
    files = find_modules()
    assert "json/decoder.py" in files
    assert not any("test" in name.split("/")[:-1] for name in files)
    train, held_out = split_modules(list(files))
    assert sorted([*train, *held_out]) == sorted(files)
    assert 0.05 < len(held_out) / len(files) < 0.2
    latin = tmp_path / "latin.py"
    latin.write_bytes(b"# \xe9\n")
    own = {"latin": latin, **{f"m{i}": tmp_path / f"m{i}.py" for i in range(3)}}
    for i in range(3):
        own[f"m{i}"].write_text("x" * 5)
    assert read_modules(own, list(own), max_bytes=11) == ["xxxxx", "xxxxx"]


@pytest.fixture(scope="module")
def vocabulary():
    texts = [f"def f{i}(a, b):\n    return a + {i} * b\n" for i in range(200)]
    return Vocabulary(texts, 300)


def test_no_byte_is_lost(vocabulary):
    text = "def  f(é):\n\n\treturn f  # ▁ 語\n"
    (ids,) = vocabulary.encode([text])
    assert ids[0] == END
    assert vocabulary.processor.decode(ids[1:].tolist()) == text.replace("▁", " ")
    # A mark for spaces in the text itself becomes one.
    assert vocabulary.num_bytes[ids].sum() == len(text.replace("▁", " ").encode())


def test_bits_of_a_model_that_knows_nothing(vocabulary):
    import keras

    from examples.language_model.train import bits_per_byte, build_model

    model = build_model(300, 64, "full", hidden_size=12, intermediate_size=5, num_hidden_layers=0)
    for weight in model.weights:
        weight.assign(keras.ops.zeros_like(weight))
    ids = np.random.default_rng(0).integers(270, 300, 90).astype("int32")
    found = bits_per_byte(model, [ids, ids[:50]], vocabulary.num_bytes, 64, [0, 10, 64])
    sizes = vocabulary.num_bytes[ids[1:65]]
    expected = [np.log2(300) * 10 / sizes[:10].sum(), np.log2(300) * 54 / sizes[10:].sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="more than 64 pieces"):
        bits_per_byte(model, [ids[:50]], vocabulary.num_bytes, 64, [0, 64])


@pytest.mark.slow
def test_all_of_it_in_miniature(tmp_path):
    from examples.language_model import train

    console = Console(file=io.StringIO(), width=200)
    found = train.run(console, **{**train.MINIATURE, "seconds": 0.5})
    assert set(found["results"]) == set(train.ATTENTIONS)
    for result in found["results"].values():
        assert result["steps"] >= 1
        assert all(0 < x < 9 for x in result["bits"])
    train.print_results(found, console)
    train.write_results(found, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert (tmp_path / "bits.png").stat().st_size > 0
